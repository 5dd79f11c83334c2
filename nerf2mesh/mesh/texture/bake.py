"""Bakes the field's colors into a mesh's texture or vertices, and compares the mesh with the field's pictures.

A texel's color is what a camera sees there: the field composited along a short path through the surface, from outside
to inside along the normal. The field's color at the surface point alone differs from that, because pixels integrate
along rays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from nerf2mesh.mesh.access import FieldAccess
from nerf2mesh.mesh.extract.calibrate import view_ring
from nerf2mesh.mesh.extract.project import undo_turned
from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.mesh.vectors import unit
from nerf2mesh.render.rasterizer import rasterize_mesh, rasterize_uv
from nerf2mesh.types import Camera, Rendering

Shade = Callable[[Tensor, Tensor], Tensor]
VISIBLE_WEIGHT = 1e-3
GAP_DB = 60.0


def normal_march(access: FieldAccess, *, outward: float, inward: float, n_samples: int = 16) -> Shade:
    """(points [N, 3], outward unit normals [N, 3]) -> sRGB [N, 3]: color composited from `outward` world units before
    the surface to `inward` behind it. Where that way is almost empty, the color at the point itself.

    A quarter of the samples lie outside; inside they grow sparser with depth, where little light is left in a sharp
    field and a soft one changes slowly.
    """
    color = access.color
    if color is None:
        raise ValueError("field: expected a color function to bake, got None; set mesh.texture=false")
    n_out = max(1, n_samples // 4)
    before_it = torch.linspace(-outward, 0.0, n_out + 1)
    behind_it = inward * torch.linspace(0.0, 1.0, n_samples - n_out + 1) ** 1.5
    edges = torch.cat([before_it, behind_it[1:]]).to(access.device)
    step, offsets = edges.diff(), 0.5 * (edges[1:] + edges[:-1])

    def shade(points: Tensor, normals: Tensor) -> Tensor:
        along = points[:, None] - normals[:, None] * offsets[:, None]
        density = access.activation(access.logit(along.reshape(-1, 3))).reshape(len(points), n_samples)
        clear = torch.exp(-density.float() * step)
        before = torch.cumprod(torch.cat([torch.ones_like(clear[:, :1]), clear[:, :-1]], dim=1), dim=1)
        weights = before * (1.0 - clear)
        total = weights.sum(1)
        lit = weights > VISIBLE_WEIGHT * total.clamp_min(1e-4)[:, None]
        directions = -normals[:, None].expand_as(along)
        colors = torch.zeros_like(along)
        colors[lit] = color(along[lit], directions[lit]).to(colors.dtype)
        mean = (weights[..., None] * colors).sum(1) / (weights * lit).sum(1).clamp_min(1e-8)[:, None]
        empty = total < 1e-2
        if bool(empty.any()):
            mean[empty] = color(points[empty], -normals[empty]).to(mean.dtype)
        return mean.clamp(0.0, 1.0)

    return shade


@torch.no_grad()
def shade_points(
    shade: Shade,
    points: np.ndarray,
    normals: np.ndarray,
    device: str | torch.device,
    chunk: int = 1 << 14,
    progress: Callable[[float], None] | None = None,
) -> np.ndarray:
    """Colors [N, 3] float32 of surface points [N, 3] with unit normals [N, 3], `chunk` points at a time."""
    colors = np.zeros((len(points), 3), np.float32)
    for start in range(0, len(points), chunk):
        part = slice(start, start + chunk)
        pair = [torch.from_numpy(np.ascontiguousarray(a[part], np.float32)).to(device) for a in (points, normals)]
        colors[part] = shade(*pair).float().cpu().numpy()
        if progress is not None:
            progress(min(1.0, (start + chunk) / len(points)))
    return colors


def bake_texture(
    mesh: TriangleMesh,
    shade: Shade,
    size: int,
    *,
    supersample: int = 1,
    device: str | torch.device = "cpu",
    progress: Callable[[float], None] | None = None,
) -> tuple[TriangleMesh, dict[str, float]]:
    """The mesh (with UV) and a `size`^2 texture: covered texels are shaded, every other one takes its nearest covered
    neighbor's color, so that no mip level sees a background. Returns also the share of covered texels.

    supersample: points per texel along one axis; a texel is the mean of those that lie on a face.
    """
    where = texel_points(mesh, size * supersample)
    colors = shade_points(shade, where.points, where.normals, device, progress=progress)
    texture, covered = texel_means(colors, where.covered, supersample)
    return replace(mesh, texture=bleed(np.round(255.0 * texture).astype(np.uint8), covered)), {
        "utilisation": float(covered.mean())
    }


@dataclass(frozen=True)
class TexelPoints:
    """What lies under the centers of a texture's texels: `covered` [h, w], and for those in row order [n, 3] each."""

    covered: np.ndarray
    points: np.ndarray
    normals: np.ndarray
    face: np.ndarray
    weights: np.ndarray
    """Barycentric."""


def texel_points(mesh: TriangleMesh, size: int, width: int | None = None) -> TexelPoints:
    """The points of a mesh with uv under the texels of a texture of `size` rows and `width` columns, as many as rows
    where nothing is said. Raises ValueError where no texel is covered."""
    assert mesh.uv is not None
    images = rasterize_uv(mesh.uv, size, size if width is None else width)
    covered = images["face"] >= 0
    if not covered.any():
        raise ValueError(f"mesh.texture_size: expected texels on the mesh, got none at {size}; raise it")
    face, weights = images["face"][covered], images["barycentric"][covered]
    corner = mesh.faces[face]
    points = (mesh.vertices[corner] * weights[..., None]).sum(1)
    normals = unit((mesh.normals[corner] * weights[..., None]).sum(1))
    return TexelPoints(covered, points, normals, face, weights)


def texel_means(values: np.ndarray, covered: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    """Means over factor^2 blocks of values [n, c] that lie at the covered places; [h, w, c] and where there are any."""
    fine = np.zeros((*covered.shape, values.shape[1]), np.float32)
    fine[covered] = values
    blocks = (covered.shape[0] // factor, factor, covered.shape[1] // factor, factor)
    count = covered.reshape(blocks).sum((1, 3))
    total = fine.reshape(*blocks, -1).sum((1, 3))
    return total / np.maximum(count, 1)[..., None], count > 0


def bleed(texture: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Unknown texels take their nearest known one's value."""
    from scipy.ndimage import distance_transform_edt

    nearest = np.asarray(distance_transform_edt(~known, return_distances=False, return_indices=True))
    return texture[tuple(nearest)]


def with_texels(mesh: TriangleMesh, where: TexelPoints, colors: np.ndarray) -> TriangleMesh:
    """The mesh with other colors [n, 3] in [0, 1] at the covered texels."""
    assert mesh.texture is not None
    texture = mesh.texture.copy()
    texels = texture[where.covered]
    texels[:, :3] = np.round(255.0 * np.clip(colors, 0.0, 1.0))
    texture[where.covered] = texels
    return replace(mesh, texture=bleed(texture, where.covered))


def bake_vertices(
    mesh: TriangleMesh,
    shade: Shade,
    *,
    device: str | torch.device = "cpu",
    progress: Callable[[float], None] | None = None,
) -> TriangleMesh:
    """The mesh with a color at each vertex."""
    colors = shade_points(shade, mesh.vertices, mesh.normals, device, progress=progress)
    return replace(mesh, vertex_colors=colors)


@dataclass(frozen=True)
class FieldViews:
    """The field's pictures from a ring of cameras, rendered once for many comparisons."""

    cameras: Camera
    shown: list[Rendering]

    @staticmethod
    def of(access: FieldAccess, n_views: int, size_px: int) -> FieldViews:
        """Renders the field from `view_ring`'s cameras, in square pictures of `size_px`."""
        assert access.render is not None
        cameras = view_ring(n_views, size_px)
        return FieldViews(cameras, [access.render(cameras[k]) for k in range(n_views)])


def bake_loss(mesh: TriangleMesh, views: FieldViews) -> dict[str, float]:
    """The mesh's pictures compared with the field's: means over the views, in dB but for mask_iou.

    psnr: the whole picture before white. foreground_psnr: the pixels that either shows at least half opaque, before
    white: outline and color together. inside_psnr: those that both show fully opaque. color_psnr: those that the mesh
    covers and the field shows at least half opaque, straight colors: what a texture can be blamed for. mask_iou.
    """
    rows = []
    for k, shown in enumerate(views.shown):
        wanted, opacity = shown.over(1.0).cpu(), shown.opacity.cpu()
        straight = shown.rgb.cpu() / opacity.clamp_min(1e-6)[..., None]
        image = rasterize_mesh(mesh, views.cameras[k], supersample=2)
        error = (image.over(1.0) - wanted).square().mean(-1)
        color_error = (image.rgb / image.opacity.clamp_min(1e-6)[..., None] - straight).square().mean(-1)
        one, two = image.opacity > 0.5, opacity > 0.5
        whole = image.opacity > 0.999
        iou = float((one & two).sum() / (one | two).sum().clamp_min(1))
        errors = (error, error[one | two], error[whole & (opacity > 0.99)], color_error[whole & two])
        rows.append((*map(_psnr, errors), iou))
    names = ("psnr", "foreground_psnr", "inside_psnr", "color_psnr", "mask_iou")
    return {name: float(value) for name, value in zip(names, np.mean(rows, axis=0))}


def settle(
    mesh: TriangleMesh, views: FieldViews, limit: float, steps: int = 4
) -> tuple[TriangleMesh, dict[str, object]]:
    """The painted mesh sunk along its normals to where it looks most like the field, at most `limit` world units; and
    `bake_loss` there, with the offset and the former loss under "settled".

    A soft field's colors form a little below the surface that has its outline; on the outline itself they shift in
    pixels that look at an angle. Sinking trades some outline for that; the whole picture's PSNR decides.
    """
    before = bake_loss(mesh, views)
    best, offset = mesh, 0.0
    found = before
    for k in range(1, steps + 1):
        points = undo_turned(mesh, mesh.vertices - (limit * k / steps) * mesh.normals)
        sunk = replace(mesh, vertices=points)
        figures = bake_loss(sunk, views)
        if figures["psnr"] > found["psnr"]:
            best, offset, found = sunk, limit * k / steps, figures
    return best, {
        **found,
        "settled": {"offset": offset, "psnr_before": before["psnr"], "iou_before": before["mask_iou"]},
    }


def _psnr(squared_error: Tensor) -> float:
    """In dB for a peak of 1, at most `GAP_DB`."""
    if not squared_error.numel():
        return GAP_DB
    return min(GAP_DB, -10.0 * math.log10(max(float(squared_error.mean()), 1e-12)))
