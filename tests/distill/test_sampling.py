"""DDIM sampling against its closed form."""

from __future__ import annotations

import torch

from nerf2mesh.distill import cosine_level, ddim_sample


def test_sampling_with_a_perfect_denoiser_stays_on_the_straight_mixture() -> None:
    """Where x0 is known, every step is alpha x0 + sigma e with the first image's own noise e."""
    g = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(2, 5, generator=g).double(), torch.randn(2, 5, generator=g).double()
    times = torch.linspace(0.98, 0.2, 7).double()[:, None]

    def denoise(noisy: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        level = cosine_level(t)
        return x0, (noisy - level.alpha * x0) / level.sigma

    found = ddim_sample(cosine_level(times[0]).add(x0, noise), times, denoise, cosine_level)
    torch.testing.assert_close(found, cosine_level(times[-1]).add(x0, noise))
