"""Metallic-roughness surfaces under the light of a picture: what `field.material=pbr` shows.

Letters
    n, v, l, h: unit normal, directions to eye and lamp, half vector of the two; alpha = roughness^2; a: albedo in
    linear light; D, G, F as in `render.brdf`. The light is one of `render.shading.Light`, with its scale s:
    directional: an even radiance s and a far lamp in the direction of its vector u, of irradiance pi s |u|. The even
    part is the split sum of `brdf.reflected`; the lamp adds, times s |u| max(0, n . l),
        (1 - metallic) (a (1 - r) + m) + metallic M + pi D G F / (4 (n . l) (n . v)),
    where r = E + m is what the table of the split sum says returns of an even light after one bounce between facets (E)
    and after several (m, M), so that nothing is lost where nothing is absorbed.
    harmonics, constant: `brdf.reflected` in that environment.
A lamp is no point: lobes are at least as wide as those of roughness LEAST_ROUGHNESS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from nerf2mesh.render.brdf import DIELECTRIC, bounces, reflected, smith, split_sum

if TYPE_CHECKING:
    from nerf2mesh.render.shading import Light

LEAST_ROUGHNESS = 0.1
_EVEN = 2.0 * torch.pi**0.5
"""L_00 of an even radiance of 1."""


def glossy_radiance(
    albedo: Float[Tensor, "*n 3"],
    roughness: Float[Tensor, "*n"],
    metallic: Float[Tensor, "*n"],
    normals: Float[Tensor, "*n 3"],
    to_eye: Float[Tensor, "*n 3"],
    light: Light,
) -> Float[Tensor, "*n 3"]:
    """Linear radiance to the eye of surfaces under `light`; differentiable in everything.

    albedo: in linear light. Burley's parameters as glTF 2.0 has them (appendix B of its specification).
    """
    values = light.values.to(normals)
    even = values.new_full((1,), _EVEN)
    around = torch.cat([even, values if light.kind == "harmonics" else values.new_zeros(8)])
    environment = light.scale * around[:, None].expand(9, 3)
    total = reflected(albedo, roughness, metallic, normals, to_eye, environment)
    if light.kind != "directional":
        return total
    strength = values.norm()
    if float(strength.detach()) < 1e-6:
        return total
    lamp = lamp_radiance(albedo, roughness, metallic, normals, to_eye, values / strength)
    return total + light.scale * strength * lamp


def lamp_radiance(
    albedo: Float[Tensor, "*n 3"],
    roughness: Float[Tensor, "*n"],
    metallic: Float[Tensor, "*n"],
    normals: Float[Tensor, "*n 3"],
    to_eye: Float[Tensor, "*n 3"],
    toward: Float[Tensor, "3"],
) -> Float[Tensor, "*n 3"]:
    """Linear radiance to the eye under a far lamp in the direction `toward` alone, of irradiance pi."""
    cosine = (normals * to_eye).sum(-1).clamp(1e-4, 1.0)
    falling = (normals * toward).sum(-1).clamp_min(0.0)[..., None]
    lobe, closeness = lamp_lobe(roughness, normals, to_eye, toward)
    a, b = (part[..., None] for part in split_sum(cosine, roughness))
    grey = torch.full_like(a, DIELECTRIC)
    single, several = bounces(grey, a, b)
    plain = (albedo * (1.0 - single - several) + several) * falling + lobe * fresnel(grey, closeness)
    _, several = bounces(albedo, a, b)
    metal = several * falling + lobe * fresnel(albedo, closeness)
    return plain + (metal - plain) * metallic[..., None]


def lamp_lobe(
    roughness: Float[Tensor, "*n"],
    normals: Float[Tensor, "*n 3"],
    to_eye: Float[Tensor, "*n 3"],
    toward: Float[Tensor, "3"],
) -> tuple[Float[Tensor, "*n 1"], Float[Tensor, "*n 1"]]:
    """pi D G / (4 n . v), zero behind the lamp's terminator, and the cosine v . h."""
    half = F.normalize(to_eye + toward, dim=-1)
    alpha = roughness.clamp(LEAST_ROUGHNESS, 1.0).square()
    view = (normals * to_eye).sum(-1).clamp(1e-4, 1.0)
    down = (normals * toward).sum(-1)
    density = trowbridge_reitz((normals * half).sum(-1), alpha)
    value = torch.pi * density * smith(down.clamp_min(1e-6), view, alpha) / (4.0 * view)
    return torch.where(down > 0.0, value, 0.0)[..., None], (to_eye * half).sum(-1).clamp(0.0, 1.0)[..., None]


def trowbridge_reitz(cosine: Tensor, alpha: Tensor) -> Tensor:
    """D: the density of facets whose normal makes `cosine` with the surface's (Walter et al. 2007, equation 33)."""
    square = alpha.square()
    return square / (torch.pi * (cosine.square() * (square - 1.0) + 1.0).square())


def fresnel(f0: Tensor, cosine: Tensor) -> Tensor:
    """Schlick 1994."""
    return f0 + (1.0 - f0) * (1.0 - cosine) ** 5
