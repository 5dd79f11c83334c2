"""Each term against a closed form, and its independence of resolution."""

import math

import pytest
import torch

from nerf2mesh.render import regularizers
from nerf2mesh.types import Rays
from tests.fields.make import rough_field
from tests.render.solids import Solid, ball_chord, random_rays, renderer_of


def directions(n: int, seed: int = 0) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(n, 3, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_orientation_is_the_squared_cosine_of_what_faces_away():
    ray = torch.tensor([0.0, 0.0, -1.0]).expand(3, 3)
    angle = math.radians(30)
    normals = torch.tensor([[0.0, 0, 1], [0, 0, -1], [math.sin(angle), 0, -math.cos(angle)]])
    weights = torch.tensor([5.0, 1.0, 2.0])
    assert regularizers.orientation(normals, ray, weights).item() == pytest.approx((1 + 2 * 0.75) / 8)
    # More of the same samples changes nothing.
    twice = regularizers.orientation(normals.repeat(2, 1), ray.repeat(2, 1), weights.repeat(2) * 0.5)
    assert twice.item() == pytest.approx((1 + 2 * 0.75) / 8)
    assert regularizers.orientation(normals, ray, torch.zeros(3)).item() == 0


@pytest.mark.parametrize("radius", [0.5, 1.0])
def test_smoothness_of_a_ball_is_its_curvature(radius):
    points = directions(20000) * radius
    moved = regularizers.jittered(points, 0.01, torch.Generator().manual_seed(1))
    value = regularizers.normal_smoothness(points / radius, torch.nn.functional.normalize(moved, dim=-1))
    assert value.item() == pytest.approx(0.01**2 / 2 * 2 / radius**2, rel=0.03)


def test_chosen_samples_stand_for_the_weights():
    weights = torch.tensor([0.0, 3.0, 0.0, 1.0, 0.0])
    rows = regularizers.choose_samples(weights, 4000, torch.Generator().manual_seed(0))
    share = torch.bincount(rows, minlength=5) / 4000
    torch.testing.assert_close(share, weights / 4, atol=1e-3, rtol=0)
    assert regularizers.choose_samples(torch.zeros(0), 5).numel() == 0


def test_samples_without_weight_at_the_end_are_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a buffer is larger than its samples, its unused places stand there."""
    below_one = 1.0 - 2.0**-24
    monkeypatch.setattr(torch, "rand", lambda shape, **_: torch.full(shape, below_one))  # the last draw rounds to 1
    assert regularizers.choose_samples(torch.tensor([0.0, 2.0, 1.0, 0.0, 0.0]), 2).tolist() == [1, 2]


def test_nothing_visible_asks_for_nothing() -> None:
    field, rays = rough_field(), random_rays(20)
    rendering = renderer_of(field, samples_per_ray=32).render_rays(rays, extras=True)
    rendering.extra["weights"] = torch.zeros_like(rendering.extra["weights"])
    terms = regularizers.surface_terms(field, rays, rendering, n_points=8, generator=torch.Generator().manual_seed(0))
    assert all(float(term.detach()) == 0.0 for term in terms.values())
    sum(terms.values()).backward()
    assert all(p.grad is None or not p.grad.any() for p in field.parameters())


def test_surface_terms_of_a_ball_and_of_a_rough_field():
    generator = torch.Generator().manual_seed(0)
    rays = random_rays(300)
    ball = renderer_of(Solid("ball", 0.6, 500.0), samples_per_ray=512)
    rendering = ball.render_rays(rays, extras=True)
    terms = regularizers.surface_terms(ball.field, rays, rendering, jitter_std=0.01, generator=generator)
    assert terms["orientation"].item() == 0
    assert terms["smoothness"].item() == pytest.approx(0.01**2 / 0.6**2, rel=0.1)

    field = rough_field()
    rendering = renderer_of(field).render_rays(rays, extras=True)
    terms = regularizers.surface_terms(field, rays, rendering, n_points=500, generator=generator)
    assert 0 < terms["orientation"] < 1 and 0 < terms["smoothness"] < 2
    sum(terms.values()).backward()
    assert field.encoding.params.grad.abs().sum() > 0


def test_surface_terms_of_nothing_are_zero():
    away = Rays(torch.tensor([[5.0, 0, 0]]), torch.tensor([[1.0, 0, 0]]))
    field = rough_field()
    terms = regularizers.surface_terms(field, away, renderer_of(field).render_rays(away, extras=True))
    assert terms["orientation"].item() == terms["smoothness"].item() == 0


def test_sparsity_and_entropy_have_their_bounds():
    zero, half, one = torch.zeros(7), torch.full((7,), 0.5), torch.ones(7)
    assert regularizers.sparsity(zero).item() == pytest.approx(0.1)
    assert regularizers.sparsity(one).item() == pytest.approx(math.sqrt(1.01))
    assert regularizers.opacity_entropy(half).item() == pytest.approx(1.0)
    for sure in (zero, one):
        assert 0 < regularizers.opacity_entropy(sure).item() < 0.02


def test_entropy_gradient_is_finite_at_the_ends_and_pushes_outward():
    opacity = torch.tensor([0.0, 0.2, 0.8, 1.0], requires_grad=True)
    regularizers.opacity_entropy(opacity).backward()
    assert torch.isfinite(opacity.grad).all()
    assert opacity.grad[1] > 0 > opacity.grad[2]


@pytest.mark.parametrize("samples_per_ray", [256, 1024])
def test_distortion_of_thin_fog_grows_with_the_chord(samples_per_ray):
    density, rays = 0.01, random_rays(200)
    rendering = renderer_of(Solid("ball", 0.6, density), samples_per_ray=samples_per_ray).render_rays(rays)
    _, length = ball_chord(rays, 0.6)
    # Weights spread evenly: opacity^2 * length / 3.
    expected = ((1 - torch.exp(-density * length)) ** 2 * length / 3).mean()
    value = regularizers.distortion(rendering.extra["distortion"])
    assert value.item() == pytest.approx(expected.item(), rel=0.03)


def test_eikonal_is_the_squared_excess():
    assert regularizers.eikonal(directions(10)).item() == pytest.approx(0, abs=1e-10)
    assert regularizers.eikonal(directions(10) * 3).item() == pytest.approx(4, rel=1e-5)
