from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nerf2mesh.fields import FieldConfig, HashGridField
from nerf2mesh.fields.harmonics import spherical_harmonics
from nerf2mesh.mesh.color_space import linear_to_srgb, srgb_to_linear
from nerf2mesh.render.shading import Light, ray_normals, relit, shaded, shaded_rays, to_linear, to_srgb
from nerf2mesh.types import Camera, Rendering

DOUBLE = torch.float64


def directions(n: int, seed: int = 0) -> torch.Tensor:
    drawn = torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)
    return torch.nn.functional.normalize(drawn, dim=-1)


def sphere_points(n: int) -> torch.Tensor:
    """A Fibonacci lattice: sums over it are integrals over the sphere."""
    k = torch.arange(n, dtype=DOUBLE) + 0.5
    z, turn = 1.0 - 2.0 * k / n, math.pi * (1.0 + 5.0**0.5) * k
    around = (1.0 - z * z).sqrt()
    return torch.stack([around * turn.cos(), around * turn.sin(), z], dim=-1)


def radiance(values: torch.Tensor, toward: torch.Tensor) -> torch.Tensor:
    """The light that harmonics stand for: 1 + sum L_lm Y_lm."""
    return 1.0 + spherical_harmonics(toward, 2)[:, 1:] @ values


def test_harmonics_give_the_integral_of_light_and_cosine():
    values = 0.15 * torch.randn(8, generator=torch.Generator().manual_seed(3), dtype=DOUBLE)
    normals, toward = directions(40), sphere_points(200_000)
    assert float(radiance(values, toward).min()) > 0.0
    cosine = (normals @ toward.T).clamp_min(0.0)
    wanted = (cosine * radiance(values, toward)).mean(1) * 4.0 * math.pi / math.pi
    assert torch.allclose(Light("harmonics", values).irradiance(normals), wanted, atol=1e-4)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_harmonics_of_a_lamp_are_its_cosine_lobe_up_to_degree_two(share: float):
    """4 max(0, cos) = 1 + 2 cos + 5/4 (3 cos^2 - 1) / 2 + degrees 4 and higher, at most 3/8, at cos = 0."""
    lamp = directions(1, seed=2)[0]
    values = share * 4.0 * math.pi * spherical_harmonics(lamp, 2)[1:]
    normals = directions(500)
    cosine = normals @ lamp
    found = Light("harmonics", values).irradiance(normals)
    up_to_two = 1.0 - share + share * (1.0 + 2.0 * cosine + 0.625 * (3.0 * cosine**2 - 1.0))
    exact = 1.0 - share + 4.0 * share * cosine.clamp_min(0.0)
    assert torch.allclose(found, up_to_two, atol=1e-12)
    assert float((found - exact).abs().max()) < 0.3751 * share


def test_a_directional_light_is_an_even_one_and_a_lamp():
    v = torch.tensor([0.0, 0.6, 0.8], dtype=DOUBLE)
    normals = torch.tensor([[0, 0.6, 0.8], [0, -0.6, -0.8], [1.0, 0, 0], [0, 0, 1.0]], dtype=DOUBLE)
    assert torch.allclose(Light("directional", v, 0.5).irradiance(normals), torch.tensor([1.0, 0.5, 0.5, 0.9]).double())
    assert torch.equal(Light().irradiance(normals), torch.ones(4, dtype=DOUBLE))


def test_harmonics_are_never_darker_than_the_floor():
    strong = Light("harmonics", torch.full((8,), 5.0, dtype=DOUBLE))
    assert float(strong.irradiance(directions(1000)).min()) == pytest.approx(0.05)


def test_srgb_is_that_of_the_mesh_room():
    srgb = np.linspace(0.0, 1.0, 501)
    assert np.allclose(to_linear(torch.from_numpy(srgb)).numpy(), srgb_to_linear(srgb), atol=1e-12)
    assert np.allclose(to_srgb(torch.from_numpy(srgb)).numpy(), linear_to_srgb(srgb), atol=1e-12)


def test_light_that_is_put_on_is_taken_off():
    colors, light = torch.rand(50, 3, dtype=DOUBLE), torch.rand(50, dtype=DOUBLE) + 0.2
    assert torch.allclose(relit(relit(colors, light), 1.0 / light), colors, atol=1e-6)
    assert torch.allclose(to_linear(relit(colors, light)), to_linear(colors) * light[:, None], atol=1e-6)


@pytest.mark.parametrize(("kind", "count"), [("directional", 3), ("harmonics", 8)])
def test_gradients_of_the_irradiance_are_those_of_differences(kind: str, count: int):
    values = 0.2 * torch.randn(count, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    normals = directions(12).requires_grad_()
    values.requires_grad_()
    assert torch.autograd.gradcheck(lambda v, n: Light(kind, v, 0.7).irradiance(n), (values, normals))


def test_gradients_of_the_shading_are_those_of_differences():
    """On premultiplied color, opacity and light, dark colors (the linear part of sRGB) and bright ones."""
    generator = torch.Generator().manual_seed(0)
    opacity = (0.2 + 0.8 * torch.rand(10, generator=generator, dtype=DOUBLE)).requires_grad_()
    straight = torch.rand(10, 3, generator=generator, dtype=DOUBLE)
    straight[:3] *= 0.03
    rgb = (straight * opacity.detach()[:, None]).requires_grad_()
    lit = (0.5 + torch.rand(10, generator=generator, dtype=DOUBLE)).requires_grad_()

    def shade(c: torch.Tensor, o: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        return shaded(Rendering(c, o, torch.zeros_like(o)), e).rgb

    assert torch.autograd.gradcheck(shade, (rgb, opacity, lit))


def test_empty_rays_stay_empty_and_even_light_changes_nothing():
    rgb = torch.rand(6, 3).requires_grad_()
    opacity = torch.tensor([0.0, 1e-6, 0.3, 0.6, 0.9, 1.0])
    rendering = Rendering(rgb * opacity[:, None], opacity, torch.zeros(6))
    same = shaded(rendering, torch.ones(6))
    assert torch.allclose(same.rgb, rendering.rgb, atol=1e-6)
    brighter = shaded(rendering, torch.full((6,), 3.0)).rgb
    brighter.sum().backward()
    assert float(brighter[0].detach().abs().max()) == 0.0
    assert bool(rgb.grad.isfinite().all())


class Ball(HashGridField):
    """Its density logit is that of a ball; colors are one grey."""

    def density_logit(self, points: torch.Tensor) -> torch.Tensor:
        return 40.0 * (0.6 - points.norm(dim=-1))


def test_a_lit_ball_has_its_exact_picture():
    """Grey albedo under an even light and a lamp: the picture is sRGB(a (1 + max(0, n . v)))."""
    camera = Camera.orbit(30.0, 20.0, width_px=48)
    rays = camera.rays()
    along = -(rays.origins * rays.directions).sum(-1)
    nearest = (rays.origins + along[..., None] * rays.directions).square().sum(-1)
    hit = nearest < 0.58**2
    depth = along - (0.6**2 - nearest).clamp_min(0.0).sqrt()
    points = rays.origins + depth[..., None] * rays.directions
    opacity = hit.float()
    rendering = Rendering(opacity[..., None].expand(48, 48, 3) * 0.5, opacity, depth * opacity)
    v = torch.tensor([0.3, -0.5, 0.9])
    field = Ball(FieldConfig(n_levels=1, log2_table_size=8, base_resolution=128, start_levels=1, blob="none"))
    found = shaded_rays(rendering, rays, field, Light("directional", v, 0.6)).rgb
    normals = torch.nn.functional.normalize(points, dim=-1)
    lit = 0.6 * (1.0 + (normals @ v).clamp_min(0.0))
    wanted = torch.from_numpy(srgb_picture(0.5, lit.numpy())).float()
    off = (ray_normals(field, rays, rendering)[hit] * normals[hit]).sum(-1).clamp(-1, 1).acos().rad2deg()
    apart = (found[hit] - wanted[hit][:, None]).abs()
    assert float(off.max()) < 4.0
    assert float(apart.max()) < 0.02 and float(apart.mean()) < 0.005
    assert float(found[~hit].abs().max()) == 0.0


def srgb_picture(srgb: float, lit: np.ndarray) -> np.ndarray:
    return linear_to_srgb(srgb_to_linear(np.array(srgb)) * lit)
