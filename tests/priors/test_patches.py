"""A network with patches: same schedule and answers for the patches' means, whatever their size."""

from __future__ import annotations

import math

import torch

from nerf2mesh.distill import cosine_level
from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.priors.builtin.network import CLEAN, NOISY, DenoiserConfig, grown, noise_level, patch_preconditioning
from nerf2mesh.types import Camera

SMALL = {"channels": 16, "volume_size": 8, "volume_channels": 8, "deep_channels": 16, "n_deep": 1, "n_ray_samples": 6}


def test_means_of_patches_follow_the_cosine_schedule() -> None:
    t = torch.tensor([0.1, 0.5, 0.9])
    level, cosine = noise_level(t, 4), cosine_level(t)
    torch.testing.assert_close(level.alpha.square() + level.sigma.square(), torch.ones(3))
    torch.testing.assert_close(level.sigma / 4 / level.alpha, cosine.sigma / cosine.alpha)
    gain, *_ = patch_preconditioning(level.log_snr, 4)
    torch.testing.assert_close(gain * level.alpha, cosine.alpha)
    torch.testing.assert_close(gain * level.sigma / 4, cosine.sigma)
    torch.testing.assert_close(noise_level(t, 1).alpha, cosine.alpha)
    torch.testing.assert_close(
        torch.stack(patch_preconditioning(level.log_snr, 1)), torch.tensor([[1.0], [0], [1]]).expand(3, 3)
    )


def test_output_is_the_velocity_of_the_clean_image_that_the_mean_implies() -> None:
    """From output to v to x0 must be the pooled level's own x0 = alpha' z - sigma' out, for any x_t and output."""
    t = torch.tensor([0.37], dtype=torch.float64)
    level, pooled = noise_level(t, 2), cosine_level(t)
    noisy, out = torch.randn(2, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    gain, keep, turn = patch_preconditioning(2.0 * (level.alpha.log() - level.sigma.log()), 2)
    x0 = level.alpha * noisy - level.sigma * (keep * noisy + turn * out)
    torch.testing.assert_close(x0, pooled.alpha * gain * noisy - pooled.sigma * out)


def test_grown_network_answers_as_the_small_one() -> None:
    torch.manual_seed(0)
    small = DenoiserConfig(image_size=16, patch=1, **SMALL).build()
    for parameter in small.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    large = DenoiserConfig(image_size=32, patch=2, **SMALL).build()
    large.load_state_dict(grown(small.state_dict(), 2))
    geometry = FrameGeometry.of(Camera.orbit(torch.tensor([[0.0, 100.0]]), torch.zeros(1, 2), width_px=16))
    kind, t = torch.tensor([[CLEAN, NOISY]]), torch.tensor([0.6])
    x0 = torch.randn(1, 2, 4, 16, 16)
    noise = torch.randn(1, 2, 4, 32, 32)
    coarse = torch.nn.functional.avg_pool2d(noise[0], 2)[None] * 2
    shaped = t[:, None, None, None, None]
    fine_x0 = x0.repeat_interleave(2, -1).repeat_interleave(2, -2)
    flags = (kind == NOISY)[..., None, None, None]
    small_in = torch.where(flags, cosine_level(shaped).add(x0, coarse), x0)
    large_in = torch.where(flags, noise_level(shaped, 2).add(fine_x0, noise), fine_x0)
    level, pooled = noise_level(t, 2), cosine_level(t)
    with torch.no_grad():
        v = small(small_in, pooled.log_snr, kind, geometry)[:, 1]
        fine_v = large(large_in, level.log_snr, kind, geometry)[:, 1]
    wanted = pooled.alpha * small_in[:, 1] - pooled.sigma * v
    x0_hat = torch.nn.functional.avg_pool2d(level.alpha * large_in[:, 1] - level.sigma * fine_v, 2)
    assert math.isclose(float((x0_hat - wanted).abs().max()), 0.0, abs_tol=2e-5)
    assert float(v.abs().max()) > 0.05
