"""Losses of given depths and normals against closed forms, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nerf2mesh.optimize import map_losses as losses


def numbers(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_relative_loss_is_one_minus_numpys_correlation_and_knows_no_scale_nor_shift():
    p, g, w = numbers(50), numbers(50, 1), torch.ones(50, dtype=torch.float64)
    wanted = 1.0 - np.corrcoef(p.numpy(), g.numpy())[0, 1]
    assert float(losses.pearson_loss(p, g, w)) == pytest.approx(wanted, abs=1e-12)
    assert float(losses.pearson_loss(3.0 * p - 7.0, 0.1 * g + 2.0, w)) == pytest.approx(wanted, abs=1e-12)
    assert float(losses.pearson_loss(p, 5.0 * p + 1.0, w)) == pytest.approx(0.0, abs=1e-12)
    assert float(losses.pearson_loss(p, -p, w)) == pytest.approx(2.0, abs=1e-12)


def test_the_relative_loss_has_the_gradient_of_its_closed_form():
    p, g, w = numbers(40).requires_grad_(), numbers(40, 1), numbers(40, 2).abs()
    losses.pearson_loss(p, g, w).backward()
    with torch.no_grad():
        a = p - (w * p).sum() / w.sum()
        b = g - (w * g).sum() / w.sum()
        r = (w * a * b).sum() / ((w * a * a).sum() * (w * b * b).sum()).sqrt()
        wanted = -w * (b / ((w * a * a).sum() * (w * b * b).sum()).sqrt() - r * a / (w * a * a).sum())
    torch.testing.assert_close(p.grad, wanted, rtol=1e-10, atol=1e-12)
    assert torch.autograd.gradcheck(lambda x: losses.pearson_loss(x, g, w), (p.detach().requires_grad_(),))


def test_the_normal_loss_is_one_minus_cosine_with_its_tangential_gradient():
    angle = torch.tensor([0.0, 0.3, 1.2], dtype=torch.float64)
    p = 2.0 * torch.stack([angle.cos(), angle.sin(), torch.zeros(3, dtype=torch.float64)], -1)
    p.requires_grad_()
    g = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64).expand(3, 3)
    w = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64)
    loss = losses.normal_loss(p, g, w)
    loss.backward()
    with torch.no_grad():
        assert float(loss.detach()) == pytest.approx(float((w * (1 - angle.cos())).sum() / 4.0), abs=1e-12)
        unit = p / 2.0
        wanted = -(w / 4.0)[:, None] * (g - angle.cos()[:, None] * unit) / 2.0
    torch.testing.assert_close(p.grad, wanted, rtol=1e-10, atol=1e-12)


def test_scale_and_shift_are_found_beside_outliers_that_move_least_squares():
    g, w = numbers(400), torch.ones(400, dtype=torch.float64)
    p = 0.4 * g + 3.0
    bad = torch.arange(400) % 10 == 0
    p = torch.where(bad, p + 5.0, p)
    plain = np.polyfit(g.numpy(), p.numpy(), 1)
    scale, shift = losses.fitted_line(g, p, w)
    assert abs(plain[1] - 3.0) > 0.3
    assert float(scale) == pytest.approx(0.4, abs=0.01)
    assert float(shift) == pytest.approx(3.0, abs=0.01)


def test_without_outliers_the_fit_is_exact_and_without_shift_goes_through_zero():
    g, w = numbers(100).abs() + 1.0, numbers(100, 3).abs()
    scale, shift = losses.fitted_line(g, 2.5 * g - 1.0, w)
    assert (float(scale), float(shift)) == pytest.approx((2.5, -1.0), abs=1e-9)
    scale, shift = losses.fitted_line(g, 2.5 * g, w, shift=False)
    assert (float(scale), float(shift)) == pytest.approx((2.5, 0.0), abs=1e-9)


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("world", lambda z: z),
        ("scale", lambda z: 17.0 * z),
        ("affine", lambda z: (z - 2.5) / 3.0),
        ("inverse", lambda z: 40.0 / z - 3.0),
    ],
)
def test_a_map_of_any_kind_aligns_with_the_depths_that_it_was_made_from(kind, given):
    z, w = 2.4 + 1.6 * torch.rand(200, generator=torch.Generator().manual_seed(5), dtype=torch.float64), torch.ones(200)
    g = given(z)
    torch.testing.assert_close(losses.aligned(z, g, w.double(), kind), z, rtol=1e-6, atol=1e-6)
    assert float(losses.relative_loss(z, g, w.double(), kind)) == pytest.approx(0.0, abs=1e-6)


def test_the_depth_loss_is_a_weighted_mean_square_whose_gradient_is_two_residuals():
    given = torch.linspace(2.0, 3.0, 8, dtype=torch.float64)
    p = (given + torch.tensor([0.1, -0.1] * 4, dtype=torch.float64)).requires_grad_()
    w = torch.tensor([1.0] * 7 + [0.0], dtype=torch.float64)
    loss = losses.depth_loss(p, given, w)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.01, abs=1e-12)
    torch.testing.assert_close(p.grad, 2.0 * w * (p.detach() - given) / 7.0, rtol=1e-10, atol=1e-12)


def test_losses_of_nothing_are_finite():
    p, w = torch.full((4,), 2.0, requires_grad=True), torch.zeros(4)
    total = losses.pearson_loss(p, p.detach(), w) + losses.depth_loss(p, p.detach() + 1.0, w)
    total = total + losses.normal_loss(torch.zeros(4, 3), torch.zeros(4, 3), w)
    total.backward()
    assert torch.isfinite(total)
    assert torch.isfinite(p.grad).all()
