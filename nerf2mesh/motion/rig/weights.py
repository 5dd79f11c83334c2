"""Skinning weights: each joint's share of every vertex, by heat that spreads through the inside of the mesh.

Letters
    d_i(v): length of the shortest way inside from the bones that joint i turns to voxel v; R_i their median depth.
    chi_i(v): 1 where d_i / R_i^(1/2) is least, else 0: distances are inside the volume (Dionne and de Lasa, Geodesic
    voxel binding for production character meshes, SCA 2013), and a thick bone reaches farther than a thin one.
    w_i: the solution of (I + L) w_i = chi_i with L the graph Laplacian of the voxels, whose edges have weight
    (s R / h)^2, h the voxel's side, R the mean of the R_i of both ends (of WIDER bones times its factor): one implicit
    step of heat over a width of about s R, as bone heat takes it on the surface (Baran and Popovic, Automatic rigging
    and animation of 3D characters, SIGGRAPH 2007, equation 3), here through the inside.

As L has zero row sums and non-positive entries off its diagonal, the w_i lie in [0, 1] and sum to 1. libigl offers
bounded biharmonic weights, but on tetrahedra only: its wheel's mesher is TetGen, whose licence (AGPL) this project
cannot pass on, and on voxels cut into tetrahedra they cost one constrained quadratic program a joint. What is solved
here is one sparse linear system with scipy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.motion.rig.skeleton import Skeleton
from nerf2mesh.motion.rig.volume import Solid

SPREAD = 0.6
"""s above: width of the blend at a joint over the limb's radius."""
WIDER = {"Hips": 1.6, "Spine": 1.6}
"""The lower trunk bends over a wider zone than a limb: its bones are short for its girth."""
INFLUENCES = 4
SMOOTHING_ROUNDS = 3


@dataclass(frozen=True, eq=False)
class SkinWeights:
    """At most four joints a vertex: `joints` indexes the skeleton's, unused ones have the weight 0; rows sum to 1."""

    joints: Int[np.ndarray, "v 4"]
    values: Float[np.ndarray, "v 4"]

    def dense(self, n_joints: int) -> Float[np.ndarray, "v j"]:
        """As a matrix."""
        full = np.zeros((len(self.joints), n_joints))
        np.add.at(full, (np.arange(len(full))[:, None], self.joints), self.values)
        return full


def skin_weights(mesh: TriangleMesh, solid: Solid, skeleton: Skeleton, spread: float = SPREAD) -> SkinWeights:
    """The weights of every vertex of the mesh whose inside is `solid`."""
    field = voxel_weights(solid, skeleton, spread)
    dense = _at_vertices(mesh, solid, field)
    return strongest(_smoothed(mesh, dense))


def strongest(dense: Float[np.ndarray, "v j"]) -> SkinWeights:
    """The four largest weights of each row, made to sum to 1."""
    n = min(INFLUENCES, dense.shape[1])
    joints = np.argsort(-dense, axis=1, kind="stable")[:, :n]
    values = np.take_along_axis(dense, joints, axis=1)
    values = np.where(values < 1e-3 * values[:, :1], 0.0, values)
    values /= values.sum(1, keepdims=True)
    missing = INFLUENCES - n
    joints, values = np.pad(joints, ((0, 0), (0, missing))), np.pad(values, ((0, 0), (0, missing)))
    return SkinWeights(np.where(values > 0.0, joints, 0), values)


def voxel_weights(solid: Solid, skeleton: Skeleton, spread: float = SPREAD) -> Float[np.ndarray, "n j"]:
    """w_i at every voxel."""
    bones = skeleton.segments()
    owner, radius = _nearest_bone(solid, bones)
    width = radius * np.array([WIDER.get(skeleton.names[joint], 1.0) for joint in bones])
    system = _heat_system(solid, width[owner], spread)
    weights = np.zeros((len(solid.index), len(skeleton.names)))
    for i, joint in enumerate(bones):
        chosen = owner == i
        if chosen.any():
            weights[:, joint] = _solved(system, chosen.astype(np.float64))
    weights = np.clip(weights, 0.0, 1.0)
    return weights / weights.sum(1, keepdims=True)


def _nearest_bone(solid: Solid, bones: dict[int, list[tuple[np.ndarray, np.ndarray]]]) -> tuple[np.ndarray, np.ndarray]:
    """Which bone owns each voxel [N], and the bones' radii R [b]."""
    best = np.full(len(solid.index), np.inf)
    owner, radii = np.zeros(len(solid.index), np.int64), []
    for i, segments in enumerate(bones.values()):
        voxels = np.unique(np.concatenate([_along_segment(solid, a, b) for a, b in segments]))
        radii.append(float(np.median(solid.depth[voxels])) + 0.5 * solid.cell)
        reach = solid.distances(voxels) / np.sqrt(radii[-1])
        closer = reach < best
        best[closer], owner[closer] = reach[closer], i
    return owner, np.array(radii)


def _along_segment(solid: Solid, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Solid voxels that a segment passes through, or the one nearest to it where it leaves the solid."""
    n = max(int(np.ceil(2.0 * np.linalg.norm(end - start) / solid.cell)), 1)
    points = start + np.linspace(0.0, 1.0, n + 1)[:, None] * (end - start)
    place = np.round((points - solid.origin) / solid.cell).astype(int)
    place = np.clip(place, 0, np.array(solid.solid.shape) - 1)
    numbers = solid.number[tuple(place.T)]
    inside = np.unique(numbers[numbers >= 0])
    return inside if len(inside) else np.array([solid.nearest(0.5 * (start + end))])


def _heat_system(solid: Solid, radius: np.ndarray, spread: float):
    """I + L as a sparse matrix [N, N]."""
    from scipy.sparse import coo_matrix, diags, identity

    pairs, lengths = solid.edges
    faces = lengths < 1.01 * solid.cell
    bridges = lengths > 1.8 * solid.cell
    (a, b) = pairs[faces | bridges].T
    n = len(solid.index)
    conduct = (spread * 0.5 * (radius[a] + radius[b]) / solid.cell) ** 2
    links = coo_matrix((np.r_[conduct, conduct], (np.r_[a, b], np.r_[b, a])), shape=(n, n)).tocsr()
    degree = np.asarray(links.sum(1)).reshape(-1)
    return (identity(n) + diags(degree) - links).tocsr()


def _solved(system, right: np.ndarray) -> np.ndarray:
    """By conjugate gradients with Jacobi's preconditioner, to a residual of 1e-5."""
    from scipy.sparse import diags
    from scipy.sparse.linalg import cg

    found, _ = cg(system, right, rtol=1e-5, maxiter=400, M=diags(1.0 / system.diagonal()))
    return found


def _at_vertices(mesh: TriangleMesh, solid: Solid, field: np.ndarray) -> np.ndarray:
    """The field at the vertices: the mean of the solid voxels around, a little below the surface, by trilinear shares.

    A vertex with no solid voxel around takes the nearest one's.
    """
    from scipy.spatial import KDTree

    below = (mesh.vertices - 0.5 * solid.cell * mesh.normals - solid.origin) / solid.cell
    corner = np.floor(below).astype(int)
    total, weight = np.zeros((mesh.n_vertices, field.shape[1])), np.zeros(mesh.n_vertices)
    for offset in np.ndindex(2, 2, 2):
        place = np.clip(corner + offset, 0, np.array(solid.solid.shape) - 1)
        share = np.prod(1.0 - np.abs(below - (corner + offset)), axis=1)
        number = solid.number[tuple(place.T)]
        share = np.where(number >= 0, np.maximum(share, 0.0), 0.0)
        total += share[:, None] * field[number]
        weight += share
    lost = weight < 1e-3
    if lost.any():
        total[lost] = field[KDTree(solid.centers).query(mesh.vertices[lost])[1]]
        weight[lost] = 1.0
    return total / weight[:, None]


def _smoothed(mesh: TriangleMesh, dense: np.ndarray) -> np.ndarray:
    """A few rounds of averaging with the neighbors over the mesh's edges; equal places are one vertex."""
    from scipy.sparse import coo_matrix, diags

    step = max(float(np.ptp(mesh.bounds, axis=0).max()) * 1e-6, 1e-30)
    cells = np.round((mesh.vertices - mesh.bounds[0]) / step).astype(np.int64)
    _, first, place = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    place = place.reshape(-1)
    a, b = place[mesh.edges[0]].T
    n = len(first)
    links = coo_matrix((np.ones(2 * len(a)), (np.r_[a, b], np.r_[b, a])), shape=(n, n)).tocsr()
    degree = np.maximum(np.asarray(links.sum(1)).reshape(-1), 1.0)
    mean = diags(1.0 / degree) @ links
    alone = np.asarray(links.sum(1)).reshape(-1) == 0
    values = dense[first]
    for _ in range(SMOOTHING_ROUNDS):
        values = np.where(alone[:, None], values, 0.5 * values + 0.5 * (mean @ values))
    return values[place]
