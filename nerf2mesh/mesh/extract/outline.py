"""Moves vertices along their normals until the mesh has the outlines that the field shows.

One density for the whole surface gives right outlines on the average only: where a field is soft they are off one way,
where it is hard the other. Letters: V vertices with unit normals n; d [V] the wanted offset along n, world units;
w [V] in how many pictures a vertex was seen on the outline. The offsets of all others follow smoothly:
    min_d  sum_v w_v (d_v - d0_v)^2 + s |L d|^2,   L the graph Laplacian of the mesh.
Source of the guard: moving vertices freely makes surfaces jagged (the "stage 1" of peers), so this stage is kept only
where outlines at other cameras and the agreement with the field's normals say so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from nerf2mesh.mesh.access import FieldAccess, LevelSet
from nerf2mesh.mesh.extract.calibrate import view_ring
from nerf2mesh.mesh.extract.project import field_gradient, undo_turned
from nerf2mesh.mesh.texture.texture_fit import fit_ring
from nerf2mesh.mesh.triangle_mesh import TriangleMesh, unit
from nerf2mesh.render.rasterizer import rasterize_silhouette
from nerf2mesh.types import Camera

GRAZING = 0.25
"""|cosine| between normal and viewing ray below which a vertex can be on the outline."""
NEAR_PX = 2.0
SMOOTH = 4.0
NORMAL_SLACK = 2e-3
"""By how much the mean cosine with the field's normals may fall."""


@dataclass(frozen=True)
class Outlines:
    """The field's masks (opacity above one half) from some cameras, bool [n, h, w]."""

    cameras: Camera
    masks: np.ndarray

    @staticmethod
    def of(access: FieldAccess, cameras: Camera) -> Outlines:
        assert access.render is not None
        shown = [access.render(cameras[k]).opacity.cpu().numpy() for k in range(len(cameras.camera_to_world))]
        return Outlines(cameras, np.stack(shown) > 0.5)

    def iou(self, mesh: TriangleMesh) -> float:
        """Mean over the cameras."""
        drawn = rasterize_silhouette(mesh, self.cameras).numpy() > 0.5
        both, either = (drawn & self.masks).sum((1, 2)), (drawn | self.masks).sum((1, 2))
        return float((both / np.maximum(either, 1)).mean())


def fit_outlines(
    mesh: TriangleMesh, access: FieldAccess, level: LevelSet, cell: float, *, n_views: int = 24, size_px: int = 192
) -> tuple[TriangleMesh, dict[str, object]]:
    """The mesh with its vertices moved, or as it was where that does not help; and the figures that decided.

    A vertex moves by two cells at most. Figures: iou before and after at cameras that were not fitted, the mean cosine
    of face normals with the field's, before and after, the mean move in cells, kept.
    """
    seen = Outlines.of(access, fit_ring(n_views, size_px))
    judge = Outlines.of(access, view_ring(max(4, n_views // 2), size_px))
    wanted, weight = outline_offsets(mesh, seen)
    figures: dict[str, object] = {"vertices_seen": int((weight > 0).sum()), "iou_before": judge.iou(mesh)}
    if not weight.any():
        return mesh, figures | {"kept": False}
    offset = np.clip(spread(mesh, wanted, weight), -2.0 * cell, 2.0 * cell)
    points = np.clip(mesh.vertices + offset[:, None] * mesh.normals, -1.0, 1.0)
    moved = replace(mesh, vertices=undo_turned(mesh, points), vertex_normals=None)
    figures["iou_after"] = judge.iou(moved)
    cosines = [normal_agreement(m, level, cell) for m in (mesh, moved)]
    figures |= {"normals_before": cosines[0], "normals_after": cosines[1]}
    figures["mean_cells"] = float(np.linalg.norm(moved.vertices - mesh.vertices, axis=1).mean() / cell)
    better = figures["iou_after"] > figures["iou_before"] and cosines[1] > cosines[0] - NORMAL_SLACK
    return (moved if better else mesh), figures | {"kept": bool(better)}


def outline_offsets(mesh: TriangleMesh, seen: Outlines) -> tuple[np.ndarray, np.ndarray]:
    """Mean wanted offset [V] of the vertices on the mesh's outlines, and the number of pictures that say so [V]."""
    from scipy.ndimage import distance_transform_edt

    total, count = np.zeros(mesh.n_vertices), np.zeros(mesh.n_vertices)
    drawn = rasterize_silhouette(mesh, seen.cameras).numpy() > 0.5
    for k, mask in enumerate(seen.masks):
        pixel, depth, toward = projected(mesh.vertices, seen.cameras[k])
        column, row = np.floor(pixel).astype(int).T
        inside = (column >= 0) & (row >= 0) & (column < mask.shape[1]) & (row < mask.shape[0]) & (depth > 0)
        column, row = np.clip(column, 0, mask.shape[1] - 1), np.clip(row, 0, mask.shape[0] - 1)
        own, field = (distance_transform_edt(m) - distance_transform_edt(~m) for m in (drawn[k], mask))
        grazing = np.abs((mesh.normals * toward).sum(1)) < GRAZING
        use = inside & grazing & (np.abs(own[row, column]) < NEAR_PX)
        per_pixel = depth / float(seen.cameras.focal_px[k, 0])  # world units that a pixel covers there
        lack = field[row, column] - own[row, column]  # how far the field's outline lies outside the mesh's, pixels
        total[use] += (lack * per_pixel)[use]
        count[use] += 1.0
    return total / np.maximum(count, 1.0), count


def spread(mesh: TriangleMesh, wanted: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The smooth offsets [V] of the module's formula, by conjugate gradients."""
    from scipy.sparse import coo_matrix, diags
    from scipy.sparse.csgraph import laplacian
    from scipy.sparse.linalg import cg

    ends, _ = mesh.edges
    links = coo_matrix((np.ones(len(ends)), tuple(ends.T)), shape=(mesh.n_vertices,) * 2)
    graph = laplacian((links + links.T).tocsr()).astype(np.float64)
    system = diags(weight + 1e-6) + SMOOTH * graph
    found, _ = cg(system, weight * wanted, rtol=1e-4, maxiter=400)
    return found


def projected(points: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixel positions [V, 2], depths along the axis [V] and unit vectors towards a perspective camera [V, 3]."""
    pose = camera.camera_to_world.double().numpy()
    local = (points - pose[:3, 3]) @ pose[:3, :3]
    depth = -local[:, 2]
    focal, principal = camera.focal_px.double().numpy(), camera.principal_px.double().numpy()
    scaled = local[:, :2] / np.maximum(depth, 1e-9)[:, None]
    return principal + scaled * focal * [1.0, -1.0], depth, unit(pose[:3, 3] - points)


def normal_agreement(mesh: TriangleMesh, level: LevelSet, cell: float) -> float:
    """Mean cosine, by area, between face normals and the level set's normals at the faces' centers."""
    normals = unit(-field_gradient(level, mesh.corners.mean(1), cell))
    return float(((mesh.face_normals * normals).sum(1) * mesh.face_areas).sum() / mesh.face_areas.sum())
