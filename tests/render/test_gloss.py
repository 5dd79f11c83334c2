"""Surfaces under an even light and a far lamp: what returns, reciprocity, gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nerf2mesh.render.gloss import glossy_radiance, lamp_radiance
from nerf2mesh.render.relight import spread
from nerf2mesh.render.shading import Light


def one(value: float, n: int) -> torch.Tensor:
    return torch.full((n,), value, dtype=torch.float64)


def upward(n: int) -> torch.Tensor:
    return torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(n, 3)


@pytest.mark.parametrize("roughness", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("metallic", [0.0, 1.0])
def test_a_white_surface_under_an_even_light_is_white(roughness: float, metallic: float) -> None:
    """The furnace, within 1 %, from head-on to 5 degrees above the horizon."""
    cosine = torch.linspace(0.087, 1.0, 20, dtype=torch.float64)
    to_eye = torch.stack([(1 - cosine**2).sqrt(), torch.zeros_like(cosine), cosine], dim=-1)
    white = torch.ones(20, 3, dtype=torch.float64)
    for light in (Light(), Light("harmonics", torch.zeros(8)), Light("directional", torch.zeros(3))):
        seen = glossy_radiance(white, one(roughness, 20), one(metallic, 20), upward(20), to_eye, light)
        assert float((seen - 1.0).abs().max()) < 0.01


@pytest.mark.parametrize("roughness", [0.3, 0.6, 1.0])
@pytest.mark.parametrize("metallic", [0.0, 1.0])
def test_lamps_from_everywhere_are_an_even_light(roughness: float, metallic: float) -> None:
    """The mean over the sphere of a lamp of irradiance pi n . l is the radiance 1 / 4 of an even light: closed form."""
    lamps, eye = spread(60_000), F.normalize(torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64), dim=0)
    white = torch.ones(1, 3, dtype=torch.float64)
    seen = torch.stack(
        [
            lamp_radiance(white, one(roughness, 1), one(metallic, 1), upward(1), eye[None], toward)[0]
            for toward in lamps[::30]
        ]
    )
    assert seen.mean(0).numpy() == pytest.approx([0.25] * 3, rel=0.012)


def test_a_rough_dark_dielectric_shows_lamberts_law_and_a_smooth_metal_its_tint() -> None:
    albedo = torch.tensor([[0.8, 0.4, 0.1]], dtype=torch.float64)
    toward = F.normalize(torch.tensor([0.3, 0.0, 1.0], dtype=torch.float64), dim=0)
    metal = lamp_radiance(albedo, one(0.3, 1), one(1.0, 1), upward(1), toward[None], toward)[0]
    assert (metal / metal[0]).numpy() == pytest.approx((albedo[0] / 0.8).numpy(), rel=0.03)
    away = F.normalize(torch.tensor([-0.9, 0.3, 0.5], dtype=torch.float64), dim=0)
    plaster = lamp_radiance(albedo, one(1.0, 1), one(0.0, 1), upward(1), away[None], toward)[0]
    assert (plaster - albedo[0] * toward[2]).abs().max() < 0.03


def test_the_gradients_are_those_of_finite_differences() -> None:
    g = torch.Generator().manual_seed(0)
    normals = F.normalize(torch.randn(6, 3, generator=g, dtype=torch.float64) * 0.3 + upward(6), dim=-1)
    to_eye = F.normalize(torch.randn(6, 3, generator=g, dtype=torch.float64) * 0.3 + upward(6), dim=-1)
    inputs = [torch.rand(6, 3, generator=g, dtype=torch.float64) * 0.8 + 0.1]
    inputs += [torch.rand(6, generator=g, dtype=torch.float64) * 0.6 + 0.2 for _ in range(2)]
    inputs += [normals, to_eye, torch.tensor([0.4, 0.2, 1.3], dtype=torch.float64)]

    def shown(*values: torch.Tensor) -> torch.Tensor:
        return glossy_radiance(*values[:5], Light("directional", values[5], 0.7))

    assert torch.autograd.gradcheck(shown, [value.requires_grad_() for value in inputs], eps=1e-7, atol=1e-5)
