"""Guidance: rescaling, schedules, and Perp-Neg, whose pairing of negatives and views must not depend on the batch."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from nerf2mesh.config import load_config
from nerf2mesh.distill import DistillConfig, guidance_scale, guided, perp_neg, perp_neg_weights, rescaled
from nerf2mesh.types import Camera
from tests.distill.gaussian import GaussianPrior, guidance_inputs


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_prediction_of_another_shape_is_refused() -> None:
    """One channel would spread over all of them without a word."""
    prior = GaussianPrior("epsilon")
    prior.predict = lambda noisy, *_, **__: noisy[:, :, :1]
    q = guidance_inputs(prior, DistillConfig(), 1)
    said = (
        r"^prior\.predict: expected a prediction of the noisy latents' shape \[1, 2, 4, 2, 2\], got \[1, 2, 1, 2, 2\]"
    )
    with pytest.raises(ValueError, match=said):
        q.guided(q.latents, q.time)


def test_rescaling_gives_the_conditional_deviation_back() -> None:
    conditional, unconditional = drawn(2, 3, 4, 5, 5, seed=1), drawn(2, 3, 4, 5, 5, seed=2)
    whole = guided(conditional, unconditional, 7.5)
    dims = (2, 3, 4)
    full = rescaled(whole, conditional, 1.0)
    torch.testing.assert_close(full.std(dims), conditional.std(dims))
    torch.testing.assert_close(rescaled(whole, conditional, 0.0), whole)
    joint = rescaled(whole, conditional, 1.0, joint=True)
    torch.testing.assert_close(joint.std((1, 2, 3, 4)), conditional.std((1, 2, 3, 4)))
    assert not torch.allclose(joint.std(dims), conditional.std(dims))


def test_scale_is_scheduled() -> None:
    config = DistillConfig(guidance_scale=100.0, guidance_end=7.5)
    assert guidance_scale(config, 0.0) == 100.0
    assert guidance_scale(config, 1.0) == pytest.approx(7.5)
    assert guidance_scale(config, 0.5) == pytest.approx(53.75)
    assert guidance_scale(DistillConfig(guidance_scale=3.0), 0.7) == 3.0


def test_perp_neg_by_hand() -> None:
    """One view of two numbers: p = (1, 0), n - u = (3, 2), whose perpendicular part is (0, 2)."""
    u = torch.tensor([5.0, 5.0]).reshape(1, 1, 2)
    c, n = u + torch.tensor([1.0, 0.0]), u + torch.tensor([3.0, 2.0])
    found = perp_neg(c, u, n[None], torch.tensor([[[-0.5]]]), 10.0)
    torch.testing.assert_close(found, u + 10.0 * torch.tensor([1.0, -1.0]))


def test_perp_neg_weights_at_known_angles() -> None:
    """threestudio's curves: at the front its own prompt weighs 2.426 - 4 exp(-1/2), the side's 2.426 - 4, and so on."""
    c = DistillConfig()
    azimuth = torch.tensor([0.0, 45.0, 90.0, 180.0, -90.0, 360.0])
    front, side = perp_neg_weights(c, azimuth, torch.full((6,), 60.0))
    fs = lambda r: 2.426 - 4.0 * math.exp(-0.5 * r)
    sb = lambda r: 0.606 - math.exp(-0.5 * r)
    fb = lambda r: -0.967 - math.exp(-0.5 * r)
    assert front.tolist() == pytest.approx([fs(1), fs(0.5), fb(1), fb(0), fb(1), fs(1)], abs=1e-6)
    assert side.tolist() == pytest.approx([fs(0), fs(0.5), sb(1), sb(0), sb(1), fs(0)], abs=1e-6)
    assert not perp_neg_weights(c, azimuth, torch.full((6,), 61.0)).any(), "from overhead there is no front or side"


def test_perp_neg_weights_of_lucid_dreamer() -> None:
    """-2 exp(-2 r) of the front, -2 exp(-10 (1 - r)) of the side, each 0 within a fifth; behind, -2 and -exp(-10 r)."""
    c = load_config(["distill=ism"]).distill
    azimuth = torch.tensor([0.0, 9.0, 45.0, 80.0, 100.0, 135.0, 180.0])
    front, side = perp_neg_weights(c, azimuth, torch.zeros(7))
    r = [1.0, 0.9, 0.5, 1.0 / 9.0]
    behind = [8.0 / 9.0, 0.5, 0.0]
    wanted = [0.0, 0.0, -2.0 * math.exp(-2.0 * r[2]), -2.0 * math.exp(-2.0 * r[3])]
    assert front.tolist() == pytest.approx([*wanted, -2.0, -2.0, -2.0], abs=1e-6)
    wanted = [-2.0 * math.exp(0.0 - 10.0 * (1.0 - x)) for x in r[:3]]
    assert side.tolist() == pytest.approx([*wanted, 0.0, 0.0, -math.exp(-10.0 * behind[1]), -1.0], abs=1e-6)


def test_perp_neg_of_one_batch_is_that_of_its_views() -> None:
    """Four views at once, as views and as scenes, against four times one view (threestudio issue 456: it mispairs)."""
    prior = GaussianPrior("epsilon")
    config = DistillConfig(perp_neg=True, guidance_scale=7.5)
    azimuth = torch.tensor([10.0, 80.0, 150.0, -120.0])
    latents = drawn(4, 4, 2, 2, seed=3)
    whole = replace(
        guidance_inputs(prior, config, 1),
        latents=latents[None],
        cameras=Camera.orbit(azimuth[None], 0.0, width_px=2),
        time=torch.tensor([0.4]),
    )
    together = whole.guided(whole.latents, whole.time)[0]
    scenes = replace(
        whole,
        latents=latents[:, None],
        cameras=Camera.orbit(azimuth[:, None], 0.0, width_px=2),
        time=torch.full((4,), 0.4),
    )
    as_scenes = scenes.guided(scenes.latents, scenes.time)[:, 0]
    for i in range(4):
        one = replace(
            whole, latents=latents[None, i : i + 1], cameras=Camera.orbit(azimuth[None, i : i + 1], 0.0, width_px=2)
        )
        alone = one.guided(one.latents, one.time)[0, 0]
        torch.testing.assert_close(together[i], alone, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(as_scenes[i], alone, rtol=1e-10, atol=1e-12)
    plain = replace(whole, config=DistillConfig(guidance_scale=7.5))
    assert not torch.allclose(plain.guided(plain.latents, plain.time)[0], together, rtol=1e-2)


def test_perp_neg_is_linear_in_what_the_network_predicts() -> None:
    """Done in v it means the same noise as done in epsilon."""
    found = []
    for kind in ("epsilon", "v"):
        q = guidance_inputs(GaussianPrior(kind), DistillConfig(perp_neg=True, guidance_scale=7.5), 1)
        found.append(q.guided_epsilon(q.latents, q.time))
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)
