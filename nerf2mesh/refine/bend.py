"""Bends the free part of a mesh onto another surface; everything else stays in place.

Letters
    x_i: old places of the mesh's vertices (those of a seam count once), d_i: their displacements, zero where they are
    held. Wanted are the d that bring the vertices onto the target and the target's points onto vertices, as smooth as
    can be:
        min_d  sum_i |x_i + d_i - g_i|^2 + lambda sum_i |d_i - mean of d over i's neighbors|^2,
    g_i the mean of i's nearest point of the target and of those points of the target to which i is the nearest vertex
    (without these a new tip would never be reached). lambda falls from round to round, as in non-rigid registration
    (Amberg et al. 2007, "Optimal step nonrigid ICP algorithms for surface registration").
    What is nearer to the target than `QUIET` counts as unchanged: g_i = x_i.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, diags, eye
from scipy.sparse.linalg import splu
from scipy.spatial import KDTree

from nerf2mesh.evaluate.metrics.surface import Surface
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.vectors import unit
from nerf2mesh.refine.nearest import NearestPoints
from nerf2mesh.refine.region import Contains
from nerf2mesh.refine.source import same_place

QUIET = 0.02
"""World units of the box: less is the fit's own inaccuracy."""
STIFF = (30.0, 15.0, 8.0, 4.0, 2.0, 1.0)
SAMPLES = 30_000
ALIKE = 0.99
"""Normals at one place that agree so well belong to one smooth surface."""


def bent(
    mesh: TriangleMesh, old: TriangleMesh, target: TriangleMesh, region: Contains
) -> tuple[TriangleMesh, dict[str, float]]:
    """The mesh with its vertices in the region moved onto `target`, and by how much they moved (mean and most).

    old: the same triangles where they were at first; these places say what is in the region.
    """
    first, place = same_place(old)
    start = mesh.vertices[first]
    free = region(old.vertices[first])
    moved = start.copy()
    if free.any():
        moved[free] += _displacements(start, place[mesh.faces], free, target, region)
    vertices = mesh.vertices.copy()
    changed = free[place]
    vertices[changed] = moved[place[changed]]
    distance = np.linalg.norm(moved - start, axis=1)[free] if free.any() else np.zeros(1)
    figures = {"moved_mean": float(distance.mean()), "moved_most": float(distance.max())}
    return with_normals(replace(mesh, vertices=vertices), old, place, changed), figures


def _displacements(
    start: np.ndarray, faces: np.ndarray, free: np.ndarray, target: TriangleMesh, region: Contains
) -> np.ndarray:
    """d of the free vertices [n, 3]."""
    points = _new_points(start, faces, target, region)
    surface = NearestPoints(target)
    rows = np.flatnonzero(free)
    smooth = smoothness(faces, len(start))[:, rows]
    smooth = (smooth.T @ smooth).tocsr()
    moved = start.copy()
    still = surface(start[rows]).distance <= QUIET
    for stiffness in STIFF:
        found = np.where(still[:, None], start[rows], surface(moved[rows]).point)
        goal = _goals(found, moved, rows, points)
        matrix = (eye(len(rows)) + stiffness * smooth).tocsc()
        moved[rows] = start[rows] + splu(matrix).solve(goal - start[rows])
    return moved[rows] - start[rows]


def _new_points(start: np.ndarray, faces: np.ndarray, target: TriangleMesh, region: Contains) -> np.ndarray:
    """Points of the target in the region that are away from the old surface [m, 3]."""
    points, _ = Surface.of(target).sample(SAMPLES)
    inside = points.numpy()[region(points.numpy())]
    if not len(inside):
        return inside
    return inside[NearestPoints(TriangleMesh(start, faces))(inside).distance > QUIET]


def _goals(found: np.ndarray, moved: np.ndarray, rows: np.ndarray, points: np.ndarray) -> np.ndarray:
    """g [n, 3] of the free vertices, whose nearest points are `found`; points [m, 3]: of the target, to be reached."""
    if not len(points):
        return found
    nearest = KDTree(moved).query(points)[1]
    number = np.full(len(moved), -1)
    number[rows] = np.arange(len(rows))
    mine = number[nearest]
    pulled, who = points[mine >= 0], mine[mine >= 0]
    count = np.bincount(who, minlength=len(rows)).astype(float)
    sums = np.stack([np.bincount(who, pulled[:, k], minlength=len(rows)) for k in range(3)], axis=1)
    mean = sums / np.maximum(count, 1.0)[:, None]
    return np.where((count > 0)[:, None], 0.3 * found + 0.7 * mean, found)


def smoothness(faces: np.ndarray, n: int) -> csr_matrix:
    """[n, n]: a vertex less the mean of its neighbors."""
    ends = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    ends = ends[ends[:, 0] != ends[:, 1]]
    both = np.concatenate([ends, ends[:, ::-1]])
    links = coo_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(n, n)).tocsr()
    links.data[:] = 1.0
    degree = np.maximum(np.asarray(links.sum(1)).reshape(-1), 1.0)
    return csr_matrix(eye(n) - diags(1.0 / degree) @ links)


def with_normals(mesh: TriangleMesh, old: TriangleMesh, place: np.ndarray, changed: np.ndarray) -> TriangleMesh:
    """Normals of the changed vertices from their faces; vertices that shared one normal share the new one."""
    if old.vertex_normals is None:
        return mesh
    order = np.round(old.vertex_normals / (2.0 * (1.0 - ALIKE)) ** 0.5).astype(np.int64)
    _, group = np.unique(np.concatenate([place[:, None], order], axis=1), axis=0, return_inverse=True)
    group = group.reshape(-1)
    cross = np.cross(mesh.corners[:, 1] - mesh.corners[:, 0], mesh.corners[:, 2] - mesh.corners[:, 0])
    total = np.zeros((int(group.max()) + 1, 3))
    for k in range(3):
        np.add.at(total, group[mesh.faces[:, k]], cross)
    normals = old.vertex_normals.copy()
    near = np.zeros(mesh.n_vertices, bool)
    near[np.unique(mesh.faces[changed[mesh.faces].any(1)])] = True
    normals[near] = unit(total)[group[near]]
    return replace(mesh, vertex_normals=normals)
