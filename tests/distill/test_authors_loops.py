"""HiFA, ISM and SDI on the authors' grids against their loops, written out here step by step in whole numbers."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from nerf2mesh.distill import DistillConfig
from nerf2mesh.optimize.distillers import make_distiller
from tests.distill.gaussian import generators
from tests.distill.numbered import network, numbered_inputs, stable_diffusion_levels

LEVELS = stable_diffusion_levels()
TIMES = [0.02, 0.1, 0.437, 0.98]


def found(config: DistillConfig, times: list[float], **more):
    q = numbered_inputs(config, times, **more)
    return q, make_distiller(q.prior, config, q.generators)(q)


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    assert float((a - b).abs().max()) < 1e-5 * float(b.abs().max())


def guided(x: torch.Tensor, number: int, scale: float) -> torch.Tensor:
    free = network(x, torch.tensor(number), "negative")
    return free + scale * (network(x, torch.tensor(number), "conditional") - free)


def at(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Roots of the level's two shares; numbers below 0 have the first level (set_alpha_to_one is false)."""
    level = LEVELS[max(number, 0)]
    return level.sqrt(), (1.0 - level).sqrt()


def carried(x: torch.Tensor, noise: torch.Tensor, here: int, there: int) -> torch.Tensor:
    (a, s), (b, r) = at(here), at(there)
    return b * (x - s * noise) / a + r * noise


def ism_by_hand(x: torch.Tensor, noise: torch.Tensor, index: int, interval: int) -> torch.Tensor:
    """Indices 0, 200, ... to index - interval, then index; the network and the table see one more than the index."""
    before = max(index - interval, 0)
    a, s = at(1)
    noisy, cursor = a * x + s * noise, 0
    while cursor < before:
        reached = min(cursor + 200, before)
        empty = network(noisy, torch.tensor(cursor + 1), "unconditional")
        noisy, cursor = carried(noisy, empty, cursor + 1, reached + 1), reached
    present = network(noisy, torch.tensor(before + 1), "unconditional")
    noisy = carried(noisy, present, before + 1, index + 1)
    a, s = at(index + 1)
    return s / a * (guided(noisy, index + 1, 7.5) - present)


def test_ism_is_lucid_dreamers_loop() -> None:
    """At a third of the ramp, where the interval is 100 - 20 / 3 = 93 steps."""
    ramp = {"schedule": "uniform", "t_low": (0.02, 0.02), "t_high": (0.98, 0.5), "t_ramp": (0.0, 0.3)}
    config = DistillConfig(
        loss="ism", guidance_scale=7.5, inversion_stride=0.2, ism_interval=(0.1, 0.08), inversion_grid="authors", **ramp
    )
    q, gradient = found(config, TIMES, progress=0.1)
    noise = torch.randn(q.latents.shape, generator=generators()["noise"]).double()
    wanted = [ism_by_hand(x, n, round(1000 * t), 93) for x, n, t in zip(q.latents, noise, TIMES, strict=True)]
    close(gradient.latents * q.latents.numel(), torch.stack(wanted))


def sdi_by_hand(x: torch.Tensor, fresh: list[torch.Tensor], index: int, past: int, eta: float) -> torch.Tensor:
    """-99, 1, 101, ... below index, then past it; what is found there is denoised as if it were at index."""
    numbers = [-99, *range(1, index, 100), min(index + past, 999)]
    noisy = x
    for k, (here, there) in enumerate(pairwise(numbers)):
        noisy = carried(noisy, guided(noisy, here, -6.5), here, there)
        low, high = LEVELS[max(here, 0)], LEVELS[there]
        noisy = noisy + eta * fresh[k] * ((1 - low) / (1 - high) * (1 - high / low)).sqrt()
    a, s = at(index)
    return x - (noisy - s * guided(noisy, index, 8.5)) / a


@pytest.mark.parametrize("time", [0.25, 0.437, 0.98])
@pytest.mark.parametrize("eta", [0.0, 0.3])
def test_sdi_is_the_authors_loop(time: float, eta: float) -> None:
    config = DistillConfig(
        loss="sdi", guidance_scale=8.5, inversion_scale=-6.5, inversion_eta=eta, inversion_grid="authors"
    )
    q, gradient = found(config, [time])
    streams = generators()
    past = int(torch.rand(1, generator=streams["time"]) * 1000) // 10
    fresh = [torch.randn(q.latents.shape, generator=streams["inversion"]).double()[0] for _ in range(12)]
    wanted = sdi_by_hand(q.latents[0], fresh, round(1000 * time), past, eta)
    close(gradient.latents * q.latents.numel(), wanted[None])


def test_the_uniform_grid_is_another_one() -> None:
    """By more than a hundredth of the gradient, for both; what docs/losses.md tells apart."""
    for loss in ("ism", "sdi"):
        both = [found(DistillConfig(loss=loss, inversion_grid=grid), [0.437])[1] for grid in ("uniform", "authors")]
        apart = (both[0].latents - both[1].latents).abs().max() / both[1].latents.abs().max()
        assert float(apart) > 0.01, loss


def test_hifa_is_the_authors_two_gradients() -> None:
    """Latents w (e - noise), picture w (alpha / sigma) (image - target), the target clamped to [0, 1]."""
    times = [0.3, 0.98]
    config = DistillConfig(loss="hifa", guidance_scale=101.0, weighting="sds", hifa_image_weight=0.48)
    q, gradient = found(config, times)
    noise = torch.randn(q.latents.shape, generator=generators()["noise"]).double()
    latents, images, beyond = [], [], []
    for x, n, image, t in zip(q.latents, noise, q.images, times, strict=True):
        number = round(1000 * t)
        (a, s), weight = at(number), 1.0 - LEVELS[number]
        noisy = a * x + s * n
        predicted = guided(noisy, number, 101.0)
        decoded = (0.5 + 0.8 * (noisy - s * predicted) / a).movedim(-3, -1)
        beyond.append(float(((decoded < 0) | (decoded > 1)).double().mean()))
        latents.append(weight * (predicted - n))
        images.append(weight * (image - decoded.clamp(0, 1)) * a / s)
    assert min(beyond) > 0.2, "the clamp matters here"
    close(gradient.latents * q.latents.numel(), torch.stack(latents))
    close(gradient.images * q.images.numel(), 0.48 * torch.stack(images))
