import math

import pytest
import torch

from nerf2mesh.fields import ExpDensity, LaplaceDensity, SoftplusDensity


@pytest.mark.parametrize("activation", [SoftplusDensity(10.0), ExpDensity(3.0), LaplaceDensity(0.2)])
def test_inverse_gives_the_logit_back(activation):
    logit = torch.linspace(-1.5, 1.5, 31)
    torch.testing.assert_close(activation.inverse(activation(logit)), logit, atol=2e-5, rtol=1e-4)
    assert (activation(logit).diff() > 0).all()


def test_closed_forms():
    assert SoftplusDensity(10.0)(torch.tensor(0.0)).item() == pytest.approx(10 * math.log(2))
    assert ExpDensity(3.0)(torch.tensor(2.0)).item() == pytest.approx(3 * math.exp(2))
    laplace = LaplaceDensity(0.1)
    values = laplace(torch.tensor([-0.1, 0.0, 0.1])).tolist()
    assert values == pytest.approx([5 * math.exp(-1), 5, 10 - 5 * math.exp(-1)], rel=1e-5)


def test_exp_gradient_is_truncated_and_stays_finite():
    logit = torch.tensor([1.0, 15.0, 40.0, 500.0], requires_grad=True)
    density = ExpDensity()(logit)
    density.sum().backward()
    assert torch.isfinite(density).all()
    expected = torch.tensor([math.e, math.exp(15), math.exp(15), math.exp(15)])
    torch.testing.assert_close(logit.grad, expected, rtol=1e-5, atol=0)


def test_beta_is_learned_and_stays_positive():
    laplace = LaplaceDensity(0.1)
    laplace(torch.tensor([0.05, 0.2])).sum().backward()
    assert laplace.raw_beta.grad.abs() > 0
    with torch.no_grad():
        laplace.raw_beta.fill_(-0.3)
    assert laplace.beta.item() == pytest.approx(0.301)
