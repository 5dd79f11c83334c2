"""Paints a mesh with the field's colours, and measures how well that worked.

A texel's colour is what a camera sees there: the field composited along a short way through the surface, from outside
to inside along the normal. A query of the one point on the surface gives other colours, because pixels integrate along
rays.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from nerf2mesh.mesh.access import FieldAccess
from nerf2mesh.mesh.calibrate import view_ring
from nerf2mesh.mesh.triangle_mesh import TriangleMesh, unit
from nerf2mesh.render.rasterizer import rasterize_mesh, rasterize_uv

Shade = Callable[[Tensor, Tensor], Tensor]
VISIBLE_WEIGHT = 1e-3
GAP_DB = 60.0


def normal_march(access: FieldAccess, *, outward: float, inward: float, n_samples: int = 16) -> Shade:
    """(points [N, 3], outward unit normals [N, 3]) -> sRGB [N, 3]: colour composited from `outward` world units before
    the surface to `inward` behind it. Where that way is almost empty, the colour at the point itself.

    A quarter of the samples lie outside; inside they grow sparser with depth, where little light is left in a sharp
    field and a soft one changes slowly.
    """
    if access.color is None:
        raise ValueError("field: a colour function wanted for baking, got None; set mesh.texture=false")
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
        colors[lit] = access.color(along[lit], directions[lit]).to(colors.dtype)
        mean = (weights[..., None] * colors).sum(1) / (weights * lit).sum(1).clamp_min(1e-8)[:, None]
        empty = total < 1e-2
        if bool(empty.any()):
            mean[empty] = access.color(points[empty], -normals[empty]).to(mean.dtype)
        return mean.clamp(0.0, 1.0)

    return shade


@torch.no_grad()
def shade_points(
    shade: Shade,
    points: np.ndarray,
    normals: np.ndarray,
    device: str | torch.device,
    chunk: int = 1 << 14,
    progress=None,
) -> np.ndarray:
    """Colours [N, 3] float32 of surface points, in pieces."""
    colors = np.zeros((len(points), 3), np.float32)
    for start in range(0, len(points), chunk):
        part = slice(start, start + chunk)
        pair = [torch.from_numpy(np.ascontiguousarray(a[part], np.float32)).to(device) for a in (points, normals)]
        colors[part] = shade(*pair).float().cpu().numpy()
        if progress is not None:
            progress(min(1.0, (start + chunk) / len(points)))
    return colors


def bake_texture(
    mesh: TriangleMesh, shade: Shade, size: int, *, device: str | torch.device = "cpu", progress=None
) -> tuple[TriangleMesh, dict[str, float]]:
    """The mesh (with UV) and a `size`^2 texture: covered texels are shaded, every other one takes its nearest covered
    neighbour's colour, so that no mip level sees a background. Returns also the share of covered texels.
    """
    from scipy.ndimage import distance_transform_edt

    images = rasterize_uv(mesh.uv, size, size)
    covered = images["face"] >= 0
    if not covered.any():
        raise ValueError(f"texture_size: texels on the mesh wanted, got none at {size}; raise it")
    corner = mesh.faces[images["face"][covered]]
    weights = images["barycentric"][covered][..., None]
    points = (mesh.vertices[corner] * weights).sum(1)
    normals = unit((mesh.normals[corner] * weights).sum(1))
    colors = shade_points(shade, points, normals, device, progress=progress)
    texture = np.zeros((size, size, 3), np.uint8)
    texture[covered] = np.round(255.0 * colors)
    nearest = distance_transform_edt(~covered, return_distances=False, return_indices=True)
    return replace(mesh, texture=texture[tuple(nearest)]), {"utilisation": float(covered.mean())}


def bake_vertices(
    mesh: TriangleMesh, shade: Shade, *, device: str | torch.device = "cpu", progress=None
) -> TriangleMesh:
    """The mesh with a colour at each vertex."""
    colors = shade_points(shade, mesh.vertices, mesh.normals, device, progress=progress)
    return replace(mesh, vertex_colors=colors)


def bake_loss(mesh: TriangleMesh, access: FieldAccess, *, n_views: int, size_px: int) -> dict[str, float]:
    """How the mesh looks against how the field looks, over a ring of cameras, before white.

    psnr: mean over the views of the whole picture; foreground_psnr: over pixels that either shows at least half opaque;
    inside_psnr: over those that both show fully opaque, the colours' error alone; mask_iou.
    """
    assert access.render is not None
    cameras = view_ring(n_views, size_px)
    rows = []
    for k in range(n_views):
        shown = access.render(cameras[k])
        wanted, opacity = shown.over(1.0).cpu(), shown.opacity.cpu()
        image = rasterize_mesh(mesh, cameras[k], supersample=2)
        error = (image.over(1.0) - wanted).square().mean(-1)
        one, two = image.opacity > 0.5, opacity > 0.5
        inside = (image.opacity > 0.999) & (opacity > 0.99)
        iou = float((one & two).sum() / (one | two).sum().clamp_min(1))
        rows.append((_psnr(error), _psnr(error[one | two]), _psnr(error[inside]), iou))
    names = ("psnr", "foreground_psnr", "inside_psnr", "mask_iou")
    return {name: float(value) for name, value in zip(names, np.mean(rows, axis=0))}


def _psnr(squared_error: Tensor) -> float:
    """In dB for a peak of 1, at most `GAP_DB`."""
    if not squared_error.numel():
        return GAP_DB
    return min(GAP_DB, -10.0 * math.log10(max(float(squared_error.mean()), 1e-12)))
