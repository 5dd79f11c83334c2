"""Pictures for a ControlNet (Zhang et al. 2023), made from the given view or from the rendering.

A control picture is [n, 3, s, s] in [0, 1]: canny, lineart and scribble are white lines on black; depth is near white
and far black, background black; normal is ScanNet's coloring, as the published ControlNets read it: in the camera's
axes (x right, y up, z to the viewer) red grows to the left, green up, blue to the viewer.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nerf2mesh.inputs.config import DRAWINGS
from nerf2mesh.priors.config import PriorConfig
from nerf2mesh.priors.foundation.components import Loaded, first_line, quiet, whole
from nerf2mesh.priors.foundation.resolve import folder_of
from nerf2mesh.types import Camera, Observations

FADE_FROM_DEG, FADE_TO_DEG = 15.0, 60.0
NO_LIGHT = 1e-6


def load(config: PriorConfig, dtype: torch.dtype) -> nn.Module:
    """The ControlNet that the configuration names, frozen. ValueError where it is missing or unreadable."""
    from diffusers import ControlNetModel  # pyright: ignore[reportPrivateImportUsage]  # lazily exported

    assert config.controlnet is not None
    folder = folder_of(config.controlnet, config, "prior.controlnet")
    if not any(folder.glob("*.safetensors")):
        raise ValueError(
            f"prior.controlnet: expected a ControlNet's folder, got {folder} without .safetensors; get it anew"
        )
    try:
        with quiet():
            loaded = ControlNetModel.from_pretrained(
                str(folder), torch_dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
    except (OSError, RuntimeError, KeyError, TypeError) as error:
        raise ValueError(
            f"prior.controlnet: expected a ControlNet in diffusers' layout, got {folder} ({first_line(error)}); "
            "get it anew"
        ) from error
    return whole(cast(Loaded, loaded), f"prior.controlnet: {folder}").requires_grad_(False).eval()


def of_reference(kind: str, observations: Observations, size: int) -> Tensor:
    """From the first view [1, 3, size, size]. A drawing's own strokes are taken for lineart and scribble."""
    if kind in ("depth", "normal"):
        raise ValueError(
            f"prior.control={kind}: a picture does not tell its {kind}; set prior.control_from=rendering, or use canny"
        )
    if not observations.views:
        raise ValueError("prior.control_from=reference: expected a picture, got none; add input.image=PICTURE.png")
    view = observations.views[0]
    rgba = _resized(view.image.permute(2, 0, 1)[None], size)
    rgb = rgba[:, :3] * rgba[:, 3:] + 1.0 - rgba[:, 3:]
    if view.domain in DRAWINGS and kind != "canny":
        pale = view.domain == "blueprint"  # lines are paler than the paper
        ink = luminance(rgba[:, :3] * rgba[:, 3:]) if pale else 1.0 - luminance(rgb)
        return (ink > 0.4).float().expand(-1, 3, -1, -1) if kind == "scribble" else ink.expand(-1, 3, -1, -1)
    return edges(kind, rgb)


def of_rendering(kind: str, images: Tensor, depth: Tensor | None, cameras: Camera | None, size: int) -> Tensor:
    """From premultiplied RGBA [B, V, h, w, 4] and, for depth and normal, depth along the ray [B, V, h, w].

    Normals also need the cameras [B, V]. Returns [B V, 3, size, size].
    """
    flat = images.flatten(0, 1).permute(0, 3, 1, 2)
    full = flat[:, 3:4] if flat.shape[1] == 4 else torch.ones_like(flat[:, :1])
    alpha = _resized(full, size)
    if kind == "depth":
        assert depth is not None, "see `show`"
        far = _resized(depth.flatten(0, 1)[:, None] * full, size) / alpha.clamp_min(NO_LIGHT)
        return _depth_colors(far, alpha)
    if kind == "normal":
        assert depth is not None and cameras is not None, "see `show`"
        normal = camera_normals(depth, cameras).flatten(0, 1).permute(0, 3, 1, 2)
        return _normal_colors(_resized(normal * full, size), alpha)
    return edges(kind, _resized(flat[:, :3], size) + 1.0 - alpha)


def edges(kind: str, rgb: Tensor) -> Tensor:
    """White lines on black [n, 3, s, s] from RGB in [0, 1]."""
    if kind == "lineart":
        lines = _soft_lines(luminance(rgb))
    else:
        lines = torch.stack([_canny(image) for image in rgb]).to(rgb.device)
        if kind == "scribble":
            lines = F.max_pool2d(lines, 5, stride=1, padding=2)
    return lines.expand(-1, 3, -1, -1)


def camera_normals(depth: Tensor, cameras: Camera) -> Tensor:
    """Normals [B, V, h, w, 3] in the axes of the cameras (x right, y up, z to the viewer) of the surface that `depth`
    [B, V, h, w] along the rays describes, from neighboring pixels (central differences; one-sided at the border)."""
    rays = cameras.resized(depth.shape[-1], depth.shape[-2]).rays()
    points = rays.origins + depth[..., None] * rays.directions
    down, right = torch.gradient(points, dim=(-3, -2))
    normal = F.normalize(torch.linalg.cross(right, -down), dim=-1)
    normal = torch.where((normal * rays.directions).sum(-1, keepdim=True) > 0, -normal, normal)
    return torch.einsum("bvhwi,bvij->bvhwj", normal, cameras.camera_to_world[..., :3, :3])


def nearness(cameras: Camera, reference: Camera) -> Tensor:
    """[B V]: 1 where the camera looks as the reference does (within 15 degrees), falling smoothly to 0 at 60."""
    position = F.normalize(cameras.position.reshape(-1, 3), dim=-1)
    given = F.normalize(reference.position.to(position).reshape(1, 3), dim=-1)
    angle = torch.rad2deg(torch.acos((position * given).sum(-1).clamp(-1.0, 1.0)))
    share = ((FADE_TO_DEG - angle) / (FADE_TO_DEG - FADE_FROM_DEG)).clamp(0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)


def luminance(rgb: Tensor) -> Tensor:
    """Rec. 709, [n, 1, s, s]."""
    return (rgb * rgb.new_tensor([0.2126, 0.7152, 0.0722]).reshape(1, 3, 1, 1)).sum(1, keepdim=True)


def _canny(rgb: Tensor) -> Tensor:
    import cv2

    picture = (rgb.permute(1, 2, 0).clamp(0, 1) * 255.0).round().byte().cpu().numpy()
    found = cv2.Canny(np.ascontiguousarray(picture), 100, 200)
    return torch.from_numpy(found).float()[None] / 255.0


def _soft_lines(grey: Tensor) -> Tensor:
    """Difference of Gaussians, as strong as the local step: soft lines where the picture changes."""
    fine, coarse = (_blurred(grey, sigma) for sigma in (1.0, 2.5))
    return ((fine - coarse).abs() * 8.0).clamp(0.0, 1.0)


def _blurred(grey: Tensor, sigma: float) -> Tensor:
    reach = math.ceil(3 * sigma)
    x = torch.arange(-reach, reach + 1, dtype=grey.dtype, device=grey.device)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(grey, (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.reshape(1, 1, 1, -1)), kernel.reshape(1, 1, -1, 1))


def _depth_colors(depth: Tensor, alpha: Tensor) -> Tensor:
    """Inverse depth of each picture's object from 0.1 (farthest) to 1 (nearest)."""
    inside = alpha > 0.5
    inverse = 1.0 / depth.clamp_min(1e-3)
    low = inverse.masked_fill(~inside, float("inf")).amin((1, 2, 3), keepdim=True)
    high = inverse.masked_fill(~inside, float("-inf")).amax((1, 2, 3), keepdim=True)
    shade = 0.1 + 0.9 * (inverse - low) / (high - low).clamp_min(NO_LIGHT)
    return torch.where(inside, shade, torch.zeros_like(shade)).clamp(0.0, 1.0).expand(-1, 3, -1, -1)


def _normal_colors(normal: Tensor, alpha: Tensor) -> Tensor:
    unit = F.normalize(normal, dim=1) * normal.new_tensor([-1.0, 1.0, 1.0]).reshape(1, 3, 1, 1)
    facing = normal.new_tensor([0.5, 0.5, 1.0]).reshape(1, 3, 1, 1)
    return torch.where(alpha > 0.5, 0.5 + 0.5 * unit, facing.expand_as(unit))


def _resized(images: Tensor, size: int) -> Tensor:
    return F.interpolate(images, size=(size, size), mode="bilinear", antialias=True)
