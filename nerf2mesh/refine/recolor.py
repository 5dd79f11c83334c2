"""Paints the region of a mesh's texture; every texel outside of it stays as it is, byte for byte.

Letters, for a texel of the region: q its old color, a and b what the field shows there after and before the round, and
p what the paint-over shows, with a weight w in [0, 1] that rises with the cosine between normal and view. Its new color
is (1 - w) (q + a - b) + w p: the field says only what has changed, so that the texture's own detail, which is
finer than the field, survives a change of color.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.texture.bake import texel_points
from nerf2mesh.mesh.texture.given_views import PIXELS_PER_POINT, bilinear, reduced, rise
from nerf2mesh.mesh.vectors import unit
from nerf2mesh.refine.region import Contains, Painted
from nerf2mesh.types import View

Shown = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Surface points [N, 3] and unit normals [N, 3] -> sRGB [N, 3]."""

COSINES = (0.0, 0.1)
FINER = 3.0
"""The paint-over is reduced to so many times the usual number of pixels: most objects fill less of their texture."""


def repainted(
    mesh: TriangleMesh, old: TriangleMesh, region: Contains, after: Shown, before: Shown, painted: View | None
) -> tuple[TriangleMesh, dict[str, float]]:
    """The mesh with its texture changed in the region, and the shares of texels that changed and of those that the
    paint-over shows.

    old: the same triangles and texture coordinates before the round, with the old texture; its places decide what is
    in the region.
    """
    assert old.texture is not None
    texture = old.texture.copy()
    height, width = texture.shape[:2]
    was, now = texel_points(old, height, width), texel_points(mesh, height, width)
    inside = region(was.points)
    points, normals = now.points[inside], now.normals[inside]
    colors = texture[was.covered][inside][:, :3] / 255.0
    colors = np.clip(colors + after(points, normals) - before(was.points[inside], was.normals[inside]), 0.0, 1.0)
    weight = np.zeros(len(points))
    if painted is not None and len(points):
        view = reduced(painted, FINER * PIXELS_PER_POINT * len(now.points))
        weight, shown = painted_colors(mesh, view, points, normals)
        colors += weight[:, None] * (shown - colors)
    figures = {"texels": float(inside.mean()), "painted": float((weight > 0.5).mean()) if len(points) else 0.0}
    return replace(mesh, texture=_written(texture, was.covered, inside, colors)), figures


def painted_colors(
    mesh: TriangleMesh, view: View, points: np.ndarray, normals: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The weight [N] and the color [N, 3] of a paint-over at surface points.

    It counts up to the outline, unlike a photograph: it was painted on this surface, and its colors go on beyond the
    object's rim (`round.begin`).
    """
    camera = view.camera.to("cpu")
    visible = Painted(mesh, np.ones((camera.height_px, camera.width_px), bool), camera, 0.0)(points)
    pose = camera.camera_to_world.double().numpy()
    toward = pose[:3, 2] if camera.orthographic else unit(pose[:3, 3] - points)
    pixels, _ = camera.project(torch.from_numpy(np.ascontiguousarray(points, np.float32)))
    return visible * rise((normals * toward).sum(1), *COSINES), bilinear(view.image[..., :3], pixels)


def _written(texture: np.ndarray, covered: np.ndarray, inside: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """The texture with the colors [n, 3] in those covered texels that are `inside`, and in the gaps nearest to them."""
    changed = np.zeros(covered.shape, bool)
    changed[covered] = inside
    values = texture[changed]
    values[:, :3] = np.round(255.0 * np.clip(colors, 0.0, 1.0))
    texture[changed] = values
    rows, columns = np.asarray(distance_transform_edt(~covered, return_distances=False, return_indices=True))
    gap = ~covered & changed[rows, columns]
    texture[gap] = texture[rows[gap], columns[gap]]
    return texture
