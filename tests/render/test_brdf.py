"""The reflection's integrals against direct quadrature over the sphere of light, and its gradients in float64."""

from __future__ import annotations

import math

import pytest
import torch

from nerf2mesh.fields.harmonics import spherical_harmonics
from nerf2mesh.render.brdf import DIELECTRIC, lobe_bands, prefiltered, reflected, split_sum, table

EVEN = torch.tensor([[2.0 * math.sqrt(math.pi)] * 3] + [[0.0] * 3] * 8, dtype=torch.float64)
"""Harmonics of an environment of radiance 1 everywhere."""


def sphere(n: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """Directions of the upper half sphere [n * 2n, 3] and their solid angles."""
    height = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    turn = (torch.arange(2 * n, dtype=torch.float64) + 0.5) * math.pi / n
    z, phi = (x.reshape(-1) for x in torch.meshgrid(height, turn, indexing="ij"))
    r = (1.0 - z**2).sqrt()
    return torch.stack([r * phi.cos(), r * phi.sin(), z], -1), torch.full((2 * n * n,), 2.0 * math.pi / (2 * n * n))


def brdf_times_cosine(light: torch.Tensor, cosine: float, roughness: float, f0: float) -> torch.Tensor:
    """D G F / (4 n.v) of light directions [n, 3], written out (Walter et al. 2007)."""
    view = torch.tensor([math.sqrt(1.0 - cosine**2), 0.0, cosine], dtype=torch.float64)
    half = torch.nn.functional.normalize(light + view, dim=-1)
    square = roughness**4
    d = square / (math.pi * (half[:, 2] ** 2 * (square - 1.0) + 1.0) ** 2)
    lambdas = [0.5 * (torch.sqrt(1.0 + square * (1.0 / c**2 - 1.0)) - 1.0) for c in (light[:, 2], view[2])]
    fresnel = f0 + (1.0 - f0) * (1.0 - half @ view) ** 5
    return d * fresnel / (1.0 + lambdas[0] + lambdas[1]) / (4.0 * cosine)


@pytest.mark.parametrize("roughness", [0.25, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("cosine", [0.15, 0.5, 0.95])
@pytest.mark.parametrize("f0", [1.0, DIELECTRIC])
def test_the_table_is_the_integral_of_the_lobe_within_a_percent(roughness: float, cosine: float, f0: float) -> None:
    light, weight = sphere()
    whole = float((brdf_times_cosine(light, cosine, roughness, f0) * weight).sum())
    a, b = split_sum(torch.tensor([cosine], dtype=torch.float64), torch.tensor([roughness], dtype=torch.float64))
    assert float(f0 * a + b) == pytest.approx(whole, rel=0.01, abs=1e-4)


def test_a_white_furnace_stays_white() -> None:
    """What absorbs nothing is not to be seen before an even light: metal and plaster, all angles, all roughnesses."""
    n = 40
    cosine, rough = torch.meshgrid(
        torch.linspace(0.02, 1.0, n, dtype=torch.float64),
        torch.linspace(0.0, 1.0, n, dtype=torch.float64),
        indexing="ij",
    )
    normals = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(n, n, 3)
    eye = torch.stack([(1.0 - cosine**2).sqrt(), torch.zeros_like(cosine), cosine], dim=-1)
    white = torch.ones(n, n, 3, dtype=torch.float64)
    for metallic in (0.0, 0.5, 1.0):
        shown = reflected(white, rough, torch.full_like(rough, metallic), normals, eye, EVEN)
        assert float((shown - 1.0).abs().max()) < 0.01
    assert float(table().sum(-1).max()) < 1.005
    darker = reflected(0.5 * white, rough, torch.zeros_like(rough), normals, eye, EVEN)
    assert float(darker.max()) < 1.0


def test_prefiltering_is_the_mean_over_the_lobe() -> None:
    """GGX about the reflected ray with n = v = r, weighted by n.l, by direct quadrature."""
    generator = torch.Generator().manual_seed(0)
    environment = torch.randn(9, 3, generator=generator, dtype=torch.float64) * 0.1 + EVEN
    light, weight = sphere()
    for roughness in (0.4, 0.7, 1.0):
        half = torch.nn.functional.normalize(light + torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64), dim=-1)
        square = roughness**4
        d = square / (math.pi * (half[:, 2] ** 2 * (square - 1.0) + 1.0) ** 2)
        share = weight * d / 4.0 * light[:, 2]
        wanted = (share[:, None] * (spherical_harmonics(light, 2) @ environment)).sum(0) / share.sum()
        up = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
        found = prefiltered(up, torch.tensor([roughness], dtype=torch.float64), environment)
        assert torch.allclose(found[0], wanted, rtol=0.01)
    assert float((lobe_bands(3)[0] - 1.0).abs().max()) < 0.01


def test_a_matte_surface_shows_its_albedo_times_the_irradiance() -> None:
    """Irradiance by direct quadrature; the specular lobe adds at most what it takes from an even light."""
    generator = torch.Generator().manual_seed(1)
    environment = torch.randn(9, 3, generator=generator, dtype=torch.float64) * 0.1 + EVEN
    light, weight = sphere()
    wanted = (weight[:, None] * light[:, 2:] * (spherical_harmonics(light, 2) @ environment)).sum(0) / math.pi
    up = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
    one = torch.ones(1, dtype=torch.float64)
    shown = reflected(torch.full((1, 3), 0.8, dtype=torch.float64), one, 0.0 * one, up, up, environment)
    assert torch.allclose(shown[0] / wanted, torch.full((3,), 0.8, dtype=torch.float64), atol=0.03)


def test_gradients_are_those_of_differences_in_float64() -> None:
    generator = torch.Generator().manual_seed(2)
    shape = (6,)
    albedo = torch.rand(*shape, 3, generator=generator, dtype=torch.float64) * 0.8 + 0.1
    roughness = torch.rand(*shape, generator=generator, dtype=torch.float64) * 0.8 + 0.1
    metallic = torch.rand(*shape, generator=generator, dtype=torch.float64)
    normals = torch.nn.functional.normalize(torch.randn(*shape, 3, generator=generator, dtype=torch.float64), dim=-1)
    aside = torch.randn(*shape, 3, generator=generator, dtype=torch.float64) * 0.4
    eye = torch.nn.functional.normalize(normals + aside, dim=-1)
    environment = torch.randn(9, 3, generator=generator, dtype=torch.float64) * 0.1 + EVEN
    inputs = [x.requires_grad_() for x in (albedo, roughness, metallic, normals, eye, environment)]
    assert torch.autograd.gradcheck(reflected, inputs, atol=1e-5)
