"""The metallic-roughness reflection of glTF 2.0, integrated over a far environment (split sum, Karis 2013).

Letters
    n, v, l, h: unit normal, directions to eye and light, half vector; alpha = roughness^2. D: GGX; G: Smith's
    height-correlated masking and shadowing (Heitz 2014, equation 99); F = F0 + (1 - F0) (1 - v.h)^5 (Schlick 1994).
    The directional albedo of the specular lobe is F0 a(n.v, roughness) + b(n.v, roughness), with
        a = E[(1 - c) g], b = E[c g], c = (1 - v.h)^5, g = G (v.h) / ((n.h) (n.v)), h drawn by D (n.h).
    What several bounces between facets add: Fdez-Aguera 2019 (JCGT 8(1), "A Multiple-Scattering Microfacet Model for
    Real-Time Image-based Lighting"), so that nothing is lost where nothing is absorbed.
"""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from nerf2mesh.fields.harmonics import spherical_harmonics

TABLE = 64
"""Entries along both axes of the table, at the even positions 0 to 1 of sqrt(n.v) and of the roughness."""
DRAWS = 64
"""Half vectors along both axes of the square that the integrals draw from."""
DIELECTRIC = 0.04
"""F0 of what is no metal: an index of 1.5, as glTF has it."""
COSINE_BANDS = (1.0, 2.0 / 3.0, 0.25, 0.0)
"""What the cosine lobe leaves of l = 0 to 3, over pi (Ramamoorthi and Hanrahan 2001)."""
SMOOTHEST = 0.03
"""Roughness below this counts as this: the lobe would fall between the draws."""


@cache
def table() -> Float[Tensor, "t t 2"]:
    """(a, b) over sqrt(n.v) and roughness, float64, by the midpoint rule over the square of `ggx_draws`."""
    cosine = torch.linspace(0.0, 1.0, TABLE, dtype=torch.float64).square().clamp_min(1e-4)
    rough = torch.linspace(0.0, 1.0, TABLE, dtype=torch.float64).clamp_min(SMOOTHEST)
    columns = []
    for alpha in rough.square():
        half = ggx_draws(alpha)
        view = torch.stack([(1.0 - cosine**2).sqrt(), torch.zeros_like(cosine), cosine], dim=-1)
        toward = view @ half.T
        down = 2.0 * toward * half[:, 2] - cosine[:, None]
        shadow = smith(down.clamp_min(1e-9), cosine[:, None], alpha)
        g = torch.where((down > 0) & (toward > 0), shadow * toward / (half[:, 2] * cosine[:, None]), 0.0)
        c = (1.0 - toward.clamp(0.0, 1.0)) ** 5
        columns.append(torch.stack([((1.0 - c) * g).mean(1), (c * g).mean(1)], dim=-1))
    return torch.stack(columns, dim=1)


def ggx_draws(alpha: Tensor) -> Float[Tensor, "d 3"]:
    """Half vectors [DRAWS^2, 3] about +Z, of equal weight, by D(h) (n.h) (Walter et al. 2007, equations 35 and 36)."""
    even = (torch.arange(DRAWS, dtype=torch.float64) + 0.5) / DRAWS
    u, turn = (grid.reshape(-1) for grid in torch.meshgrid(even, 2.0 * torch.pi * even, indexing="ij"))
    cosine = ((1.0 - u) / (1.0 + (alpha**2 - 1.0) * u)).sqrt()
    sine = (1.0 - cosine**2).clamp_min(0.0).sqrt()
    return torch.stack([sine * turn.cos(), sine * turn.sin(), cosine], dim=-1)


def smith(light: Tensor, view: Tensor, alpha: Tensor) -> Tensor:
    """G of the cosines n.l and n.v, above 0."""
    square = alpha**2
    one = light * (view**2 * (1.0 - square) + square).sqrt()
    two = view * (light**2 * (1.0 - square) + square).sqrt()
    return 2.0 * light * view / (one + two)


def split_sum(cosine: Float[Tensor, "*n"], roughness: Float[Tensor, "*n"]) -> tuple[Tensor, Tensor]:
    """a and b [*n], bilinear in the table and differentiable in both arguments."""
    values = table().to(cosine)
    x = cosine.clamp(1e-8, 1.0).sqrt() * (TABLE - 1)
    y = roughness.clamp(0.0, 1.0) * (TABLE - 1)
    i, j = (at.detach().floor().long().clamp(max=TABLE - 2) for at in (x, y))
    s, t = (x - i)[..., None], (y - j)[..., None]
    low = values[i, j] * (1.0 - s) + values[i + 1, j] * s
    high = values[i, j + 1] * (1.0 - s) + values[i + 1, j + 1] * s
    both = low * (1.0 - t) + high * t
    return both[..., 0], both[..., 1]


@cache
def lobe_bands(degree: int) -> Float[Tensor, "t d"]:
    """What the lobe of each roughness, seen along its axis, leaves of the bands l = 0 to `degree` of the environment:
    means of the Legendre polynomials P_l(n.l), weighted by n.l (Karis 2013, "pre-filtered environment map")."""
    rows = []
    for rough in torch.linspace(0.0, 1.0, TABLE, dtype=torch.float64).clamp_min(SMOOTHEST):
        half = ggx_draws(rough.square())
        z = 2.0 * half[:, 2] ** 2 - 1.0
        weight = z.clamp_min(0.0)
        polynomials = [torch.ones_like(z), z, 1.5 * z**2 - 0.5, 2.5 * z**3 - 1.5 * z]
        rows.append(torch.stack([(weight * p).sum() / weight.sum() for p in polynomials[: degree + 1]]))
    return torch.stack(rows)


def reflected(
    albedo: Float[Tensor, "*n 3"],
    roughness: Float[Tensor, "*n"],
    metallic: Float[Tensor, "*n"],
    normals: Float[Tensor, "*n 3"],
    to_eye: Float[Tensor, "*n 3"],
    environment: Float[Tensor, "k 3"],
    occlusion: Float[Tensor, "*n"] | None = None,
) -> Float[Tensor, "*n 3"]:
    """Linear radiance to the eye of a surface under an environment: glTF's mean of metal and dielectric by `metallic`.
    Differentiable in everything.

    albedo: in linear light. occlusion: the share of an even light that arrives; darkens all but the mirrored light.
    environment: harmonics L_lm of its linear radiance, l = 0 to 2 (k = 9) or 3 (k = 16).
    """
    cosine = (normals * to_eye).sum(-1).clamp(1e-4, 1.0)
    a, b = (part[..., None] for part in split_sum(cosine, roughness))
    mirror = 2.0 * cosine[..., None] * normals - to_eye
    irradiance = banded(normals, environment, normals.new_tensor(COSINE_BANDS[: degree_of(environment) + 1]))
    irradiance = irradiance if occlusion is None else irradiance * occlusion[..., None]
    radiance = prefiltered(mirror, roughness, environment)
    single, several = bounces(torch.full_like(a, DIELECTRIC), a, b)
    plain = single * radiance + (several + albedo * (1.0 - single - several)) * irradiance
    single, several = bounces(albedo, a, b)
    metal = single * radiance + several * irradiance
    return plain + (metal - plain) * metallic[..., None]


def bounces(f0: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The shares of an even light that return after one bounce between facets, and after several (Fdez-Aguera 2019)."""
    single, lost, mean = f0 * a + b, 1.0 - a - b, f0 + (1.0 - f0) / 21.0
    return single, single * mean * lost / (1.0 - mean * lost)


def prefiltered(directions: Tensor, roughness: Tensor, environment: Tensor) -> Tensor:
    """The environment's radiance [*n, 3] around `directions`, blurred by the lobe of each roughness."""
    levels = lobe_bands(degree_of(environment)).to(directions)
    y = roughness.clamp(0.0, 1.0) * (TABLE - 1)
    j = y.detach().floor().long().clamp(max=TABLE - 2)
    t = (y - j)[..., None]
    return banded(directions, environment, levels[j] * (1.0 - t) + levels[j + 1] * t).clamp_min(0.0)


def banded(directions: Tensor, environment: Tensor, bands: Tensor) -> Tensor:
    """sum_lm bands_l L_lm Y_lm(direction) [*n, 3]; bands [d] for all or [*n, d] for each."""
    degree = degree_of(environment)
    number = torch.tensor([band for band in range(degree + 1) for _ in range(2 * band + 1)])
    basis = spherical_harmonics(directions, degree) * bands[..., number.to(directions.device)]
    return basis @ environment.to(directions)


def degree_of(environment: Tensor) -> int:
    """The degree of harmonics [k, 3]; an environment of other lengths is our own mistake."""
    degree = round(len(environment) ** 0.5) - 1
    assert (degree + 1) ** 2 == len(environment) and 0 <= degree <= 3, "harmonics have 1, 4, 9 or 16 values"
    return degree
