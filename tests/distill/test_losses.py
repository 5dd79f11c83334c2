"""Gradients against closed forms: a Gaussian prior has a known score, so the fixed point of SDS is known."""

import pytest
import torch

from nerf2mesh.distill import NoiseLevel, cosine_level, guided, score_weight, sds_gradient


def test_guidance_is_the_diffusers_form() -> None:
    cond, free = torch.tensor([3.0]), torch.tensor([1.0])
    assert guided(cond, free, 1.0) == 3.0
    assert guided(cond, free, 0.0) == 1.0
    assert guided(cond, free, 7.5) == 1.0 + 7.5 * 2.0


def test_x0_weight_turns_noise_error_into_image_error() -> None:
    g = torch.Generator().manual_seed(0)
    x0, guess, noise = torch.randn(3, 2, 4, 8, 8, generator=g).unbind(0)
    level = cosine_level(torch.full((2, 1, 1, 1), 0.4))
    noisy = level.add(x0, noise)
    noise_hat = (noisy - level.alpha * guess) / level.sigma
    gradient = sds_gradient(noise_hat, noise, level, "x0")
    torch.testing.assert_close(gradient, (x0 - guess) / x0.numel(), atol=1e-7, rtol=1e-4)


def test_sds_weight() -> None:
    level = cosine_level(torch.tensor(0.5))
    assert float(score_weight("sds", level)) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="weighting"):
        score_weight("other", level)


@pytest.mark.parametrize("weighting", ["sds", "x0", "uniform"])
def test_expected_gradient_of_a_gaussian_prior(weighting: str) -> None:
    """For x0 ~ N(m, s^2) the optimal noise prediction is sigma (x_t - alpha m) / (alpha^2 s^2 + sigma^2).

    Averaged over the noise, SDS is then w alpha sigma (x - m) / (alpha^2 s^2 + sigma^2) (Poole et al. 2022, section 3).
    """
    m, s, x = 0.7, 0.3, -0.4
    n = 400_000
    noise = torch.randn(n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    level = cosine_level(torch.tensor(0.6, dtype=torch.float64))
    a, sg = float(level.alpha), float(level.sigma)
    noisy = level.add(torch.full_like(noise, x), noise)
    noise_hat = sg * (noisy - a * m) / (a * a * s * s + sg * sg)
    mean = sds_gradient(noise_hat, noise, NoiseLevel(level.alpha, level.sigma), weighting).sum()
    w = {"sds": sg * sg, "x0": sg / a, "uniform": 1.0}[weighting]
    assert float(mean) == pytest.approx(w * a * sg * (x - m) / (a * a * s * s + sg * sg), rel=0.02)
