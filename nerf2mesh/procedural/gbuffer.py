"""G-buffers of procedural scenes and of rasterized meshes; drawings are made from them.

A G-buffer is a dict of image batches [..., h, w, *]: `rgb` (as the picture shows it), `albedo` (without light),
`alpha`, `normal` (world axes), `depth` (along the ray, world units) and `facing` (cosine between the normal and the
direction to the eye: 1 seen from the front, 0 at a contour). rgb, albedo and normal are premultiplied by alpha; depth
and facing are means over the covered part of a pixel, 0 where nothing is covered.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nerf2mesh.procedural.render import SceneRenderer, Scenes
from nerf2mesh.types import Camera, Rendering

GBuffer = dict[str, Tensor]


def scene_gbuffer(scenes: Scenes, cameras: Camera, renderer: SceneRenderer) -> GBuffer:
    """Of scenes [B] from cameras [B, V], on whatever device they are; images [B, V, h, w, *].

    The picture is `renderer`'s own, so what a prior is trained on; `exact.render_exact` is slower and exact.
    """
    seen = renderer.render(scenes, cameras, albedo=True)
    s = renderer.supersample
    depth, normal, albedo = seen["depth"], seen["normal"], seen["albedo"]
    hit = (depth > 0).to(depth.dtype)
    rays = cameras.resized(cameras.width_px * s, cameras.height_px * s).rays()
    facing = -(normal * rays.directions).sum(-1) * hit
    share = pooled(hit, s)
    return {
        "rgb": seen["rgba"][..., :3],
        "alpha": seen["rgba"][..., 3],
        "albedo": pooled(albedo, s),
        "normal": pooled(normal, s),
        "depth": pooled(depth, s) / share.clamp_min(1e-6),
        "facing": pooled(facing, s) / share.clamp_min(1e-6),
    }


def mesh_gbuffer(rendering: Rendering, cameras: Camera) -> GBuffer:
    """Of a rasterized mesh (or a rendered field) seen by `cameras`; its color stands for the albedo too.

    ValueError where the rendering has no normals.
    """
    if rendering.normal is None:
        raise ValueError("rendering: expected one with normals, got none; rasterize the mesh with normals")
    alpha = rendering.opacity
    normal = rendering.normal / rendering.normal.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    facing = -(normal * cameras.rays().directions).sum(-1)
    return {
        "rgb": rendering.rgb,
        "alpha": alpha,
        "albedo": rendering.rgb,
        "normal": rendering.normal,
        "depth": rendering.depth,
        "facing": torch.where(alpha > 1e-3, facing, 0.0),
    }


def pooled(values: Tensor, factor: int) -> Tensor:
    """Images [B, V, factor * h, factor * w, *c] averaged over factor x factor pixels."""
    b, v, height, width = values.shape[:4]
    blocks = values.reshape(b, v, height // factor, factor, width // factor, factor, *values.shape[4:])
    return blocks.mean(dim=(3, 5))
