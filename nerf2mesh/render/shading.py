"""Lambert's shading of a rendered albedo by a far, neutral light: what `field.material=lambert` shows.

Letters
    n: unit normal in world axes. E(n): irradiance / pi, so that an even light of radiance 1 gives E = 1. a: albedo in
    linear light. A picture shows sRGB(a E(n)).
    directional: E(n) = 1 + max(0, n . v), an even light and a far lamp in direction v; |v| is its share.
    harmonics: E(n) = 1 + sum_{l=1,2} (A_l / pi) L_lm Y_lm(n), with A_1 = 2 pi / 3 and A_2 = pi / 4 (Ramamoorthi and
    Hanrahan 2001, equation 8). L_lm are those of the radiance, whose mean over the sphere is 1.
    Both times a scale by which the mean of E over the surface that the given picture shows is 1: light and albedo
    leave a factor open, and so the albedo is as bright as the picture.
One normal for each ray, at its mean depth: the light is so smooth that normals of all samples would add nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from nerf2mesh.fields import HashGridField
from nerf2mesh.fields.harmonics import spherical_harmonics
from nerf2mesh.render.gloss import glossy_radiance
from nerf2mesh.types import Rays, Rendering

SPREAD = 0.04
"""World units over which a normal is taken: the field's own fine structure is noise for this purpose."""
DARKEST = 0.05
"""E before its scale is at least this: negative lobes of harmonics are no light."""
SEEN = 0.05
"""Rays that are less opaque have no normal and stay as they are."""
N_VALUES = {"constant": 0, "directional": 3, "harmonics": 8}


@dataclass(frozen=True, eq=False)
class Light:
    """Kind, and its values: v [3] of "directional", L_lm [8] (l = 1, then 2, m rising) of "harmonics", none [0]."""

    kind: str = "constant"
    values: Float[Tensor, "k"] = field(default_factory=lambda: torch.zeros(0))
    scale: float = 1.0

    def irradiance(self, normals: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n"]:
        """E(n), differentiable in the normals and the values."""
        values = self.values.to(normals)
        if self.kind == "constant":
            return torch.full_like(normals[..., 0], self.scale)
        if self.kind == "directional":
            return self.scale * (1.0 + (normals * values).sum(-1).clamp_min(0.0))
        basis = spherical_harmonics(normals, 2)[..., 1:]
        return self.scale * (1.0 + (basis * (values * _lobe(values))).sum(-1)).clamp_min(DARKEST)

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {"kind": self.kind, "values": [round(float(v), 6) for v in self.values], "scale": round(self.scale, 6)}


def _lobe(like: Tensor) -> Float[Tensor, "8"]:
    """A_l / pi of the eight functions of degrees 1 and 2."""
    return like.new_tensor([2.0 / 3.0] * 3 + [0.25] * 5)


def to_linear(srgb: Tensor) -> Tensor:
    """Linear light of sRGB values, any shape; not clipped above 1, so that gradients stay (IEC 61966-2-1)."""
    low = srgb / 12.92
    return torch.where(srgb <= 0.04045, low, ((srgb.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: Tensor) -> Tensor:
    """sRGB of linear light, any shape; not clipped above 1."""
    low = linear * 12.92
    return torch.where(linear <= 0.0031308, low, 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)


def relit(srgb: Float[Tensor, "*n 3"], irradiance: Float[Tensor, "*n"]) -> Float[Tensor, "*n 3"]:
    """sRGB colors with their linear light multiplied; divide by E with 1 / E."""
    return to_srgb(to_linear(srgb) * irradiance[..., None])


def shaded(rendering: Rendering, irradiance: Float[Tensor, "*p"]) -> Rendering:
    """The rendering of an albedo as the light shows it: premultiplied as before."""
    opacity = rendering.opacity[..., None].clamp_min(1e-4)
    return replace(rendering, rgb=relit(rendering.rgb / opacity, irradiance) * opacity)


@torch.no_grad()
def ray_normals(field: HashGridField, rays: Rays, rendering: Rendering) -> Float[Tensor, "*p 3"]:
    """Unit normals of the surface that each ray sees, zero where that is less opaque than SEEN."""
    points = (rays.origins + rays.directions * rendering.depth[..., None]).reshape(-1, 3)
    seen, spread = rendering.opacity.reshape(-1) > SEEN, max(SPREAD, 0.5 * field.cell_size)
    if points.device.type != "cpu":  # counting them there would wait for the device
        normals = field.normals(points, "finite_difference", spread) * seen[:, None]
        return normals.reshape(rendering.rgb.shape)
    normals = torch.zeros_like(points)
    if bool(seen.any()):
        normals[seen] = field.normals(points[seen], "finite_difference", spread)
    return normals.reshape(rendering.rgb.shape)


def glossy(
    rendering: Rendering, normals: Float[Tensor, "*p 3"], to_eye: Float[Tensor, "*p 3"], light: Light
) -> Rendering:
    """As `shaded`, with the roughness and metallic of `rendering.extra["surface"]`; what has no normal stays."""
    opacity = rendering.opacity[..., None].clamp_min(1e-4)
    straight, surface = rendering.rgb / opacity, (rendering.extra["surface"] / opacity).clamp(0.0, 1.0)
    lit = glossy_radiance(to_linear(straight), surface[..., 0], surface[..., 1], normals, to_eye, light)
    return replace(rendering, rgb=torch.where(normals.any(-1, keepdim=True), to_srgb(lit), straight) * opacity)


def shaded_rays(rendering: Rendering, rays: Rays, field: HashGridField, light: Light) -> Rendering:
    """The rendering of the field at `rays` (shape as the rendering's) under `light`; no gradient goes to normals.
    A field with roughness and metallic is shown with its highlights."""
    normals = ray_normals(field, rays, rendering)
    if "surface" in rendering.extra:
        return glossy(rendering, normals, -rays.directions, light)
    lit = light.irradiance(normals)
    return shaded(rendering, torch.where(normals.any(-1), lit, torch.ones_like(lit)))
