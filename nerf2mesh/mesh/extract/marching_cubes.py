"""Marching cubes that follows the surface, and vertices that lie on it.

Letters
    Cells i = 0 .. resolution - 1 along each axis of [-1, 1]^3, nodes i = 0 .. resolution at -1 + i h, h = 2 /
    resolution. One layer of nodes around them (i = -1 and resolution + 1) counts as outside, so every surface is
    closed; one that the box cuts is closed on the box's face. Node indices below are shifted by one: p = i + 1.
    Blocks of B^3 cells are evaluated only where the surface can be, and from each block the search goes on across every
    face that the surface crosses. Marching cubes (PyMCubes) sees only which nodes are inside; where on its edge a
    vertex lies is found afterwards on the field itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from nerf2mesh.mesh.access import LevelSet
from nerf2mesh.mesh.triangle_mesh import TriangleMesh

BLOCK = 8
SCREEN_STRIDE = 4
BATCH_BLOCKS = 512
END_MARGIN = 2e-3
"""Vertices keep this share of an edge away from its ends, so that no triangle collapses where the level hits a node."""


@dataclass(frozen=True)
class Lattice:
    """The nodes of `resolution` cells along each axis of the box, in the module's shifted numbering."""

    resolution: int

    @property
    def cell(self) -> float:
        """Side of a cell in world units."""
        return 2.0 / self.resolution

    @property
    def n_blocks(self) -> int:
        """Blocks along one axis; they cover the padded cells p = 0 .. resolution + 1."""
        return -(-(self.resolution + 2) // BLOCK)

    def positions(self, nodes: np.ndarray) -> np.ndarray:
        """World positions [..., 3] of shifted node indices."""
        return (nodes - 1) * self.cell - 1.0

    def is_inner(self, nodes: np.ndarray) -> np.ndarray:
        """Which shifted nodes lie in the box."""
        return np.asarray(((nodes >= 1) & (nodes <= self.resolution + 1)).all(-1))

    def block_index(self, blocks: np.ndarray) -> np.ndarray:
        """Flat block numbers to (x, y, z)."""
        n = self.n_blocks
        return np.stack([blocks // (n * n), blocks // n % n, blocks % n], axis=-1)


@dataclass
class _Crossings:
    """Edges that the surface crosses, as found block by block: key, values at both ends, faces over them."""

    keys: list[np.ndarray]
    values: list[np.ndarray]
    faces: list[np.ndarray]
    n_vertices: int = 0


class NoSurfaceError(ValueError):
    """The field crosses the wanted level nowhere."""


def extract_surface(
    level: LevelSet,
    resolution: int,
    *,
    occupancy: np.ndarray | None = None,
    refine_steps: int = 6,
    dense: bool = False,
    seen: np.ndarray | None = None,
) -> TriangleMesh:
    """The level set of `level` as a closed, edge-manifold mesh with outward faces; `metadata` counts the evaluations.

    occupancy: bool [r, r, r]; cells outside it are taken as empty unless the surface leads there.
    dense: evaluate every block; the sparse search must give the same mesh.
    seen: world points [n, 3] near the surface, such as those that pictures show; the search also starts from their
        blocks, since a part that is thinner than its first samples' distance can lie between them.
    Raises NoSurfaceError when there is none.
    """
    lattice = Lattice(resolution)
    seeds = np.arange(lattice.n_blocks**3) if dense else find_seeds(level, lattice, occupancy)
    if seen is not None and not dense:
        seeds = np.union1d(seeds, blocks_of(lattice, seen))
    crossings, n_blocks = _follow(level, lattice, seeds)
    if not crossings.n_vertices:
        density = [_density(level, v) for v in (level.smallest, level.largest, level.level)]
        raise NoSurfaceError(
            f"field: expected a surface, got logits in [{level.smallest:.4g}, {level.largest:.4g}] that never cross "
            f"{level.level:.4g} (densities {density[0]:.4g} to {density[1]:.4g}, threshold {density[2]:.4g}); "
            "set mesh.threshold between them, or optimize longer, since the field is empty or full"
        )
    n_search = level.n_evaluations
    keys, first, index = np.unique(np.concatenate(crossings.keys), return_index=True, return_inverse=True)
    values = np.concatenate(crossings.values)[first]
    faces = _canonical(index.reshape(-1)[np.concatenate(crossings.faces)])
    vertices = _place(level, lattice, keys, values, refine_steps)
    counts = {"search": n_search, "refine": level.n_evaluations - n_search, "dense": (resolution + 1) ** 3}
    return TriangleMesh(vertices, faces, metadata={"evaluations": counts, "blocks": n_blocks})


def find_seeds(level: LevelSet, lattice: Lattice, occupancy: np.ndarray | None) -> np.ndarray:
    """Numbers of the blocks to start from: those whose coarse samples have the level between them, or nearly.

    "Nearly": the nearest sample is no farther from the level than neighboring samples are from each other, so that a
    part thinner than the samples' distance is not lost.
    """
    n = lattice.n_blocks
    candidates = np.ones((n, n, n), bool) if occupancy is None else occupied_blocks(lattice, occupancy)
    per_block = BLOCK // SCREEN_STRIDE
    windows = [slice(k, k + per_block * (n - 1) + 1, per_block) for k in range(per_block + 1)]
    corners = [(x, y, z) for x in windows for y in windows for z in windows]
    wanted = np.zeros((per_block * n + 1,) * 3, bool)
    for corner in corners:
        wanted[corner] |= candidates
    values = np.zeros(wanted.shape, np.float32)
    nodes = np.clip(np.argwhere(wanted) * SCREEN_STRIDE, 1, lattice.resolution + 1)
    values[wanted] = level(lattice.positions(nodes))
    low, high, slack = np.full((n, n, n), np.inf, np.float32), np.full((n, n, n), -np.inf, np.float32), 0.0
    for corner in corners:
        low, high = np.minimum(low, values[corner]), np.maximum(high, values[corner])
    for axis in range(3):
        step = np.abs(np.diff(values, axis=axis))
        for corner in corners:
            if corner[axis].start < per_block:
                slack = np.maximum(slack, step[corner])
    on_rim = np.ones((n, n, n), bool)
    on_rim[1:-1, 1:-1, 1:-1] = False
    near = ((low - slack <= 0) | on_rim) & (high + slack > 0)
    return np.flatnonzero((candidates & near).reshape(-1))


def blocks_of(lattice: Lattice, points: np.ndarray) -> np.ndarray:
    """Numbers of the blocks in which the world points [n, 3] lie; points outside the lattice are left out."""
    blocks = np.floor(((points + 1.0) / lattice.cell + 1.0) / BLOCK).astype(np.int64)
    n = lattice.n_blocks
    x, y, z = blocks[((blocks >= 0) & (blocks < n)).all(-1)].T
    return np.unique((x * n + y) * n + z)


def occupied_blocks(lattice: Lattice, occupancy: np.ndarray) -> np.ndarray:
    """bool [n, n, n]: the blocks that touch an occupied cell or a neighbor of one."""
    r, n = occupancy.shape[0], lattice.n_blocks
    if occupancy.shape != (r, r, r):
        raise ValueError(f"occupancy: expected a cube [r, r, r], got {list(occupancy.shape)}; use equal sides")
    total = np.zeros((r + 1,) * 3, np.int32)
    total[1:, 1:, 1:] = occupancy.astype(np.int32).cumsum(0).cumsum(1).cumsum(2)
    edges = lattice.positions(np.arange(n + 1) * BLOCK)
    low = np.clip(np.floor((edges[:-1] + 1.0) * r / 2 - 1).astype(int), 0, r)
    high = np.clip(np.ceil((edges[1:] + 1.0) * r / 2 + 1).astype(int), 0, r)
    count = np.zeros((n, n, n), np.int32)
    for corner in range(8):
        ends = [high if corner >> axis & 1 else low for axis in range(3)]
        sign = 1 if bin(corner).count("1") % 2 else -1
        count = count + sign * total[np.ix_(*ends)]
    return count > 0


def _follow(level: LevelSet, lattice: Lattice, seeds: np.ndarray) -> tuple[_Crossings, int]:
    visited = np.zeros(lattice.n_blocks**3, bool)
    visited[seeds] = True
    crossings, frontier, n_blocks = _Crossings([], [], []), seeds, 0
    while len(frontier):
        reached = []
        for start in range(0, len(frontier), BATCH_BLOCKS):
            blocks = frontier[start : start + BATCH_BLOCKS]
            values = _block_values(level, lattice, blocks)
            inside = values > 0
            _march(lattice, blocks, values, inside, crossings)
            reached.append(_crossed_neighbors(lattice, blocks, inside))
        n_blocks += len(frontier)
        frontier = np.unique(np.concatenate(reached))
        frontier = frontier[~visited[frontier]]
        visited[frontier] = True
    return crossings, n_blocks


def _block_values(level: LevelSet, lattice: Lattice, blocks: np.ndarray) -> np.ndarray:
    """Values [K, B + 1, B + 1, B + 1] at the nodes of blocks; outside the box minus infinity."""
    steps = np.arange(BLOCK + 1)
    local = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
    nodes = lattice.block_index(blocks)[:, None, None, None] * BLOCK + local
    inner = lattice.is_inner(nodes)
    values = np.full(inner.shape, -np.inf, np.float32)
    values[inner] = level(lattice.positions(nodes[inner]))
    return values


def _march(lattice: Lattice, blocks: np.ndarray, values: np.ndarray, inside: np.ndarray, out: _Crossings) -> None:
    import mcubes

    n_inside = inside.sum(axis=(1, 2, 3))
    side = lattice.n_blocks * BLOCK + 1
    for k in np.flatnonzero((n_inside > 0) & (n_inside < (BLOCK + 1) ** 3)):
        vertices, faces = mcubes.marching_cubes(inside[k], 0.5)
        doubled = np.rint(2.0 * vertices).astype(np.int64)  # a vertex sits in the middle of its edge
        odd = doubled & 1
        start = doubled >> 1
        end = start + odd
        node = start + lattice.block_index(blocks[k]) * BLOCK
        out.keys.append(((node[:, 0] * side + node[:, 1]) * side + node[:, 2]) * 3 + odd.argmax(1))
        ends = [values[k][tuple(start.T)], values[k][tuple(end.T)]]
        out.values.append(np.stack(ends, axis=1))
        out.faces.append(faces.astype(np.int64) + out.n_vertices)
        out.n_vertices += len(vertices)


def _crossed_neighbors(lattice: Lattice, blocks: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Blocks across the faces whose nodes are not all on one side."""
    index, found = lattice.block_index(blocks), []
    for axis in range(3):
        for layer, step in ((0, -1), (BLOCK, 1)):
            face = np.take(inside, layer, axis=axis + 1)
            crossed = face.any(axis=(1, 2)) & ~face.all(axis=(1, 2))
            other = index[crossed]
            other[:, axis] += step
            other = other[(other[:, axis] >= 0) & (other[:, axis] < lattice.n_blocks)]
            found.append((other[:, 0] * lattice.n_blocks + other[:, 1]) * lattice.n_blocks + other[:, 2])
    return np.concatenate(found)


def _place(level: LevelSet, lattice: Lattice, keys: np.ndarray, values: np.ndarray, steps: int) -> np.ndarray:
    """World positions of the crossings: each edge's bracket is narrowed by the Illinois rule (regula falsi that halves
    the end which stays), kept a tenth of the bracket away from its ends.
    """
    axis, node, side = keys % 3, keys // 3, lattice.n_blocks * BLOCK + 1
    start = lattice.positions(np.stack([node // (side * side), node // side % side, node % side], axis=1))
    direction = np.eye(3)[axis] * lattice.cell
    a, b = np.zeros(len(keys)), np.ones(len(keys))
    fa, fb = values.astype(np.float64).T
    t = np.where(np.isinf(fa), 1.0, 0.0)  # an edge that leaves the box: its vertex stays on the box's face
    live = np.flatnonzero(np.isfinite(fa) & np.isfinite(fb))
    a, b, fa, fb = a[live], b[live], fa[live], fb[live]
    wa, wb, last = fa.copy(), fb.copy(), np.zeros(len(live), int)
    for _ in range(steps):
        width = b - a
        c = np.clip(a + width * wa / (wa - wb), a + 0.1 * width, b - 0.1 * width)
        fc = level(start[live] + c[:, None] * direction[live]).astype(np.float64)
        left = (fc > 0) == (fa > 0)
        wb = np.where(left, np.where(last == 1, 0.5 * wb, wb), fc)
        wa = np.where(left, fc, np.where(last == -1, 0.5 * wa, wa))
        a, fa = np.where(left, c, a), np.where(left, fc, fa)
        b, fb = np.where(left, b, c), np.where(left, fb, fc)
        last = np.where(left, 1, -1)
    t[live] = a + (b - a) * fa / (fa - fb)
    return start + np.clip(t, END_MARGIN, 1.0 - END_MARGIN)[:, None] * direction


def _canonical(faces: np.ndarray) -> np.ndarray:
    """Faces that start at their lowest vertex, in lexical order: the order does not tell how the surface was found."""
    shift = faces.argmin(axis=1)[:, None] + np.arange(3)
    faces = np.take_along_axis(faces, shift % 3, axis=1)
    return faces[np.lexsort(faces.T[::-1])]


def _density(level: LevelSet, logit: float) -> float:
    return float(level.access.activation(torch.tensor(float(logit), device=level.access.device)))
