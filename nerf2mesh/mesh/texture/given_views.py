"""Gives a painted mesh the given pictures' own colors where they show its surface.

After a few hundred steps a field reproduces a picture only blurred, so that sharp details are lost on the mesh. What a
picture shows from the front therefore takes its colors from the picture itself: pixels are projected back onto the
surface with weights by viewing angle (Text2Tex, Chen et al. 2023, arXiv 2303.11396), and fade into the field's colors
towards grazing angles and outlines.

Letters, for a surface point and a picture: c the cosine between normal and viewing ray; d how many pixels the point's
image lies inside of every edge, of the picture's object and of the mesh's own depth; r(x; a, b) rises smoothly from 0
at a to 1 at b. The weight is w = r(c; 0.1, 0.4) r(d; 1, 5 h / 256), h the height of the picture, 0 where hidden.
Of several pictures a point takes sum w^2 q / sum w^2, q their colors: mostly the one that looks at it straight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from nerf2mesh.mesh.texture.bake import texel_points, with_texels
from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.render.rasterizer import rasterize_mesh
from nerf2mesh.types import Camera, View

COSINES = (0.1, 0.4)
INSIDE_PX = (1.0, 5.0)
"""From where to where the weight rises; pixels of a picture of 256."""
STEP_PX = 6.0
"""A jump of depth between neighbors, in widths of a pixel, that counts as an edge."""
MIN_EDGE = 0.125
"""Pixels on both sides of an edge, as a share of the picture's height: shorter ones are bumps of a surface."""
OPAQUE = 0.99
PIXELS_PER_POINT = 0.6
"""Pictures are reduced to so many pixels per colored texel or vertex of the whole surface: a third of the pixels show
the object and a fifth of the points are seen, so that neighboring points read neighboring pixels."""


Unlight = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(sRGB [N, 3], unit normals [N, 3]) -> sRGB [N, 3] without the light of the pictures."""


def paint_given_views(
    mesh: TriangleMesh, views: Sequence[View], unlight: Unlight | None = None
) -> tuple[TriangleMesh, dict[str, float]]:
    """The mesh with its texture, or else its vertex colors, taken from `views` where these show it.

    unlight: takes the light out of the pictures' colors, where the mesh has albedo.

    Returns also the share of the colored texels (or vertices) whose color is at least half from a picture.
    """

    def colors(points: np.ndarray, normals: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        coarse = [reduced(view, PIXELS_PER_POINT * len(points)) for view in views]
        return seen_colors(mesh, coarse, points, normals, before, unlight)

    if mesh.texture is not None and mesh.uv is not None:
        where = texel_points(mesh, mesh.texture.shape[0])
        after, weight = colors(where.points, where.normals, mesh.texture[where.covered][:, :3] / 255.0)
        painted = with_texels(mesh, where, after)
    elif mesh.vertex_colors is not None:
        after, weight = colors(mesh.vertices, mesh.normals, mesh.vertex_colors)
        painted = replace(mesh, vertex_colors=after.astype(mesh.vertex_colors.dtype))
    else:
        return mesh, {"share": 0.0}
    return painted, {"share": float((weight > 0.5).mean())}


def seen_colors(
    mesh: TriangleMesh,
    views: Sequence[View],
    points: np.ndarray,
    normals: np.ndarray,
    before: np.ndarray,
    unlight: Unlight | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Colors [N, 3] of surface points with unit normals, and how much of each is from the views, [N] in [0, 1].

    before: the colors [N, 3] of what no view shows. unlight: as in `paint_given_views`.
    """
    mixed, total, best = np.zeros((len(points), 3)), np.zeros(len(points)), np.zeros(len(points))
    for view in views:
        weight, color = look_up(mesh, view, points, normals)
        mixed += (weight * weight)[:, None] * color
        total += weight * weight
        best = np.maximum(best, weight)
    seen = mixed / np.maximum(total, 1e-12)[:, None]
    seen = seen if unlight is None else unlight(seen, normals)
    return before + best[:, None] * (seen - before), best


def reduced(view: View, n_pixels: float) -> View:
    """The view with at most about `n_pixels` pixels, averaged by area; what is unknown counts as empty."""
    height, width = view.image.shape[:2]
    scale = (n_pixels / (height * width)) ** 0.5
    if scale >= 1.0:
        return view
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    alpha = view.image[..., 3:]
    premultiplied = torch.cat([view.image[..., :3] * alpha, alpha], dim=-1).permute(2, 0, 1)[None]
    small = torch.nn.functional.interpolate(premultiplied, size=size, mode="area")[0].permute(1, 2, 0)
    straight = torch.cat([small[..., :3] / small[..., 3:].clamp_min(1e-6), small[..., 3:]], dim=-1)
    camera = view.camera.resized(size[1], size[0])
    return replace(view, image=straight, camera=camera, known=None, depth=None, normal=None)


def look_up(
    mesh: TriangleMesh,
    view: View,
    points: np.ndarray,
    normals: np.ndarray,
    cosines: tuple[float, float] = COSINES,
    inside_px: tuple[float, float] = INSIDE_PX,
) -> tuple[np.ndarray, np.ndarray]:
    """The view's weight [N] and straight color [N, 3] at surface points with unit normals.

    cosines, inside_px: from where to where the weight rises with c and d.
    """
    camera = view.camera.to("cpu")
    camera = replace(camera, camera_to_world=camera.camera_to_world.double())
    image = view.image.cpu()
    pixels, _ = camera.project(torch.from_numpy(np.ascontiguousarray(points, np.float64)))
    shown = rasterize_mesh(mesh, camera)
    depth = shown.depth.double().numpy()
    covered = shown.opacity.numpy() > 0.5
    width = pixel_width(camera, depth)
    inside = inner_distance(covered & (image[..., 3].numpy() > OPAQUE), depth, width)

    toward, distance = _toward(camera, points)
    cosine = (normals * toward).sum(1)
    column, row = pixels.floor().long().T.numpy()
    there = (column >= 0) & (row >= 0) & (column < camera.width_px) & (row < camera.height_px)
    column, row = np.clip(column, 0, camera.width_px - 1), np.clip(row, 0, camera.height_px - 1)
    slack = 2.0 * width[row, column] / np.maximum(cosine, COSINES[0])
    there &= distance < depth[row, column] + slack
    scale = camera.height_px / 256.0
    weight = there * rise(cosine, *cosines) * rise(inside[row, column], inside_px[0], max(inside_px[1] * scale, 2.0))
    return weight, bilinear(image[..., :3], pixels)


def _toward(camera: Camera, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors [N, 3] towards the camera, and the distance [N] along the ray."""
    pose = camera.camera_to_world.numpy()
    if camera.orthographic:
        return np.broadcast_to(pose[:3, 2], points.shape), (pose[:3, 3] - points) @ pose[:3, 2]
    away = pose[:3, 3] - points
    distance = np.linalg.norm(away, axis=1)
    return away / np.maximum(distance, 1e-12)[:, None], distance


def pixel_width(camera: Camera, depth: np.ndarray) -> np.ndarray:
    """World units that a pixel covers at each depth."""
    focal = float(camera.focal_px[..., 1])
    return np.full_like(depth, 1.0 / focal) if camera.orthographic else depth / focal


def inner_distance(mask: np.ndarray, depth: np.ndarray, width: np.ndarray) -> np.ndarray:
    """How many pixels [h, w] each pixel of the mask is away from the nearest one outside it, or at an edge of depth."""
    from scipy.ndimage import distance_transform_edt, label

    edge = np.zeros_like(mask)
    for axis in (0, 1):
        one = (slice(None, -1), slice(None)) if axis == 0 else (slice(None), slice(None, -1))
        two = (slice(1, None), slice(None)) if axis == 0 else (slice(None), slice(1, None))
        jump = np.abs(depth[one] - depth[two]) > STEP_PX * np.minimum(width[one], width[two])
        edge[one] |= jump
        edge[two] |= jump
    number = np.zeros(edge.shape, np.int32)
    label(edge, np.ones((3, 3)), output=number)
    edge &= np.bincount(number.reshape(-1))[number] >= MIN_EDGE * mask.shape[0]
    return np.asarray(distance_transform_edt(np.pad(mask & ~edge, 1)))[1:-1, 1:-1]


def rise(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, a smooth step between."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def bilinear(image: torch.Tensor, pixels: torch.Tensor) -> np.ndarray:
    """Values [N, c] of an image [h, w, c] at pixel positions [N, 2] (x, y), centers at one half; edges repeat."""
    size = pixels.new_tensor([image.shape[1], image.shape[0]])
    places = (2.0 * pixels / size - 1.0).to(image.dtype)[None, None]
    found = torch.nn.functional.grid_sample(
        image.permute(2, 0, 1)[None], places, mode="bilinear", padding_mode="border", align_corners=False
    )
    return found[0, :, 0].T.numpy()
