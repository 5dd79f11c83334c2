"""Shows meshes in far surroundings: three of them, and any that harmonics of degree 2 can say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from nerf2mesh.fields.harmonics import spherical_harmonics
from nerf2mesh.render.brdf import reflected
from nerf2mesh.render.rasterizer import rasterize_mesh
from nerf2mesh.render.shading import to_linear, to_srgb
from nerf2mesh.types import Camera, Rendering

SKY = ((0.0, 0.0, 1.0), (0.45, 0.6, 0.9), (0.5, 0.42, 0.35))
"""Up, the color there, and the color from the ground; linear."""
LAMPS: dict[str, tuple[tuple[tuple[float, float, float], tuple[float, float, float]], ...]] = {
    "studio": (
        ((0.6, -0.7, 0.6), (1.2, 1.2, 1.2)),
        ((0.5, 0.8, 0.3), (0.6, 0.6, 0.6)),
        ((-0.9, 0.1, 0.4), (0.5, 0.5, 0.5)),
    ),
    "sky": (((0.4, -0.5, 0.8), (0.5, 0.48, 0.42)),),
    "evening": (((0.5, -0.9, 0.15), (2.2, 1.3, 0.6)), ((-0.6, 0.6, 0.6), (0.15, 0.25, 0.5))),
}
"""Directions and linear colors of the broad lamps of each surroundings; the mean radiance is about 0.6 to 0.9."""
EVEN = {"studio": (0.35, 0.35, 0.35), "sky": (0.0, 0.0, 0.0), "evening": (0.2, 0.2, 0.26)}


def environment(name: str) -> Float[Tensor, "9 3"]:
    """Harmonics of degree 2 of the linear radiance of "studio", "sky" or "evening", in world axes."""

    def radiance(directions: Tensor) -> Tensor:
        total = directions.new_tensor(EVEN[name]).expand(len(directions), 3)
        if name == "sky":
            share = 0.5 + 0.5 * directions[:, 2:]
            total = share * directions.new_tensor(SKY[1]) + (1.0 - share) * directions.new_tensor(SKY[2])
        for toward, color in LAMPS[name]:
            axis = torch.nn.functional.normalize(directions.new_tensor(toward), dim=0)
            total = total + (directions @ axis).clamp_min(0.0)[:, None] ** 2 * directions.new_tensor(color)
        return total

    directions = spread(20_000)
    return 4.0 * torch.pi * (spherical_harmonics(directions, 2).T @ radiance(directions)) / len(directions)


def spread(n: int) -> Float[Tensor, "n 3"]:
    """Directions evenly over the sphere, on a Fibonacci spiral."""
    number = torch.arange(n, dtype=torch.float64) + 0.5
    z = 1.0 - 2.0 * number / n
    turn = torch.pi * (1.0 + 5.0**0.5) * number
    r = (1.0 - z**2).sqrt()
    return torch.stack([r * turn.cos(), r * turn.sin(), z], dim=-1)


def relight_mesh(mesh, camera: Camera, surroundings: Float[Tensor, "k 3"], *, supersample: int = 2) -> Rendering:
    """A `TriangleMesh` with its roughness and metallic (of the texture `orm` where it has one) in `surroundings`,
    harmonics in world axes. Occlusion darkens what is not mirrored. Values above white are clipped."""
    shown = rasterize_mesh(mesh, camera, supersample=supersample)
    assert shown.normal is not None
    opacity = shown.opacity[..., None].clamp_min(1e-6)
    occlusion, roughness, metallic = _packed(mesh, camera, shown.opacity, supersample)
    normals = torch.nn.functional.normalize(shown.normal.double(), dim=-1)
    to_eye = -camera.rays().directions.double()
    albedo = to_linear((shown.rgb / opacity).double().clamp(0.0, 1.0))
    light = reflected(albedo, roughness, metallic, normals, to_eye, surroundings.double(), occlusion)
    straight = to_srgb(light.clamp(0.0, 1.0)).float()
    return replace(shown, rgb=straight * shown.opacity[..., None])


def _packed(mesh, camera: Camera, opacity: Tensor, supersample: int) -> tuple[Tensor, Tensor, Tensor]:
    """Occlusion, roughness and metallic [*p] as the camera sees them."""
    if mesh.orm is None or mesh.uv is None:
        one = torch.ones_like(opacity, dtype=torch.float64)
        return one, one * mesh.roughness, one * mesh.metallic
    seen = rasterize_mesh(replace(mesh, texture=np.ascontiguousarray(mesh.orm)), camera, supersample=supersample)
    values = (seen.rgb / seen.opacity.clamp_min(1e-6)[..., None]).double().clamp(0.0, 1.0)
    return values[..., 0], values[..., 1], values[..., 2]
