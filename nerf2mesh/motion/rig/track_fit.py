"""A skeleton's motion out of a mesh's: joint rotations that reproduce a track of vertices by linear blend skinning.

Letters
    Vertex v of the rest has weights w_vk and the share m_v of the surface; in frame t it is at x_tv. Lengths count in
    sizes of the mesh (the longest side of its box). With rotations G_k and o_k = p_k - G_k b_k (`rigged`) the skinned
    vertex is a_v Y, Y [4 j, 3] the rows (G_k^T, o_k) of all joints and a_v the w_vk (v, 1) beside each other, so that
        E_t = sum_v m_v |a_v Y_t - x_tv|^2 = <Y_t, H Y_t> - 2 <Y_t, B_t> + sum_v m_v |x_tv|^2,
    H = sum_v m_v a_v^T a_v and B_t = sum_v m_v a_v^T x_tv. The vertices appear in H and B alone.
    Unknown are the local rotations R_k(t) and the root's shift. A step turns R_j into R_j exp([d]x): every joint k from
    j downward turns about p_j by the world vector G_j d, dG_k = [G_j d]x G_k and do_k = [G_j d]x (o_k - p_j).
    Minimised by Levenberg's and Marquardt's method over all frames together:
        sum_t E_t + smooth sum_t |s_t+1 - s_t|^2 + still sum_t |log R(t)|^2,   s_t = log(R(t)^T R(t+1)),
    the same for shifts. s is the joint's speed, so that `smooth` costs acceleration and no steady turn. `still` is what
    the track leaves unexplained over the number of parts that tell it apart, as if angles had a deviation of a radian:
    a track that a skeleton has made decides all angles but those that no vertex shows, another one does not twist bones
    for the sake of its noise. Frame 0 is the bind pose and stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.sparse import block_diag, diags, eye, identity, kron
from scipy.sparse.linalg import splu
from scipy.spatial.transform import Rotation

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.track import VertexTrack
from nerf2mesh.motion.rig.motion_clip import RigClip
from nerf2mesh.motion.rig.rigged import Rig

SMOOTH = 3e-6
"""Of square radians a frame^2, against square sizes averaged over the surface."""
STILL, FIRST_STILL, PARTS = (1e-8, 1e-5), 1e-6, 50
"""Of square radians: least and most, that of frames by themselves, and over how many parts E is spread."""
ALONE, TOGETHER = 40, 20
"""Steps, at most, of each frame by itself, which starts from the one before it, and of all frames together."""
MOST_FULL = 400
ENOUGH = 1e-5, 1e-4
"""The last step gains less than the first, as a share, and turns nothing by more than the second, radians."""
DAMPING = 1e-4, 0.2, 10.0
"""At the start, square sizes a square radian; factors behind a step that helps and one that fails."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """clip: on the rig, frame by frame at the track's times; residuals [f, v]: distances of the skinned vertices from
    the track, moved [f, v]: of the track from its first frame, both as shares of the mesh's longest side."""

    clip: RigClip
    residuals: Float[np.ndarray, "f v"]
    moved: Float[np.ndarray, "f v"]


def fit_track(rig: Rig, track: VertexTrack, name: str = "frames", *, smooth: float = SMOOTH) -> Fitted:
    """The rotations of the rig's joints and its root's shift that bring the mesh closest to the track.

    Args:
        rig: of the mesh of the first frame; its vertices are the track's.
        smooth: weight of the joints' acceleration; see the module.

    Raises:
        ValueError: the track is of other vertices.
    """
    if track.positions.shape[1] != rig.mesh.n_vertices:
        raise ValueError(
            f"track: expected positions of the rig's {rig.mesh.n_vertices} vertices, got {track.positions.shape[1]}; "
            "rig the mesh of the track's first frame"
        )
    problem = _Problem.of(rig, track)
    local = np.tile(np.eye(3), (len(track.times_s), len(rig.skeleton.names), 1, 1))
    shift = np.zeros((len(track.times_s), 3))
    for t in range(1, len(local)):
        local[t], shift[t] = local[t - 1], shift[t - 1]
        problem.settle(local, shift, slice(t, t + 1), Held(FIRST_STILL), ALONE)
    rest = slice(1, len(local))
    left = problem.energy(local, shift, rest, Held(0.0)) / max(len(local) - 1, 1)
    problem.settle(local, shift, rest, Held(float(np.clip(left / PARTS, *STILL)), smooth), TOGETHER)
    shift *= problem.size
    times = tuple(float(time - track.times_s[0]) for time in track.times_s)
    clip = RigClip(name, track.rate, local, shift, times)
    posed = np.stack([rig.posed(turned, moved) for turned, moved in zip(local, shift)])
    residuals = np.linalg.norm(posed - track.positions, axis=-1) / problem.size
    moved = np.linalg.norm(track.positions - track.positions[:1], axis=-1) / problem.size
    return Fitted(clip, residuals, moved)


class Held(NamedTuple):
    """Weights of the last two terms; `smooth` counts where all frames but the first take part."""

    still: float
    smooth: float = 0.0


@dataclass(frozen=True, eq=False)
class _Problem:
    """parents, turning: joints with vertices in or below them; rest [j, 3], H [4j, 4j] and B [f, 4j, 3] in sizes."""

    parents: tuple[int, ...]
    turning: np.ndarray
    below: np.ndarray
    """[j, j]: whether joint k is j or hangs on it."""
    rest: np.ndarray
    gram: np.ndarray
    seen: np.ndarray
    squares: np.ndarray
    """sum_v m_v |x_tv|^2 [f]."""
    size: float

    @staticmethod
    def of(rig: Rig, track: VertexTrack) -> _Problem:
        size, center = float(np.ptp(rig.mesh.bounds, axis=0).max()), rig.mesh.center
        vertices = (rig.mesh.vertices - center) / size
        ones = np.concatenate([vertices, np.ones((len(vertices), 1))], axis=1)
        rows = (rig.dense[:, :, None] * ones[:, None]).reshape(len(vertices), -1)
        shares = vertex_shares(rig.mesh)
        weighted = rows * shares[:, None]
        goals = (track.positions.astype(np.float64) - center) / size
        below = np.eye(len(rig.dense[0]), dtype=bool)
        for k, parent in enumerate(rig.skeleton.parents):
            below[:, k] |= below[:, parent] if parent >= 0 else False
        turning = np.flatnonzero((below & (rig.dense.sum(0) > 0.0)).any(1))
        seen = np.einsum("vr,fvd->frd", weighted, goals, optimize=True)
        rest = (rig.skeleton.positions - center) / size
        squares = np.einsum("v,fvd,fvd->f", shares, goals, goals)
        return _Problem(rig.skeleton.parents, turning, below, rest, weighted.T @ rows, seen, squares, size)

    def settle(self, local: np.ndarray, shift: np.ndarray, frames: slice, held: Held, most: int) -> None:
        """Writes better poses of some frames into local [f, j, 3, 3] and shift [f, 3], in at most so many steps."""
        (damping, better, worse), now = DAMPING, self.energy(local, shift, frames, held)
        for _ in range(most):
            system, right = self._system(local, shift, frames, held)
            change = _solved(system, damping, right)
            tried = self._turned(local, shift, frames, change)
            after = self.energy(*tried, frames, held)
            if after >= now:
                damping *= worse
                continue
            local[:], shift[:] = tried
            gained, now = (now - after) / max(now, 1e-30), after
            damping *= better
            if gained < ENOUGH[0] and float(np.abs(change).max()) < ENOUGH[1]:
                break

    def energy(self, local: np.ndarray, shift: np.ndarray, frames: slice, held: Held) -> float:
        """What is minimised, of some frames."""
        values = self._columns(local[frames], shift[frames])[0]
        total = (values * (self.gram @ values - 2.0 * self.seen[frames])).sum() + self.squares[frames].sum()
        total += held.still * (_logs(local[frames][:, self.turning]) ** 2).sum()
        if held.smooth > 0.0:
            total += held.smooth * (np.diff(self._speeds(local, shift), axis=0) ** 2).sum()
        return float(total)

    def _system(self, local: np.ndarray, shift: np.ndarray, frames: slice, held: Held):
        """The normal equations of a step: matrix and right side, frame by frame."""
        slopes, values = self._slopes(local[frames], shift[frames])
        some, n = slopes.shape[:2]
        flat = slopes.reshape(some, n, -1)
        pushed = (self.gram @ slopes).reshape(flat.shape)
        blocks = flat @ np.swapaxes(pushed, 1, 2)
        pull = np.einsum("fpx,fx->fp", flat, (self.seen[frames] - self.gram @ values).reshape(some, -1))
        pull[:, : n - 3] -= held.still * _logs(local[frames][:, self.turning]).reshape(some, -1)
        kept = np.r_[np.full(n - 3, held.still), np.zeros(3)]
        system, right = block_diag(blocks) + diags(np.tile(kept, some)), pull.reshape(-1)
        if held.smooth > 0.0 and some > 1:
            second = self._second(some)
            system = system + held.smooth * kron(second.T @ second, identity(n))
            right = right - held.smooth * (second.T @ np.diff(self._speeds(local, shift), axis=0)).reshape(-1)
        return system, right

    def _turned(self, local: np.ndarray, shift: np.ndarray, frames: slice, change: np.ndarray):
        """Copies of local and shift with a step taken in some frames."""
        local, shift = local.copy(), shift.copy()
        some = np.arange(len(local))[frames]
        rows = change.reshape(len(some), -1)
        turns = Rotation.from_rotvec(rows[:, :-3].reshape(-1, 3)).as_matrix()
        local[np.ix_(some, self.turning)] @= turns.reshape(len(some), -1, 3, 3)
        shift[some] += rows[:, -3:]
        return local, shift

    def _second(self, n: int):
        """The second differences [n - 1, n] of n frames behind one that stays at 0."""
        ahead, here, behind = (eye(n - 1, n, k=k) for k in (1, 0, -1))
        return (ahead - 2.0 * here + behind).tocsr()

    def _speeds(self, local: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """s of all joints that turn, and of the shift, between neighbors in time [f - 1, p]."""
        own = local[:, self.turning]
        logs = _logs(np.swapaxes(own[:-1], -1, -2) @ own[1:])
        return np.concatenate([logs.reshape(len(logs), -1), np.diff(shift, axis=0)], axis=1)

    def _columns(self, local: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Y [f, 4j, 3], G [f, j, 3, 3] and p [f, j, 3]."""
        turned, places = np.empty_like(local), np.empty(local.shape[:-1])
        for j, parent in enumerate(self.parents):
            if parent < 0:
                turned[:, j], places[:, j] = local[:, j], self.rest[j] + shift
            else:
                turned[:, j] = turned[:, parent] @ local[:, j]
                places[:, j] = places[:, parent] + turned[:, parent] @ (self.rest[j] - self.rest[parent])
        offsets = places - np.einsum("fjab,jb->fja", turned, self.rest)
        rows = np.concatenate([np.swapaxes(turned, 2, 3), offsets[:, :, None]], axis=2)
        return rows.reshape(len(local), -1, 3), turned, places

    def _slopes(self, local: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """dY [f, p, 4j, 3] by every unknown, and Y [f, 4j, 3]."""
        values, turned, places = self._columns(local, shift)
        columns = values.reshape(len(local), -1, 4, 3)
        pivot = np.zeros((len(local), len(self.turning), 1, 4, 3))
        pivot[..., 3, :] = places[:, self.turning, None]
        arms = (columns[:, None] - pivot) * self.below[self.turning][None, :, :, None, None]
        axes = np.swapaxes(turned[:, self.turning], 2, 3)  # row i: the world vector of the unit vector i
        slopes = np.cross(axes[:, :, :, None, None], arms[:, :, None])  # [f, turning, 3, j, 4, 3]
        rows = 4 * len(self.parents)
        shifts = np.zeros((len(local), 3, len(self.parents), 4, 3))
        shifts[:, range(3), :, 3, range(3)] = 1.0
        both = [slopes.reshape(len(local), -1, rows, 3), shifts.reshape(len(local), 3, rows, 3)]
        return np.concatenate(both, axis=1), values


def _solved(system, damping: float, right: np.ndarray) -> np.ndarray:
    """The step of a damped system; a single frame's is full."""
    damped = system + damping * identity(len(right))
    return np.linalg.solve(damped.toarray(), right) if len(right) < MOST_FULL else splu(damped.tocsc()).solve(right)


def _logs(turns: np.ndarray) -> np.ndarray:
    """Rotation vectors [..., 3] of matrices [..., 3, 3]."""
    return Rotation.from_matrix(turns.reshape(-1, 3, 3)).as_rotvec().reshape(turns.shape[:-1])


def vertex_shares(mesh: TriangleMesh) -> Float[np.ndarray, " v"]:
    """Each vertex's third of the area of its faces, of sum 1; all alike where there is no area."""
    a, b, c = (mesh.corners[:, k] for k in range(3))
    area = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
    shares = np.bincount(mesh.faces.reshape(-1), np.repeat(area / 3.0, 3), mesh.n_vertices)
    total = shares.sum()
    return shares / total if total > 0.0 else np.full(mesh.n_vertices, 1.0 / mesh.n_vertices)
