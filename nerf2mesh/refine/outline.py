"""Brings the outline of a mesh to that of the paint-over.

Before the mesh is bent onto the field's surface, coarsely: what is nearest on that surface is then mostly what belongs
together. After it, finely: the field is coarser than the picture.

Letters
    Seen by the paint-over's camera, contour vertices are those between faces that look at it and faces that look away,
    and those of open borders, as far as they lie on the mesh's silhouette. Each has a goal in the picture: the mean of
    the nearest point of the wanted outline and of those of its points to which the vertex is the nearest. The vertices
    move parallel to the picture alone, the others follow as smoothly as can be (see `bend`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from scipy.sparse import diags
from scipy.sparse.linalg import splu
from scipy.spatial import KDTree

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.refine.bend import smoothness, with_normals
from nerf2mesh.refine.region import Contains
from nerf2mesh.refine.source import same_place
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.types import Camera, View

COARSE = (200.0, 100.0, 50.0, 30.0, 20.0, 10.0)
FINE = (20.0, 10.0, 5.0, 3.0, 2.0, 1.0, 0.5, 0.25, 0.12)
"""Values of lambda, before the bending and after it."""
ON_SILHOUETTE_PX = 3.0
FURTHEST = 0.15
"""Share of the picture's height beyond which a point of the wanted outline is someone else's."""
STAYS = 0.02
"""Weight of a vertex off the contour, against 1 of one on it."""


def outlined(
    mesh: TriangleMesh,
    old: TriangleMesh,
    region: Contains,
    painted: View,
    counts: np.ndarray,
    *,
    stiff: Sequence[float],
) -> tuple[TriangleMesh, dict[str, float]]:
    """The mesh with its outline in the region moved to the paint-over's, and the most that a vertex moved.

    old: the same triangles before they were bent; its places say what is in the region. counts: bool [h, w], the pixels
    of the paint-over that count.
    """
    first, place = same_place(old)
    free = region(old.vertices[first])
    start, camera = mesh.vertices[first], painted.camera.to("cpu")
    wanted = outline_points(painted.image[..., 3].double().numpy(), counts)
    if not free.any() or not len(wanted):
        return mesh, {"moved_most": 0.0}
    moved, faces, rows = start.copy(), place[mesh.faces], np.flatnonzero(free)
    smooth = smoothness(faces, len(start))[:, rows]
    smooth = (smooth.T @ smooth).tocsr()
    for stiffness in stiff:
        on, shift = _goals(TriangleMesh(moved, faces), rows, camera, wanted)
        weight = np.where(on, 1.0, STAYS)
        goal = np.where(on[:, None], moved[rows] + shift, start[rows])
        matrix = (diags(weight) + stiffness * smooth).tocsc()
        moved[rows] = start[rows] + splu(matrix).solve(weight[:, None] * (goal - start[rows]))
    changed = free[place]
    vertices = mesh.vertices.copy()
    vertices[changed] = moved[place[changed]]
    most = float(np.linalg.norm(moved - start, axis=1).max())
    return with_normals(replace(mesh, vertices=vertices), old, place, changed), {"moved_most": most}


def outline_points(alpha: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Where alpha [h, w] crosses one half between the centers of two neighboring pixels of which one counts [n, 2]: x
    and y in pixels."""
    found = []
    for axis in (0, 1):
        a, b = (np.take(alpha, range(k, alpha.shape[axis] - 1 + k), axis) for k in (0, 1))
        one, two = (np.take(counts, range(k, alpha.shape[axis] - 1 + k), axis) for k in (0, 1))
        at = np.argwhere(((a > 0.5) != (b > 0.5)) & (one | two))
        share = (0.5 - a[tuple(at.T)]) / (b - a)[tuple(at.T)]
        points = at + 0.5
        points[:, axis] += share
        found.append(points[:, ::-1])
    return np.concatenate(found)


def _goals(mesh: TriangleMesh, rows: np.ndarray, camera: Camera, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the vertices `rows`: which are contour vertices, [n], and how far these are to move [n, 3]."""
    pixels, depth = camera.project(torch.from_numpy(mesh.vertices.astype(np.float32)))
    at = pixels.double().numpy()
    contour = contour_vertices(mesh, camera, at)
    number = np.full(mesh.n_vertices, -1)
    number[rows] = np.arange(len(rows))
    candidates = np.flatnonzero(contour)
    on, shift = np.zeros(len(rows), bool), np.zeros((len(rows), 3))
    if not len(candidates):
        return on, shift
    limit = FURTHEST * camera.height_px
    far, nearest = (np.asarray(part) for part in KDTree(wanted).query(at[candidates]))
    back, vertex = (np.asarray(part) for part in KDTree(at[candidates]).query(wanted))
    count = np.bincount(vertex[back < limit], minlength=len(candidates))
    sums = [np.bincount(vertex[back < limit], wanted[back < limit, k], len(candidates)) for k in range(2)]
    goal = wanted[nearest]
    pulled = np.stack(sums, axis=1) / np.maximum(count, 1)[:, None]
    goal = np.where((count > 0)[:, None], 0.4 * goal + 0.6 * pulled, goal)
    use = (number[candidates] >= 0) & ((far < limit) | (count > 0))
    which = candidates[use]
    on[number[which]] = True
    shift[number[which]] = _in_world(goal[use] - at[which], depth.double().numpy()[which], camera)
    return on, shift


def contour_vertices(mesh: TriangleMesh, camera: Camera, at: np.ndarray) -> np.ndarray:
    """bool [V]: vertices between a face that looks at the camera and one that looks away, or at an open border, on the
    silhouette."""
    pose = camera.camera_to_world.double().numpy()
    toward = pose[:3, 2] if camera.orthographic else pose[:3, 3] - mesh.corners.mean(1)
    facing = (mesh.face_normals * toward).sum(1) > 0.0
    seen = [np.zeros(mesh.n_vertices, bool) for _ in range(2)]
    for side in (0, 1):
        seen[side][mesh.faces[facing == bool(side)]] = True
    border = np.zeros(mesh.n_vertices, bool)
    border[open_borders(mesh.faces)] = True
    covered = rasterize_mesh(mesh, camera, smooth=False).opacity.numpy() > 0.5
    rim = np.asarray(distance_transform_edt(covered)) + np.asarray(distance_transform_edt(~covered))
    column, row = (np.clip(np.floor(at[:, k]).astype(int), 0, covered.shape[1 - k] - 1) for k in range(2))
    return (border | seen[0] & seen[1]) & (rim[row, column] <= ON_SILHOUETTE_PX)


def open_borders(faces: np.ndarray) -> np.ndarray:
    """Both vertices of every edge at which a single face lies [n]."""
    ends = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    edges, count = np.unique(ends[ends[:, 0] != ends[:, 1]], axis=0, return_counts=True)
    return np.unique(edges[count == 1])


def _in_world(shift_px: np.ndarray, depth: np.ndarray, camera: Camera) -> np.ndarray:
    """World displacements [n, 3] parallel to the picture of shifts [n, 2] in it, at depths [n]."""
    pose, focal = camera.camera_to_world.double().numpy(), camera.focal_px.double().numpy()
    scale = 1.0 if camera.orthographic else depth[:, None]
    plane = shift_px * np.array([1.0, -1.0]) / focal * scale
    return plane @ pose[:3, :2].T
