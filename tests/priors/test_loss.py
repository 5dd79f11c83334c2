"""Weights of the denoiser's loss against closed forms, with networks whose answer is known."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.priors.builtin.loss import velocity_loss
from nerf2mesh.priors.builtin.network import CLEAN, NOISY, encode_rgba
from tests.priors.test_denoiser import SMALL, frames

TIMES = (0.2, 0.9)


class Known:
    """Answers with no velocity, and with this opacity."""

    def __init__(self, opacity: float = 0.0, patch: int = 2) -> None:
        self.opacity, self.config = opacity, SimpleNamespace(patch=patch)

    def __call__(self, images: Tensor, *_: object, n_given: int, with_opacity: bool = False) -> object:
        v = torch.zeros_like(images[:, n_given:])
        return (v, torch.full((*v.shape[:2], 4, 4), self.opacity)) if with_opacity else v


def example() -> tuple[Tensor, Tensor, Tensor]:
    """Images [2, 3, 4, 16, 16] whose left half is opaque and grey, kinds and noise."""
    rgba = torch.zeros(2, 3, 4, 16, 16)
    rgba[..., :8] = 0.5
    rgba[:, :, 3, :, :8] = 1.0
    kind = torch.tensor([[CLEAN, NOISY, NOISY]] * 2)
    return encode_rgba(rgba), kind, torch.randn(2, 3, 4, 16, 16, generator=torch.Generator().manual_seed(0))


def loss(network: Known, times: tuple[float, ...], **weights: float) -> float:
    images, kind, noise = example()
    geometry = FrameGeometry(torch.eye(4).expand(2, 3, 4, 4), torch.ones(2, 3), torch.zeros(2, dtype=torch.bool))
    return float(velocity_loss(network, images, geometry, kind, torch.tensor(times), noise, **weights))


@pytest.mark.parametrize("limit", [0.5, 5.0])
def test_min_snr_weighs_each_scene_by_its_noise(limit: float) -> None:
    """For cosine times the mean over a patch has SNR = 1 / tan^2(pi t / 2)."""
    expected = 0.0
    for scene, t in enumerate(TIMES):
        snr = 1.0 / math.tan(0.5 * math.pi * t) ** 2
        images, _, noise = example()
        alpha, sigma = 1.0 / math.sqrt(1.0 + 4.0 / snr), math.sqrt(1.0 - 1.0 / (1.0 + 4.0 / snr))
        error = (alpha * noise - sigma * images)[scene, 1:].square().mean()
        expected += 0.5 * float(error) * min(snr, limit) / (snr + 1.0)
    assert loss(Known(), TIMES, snr_limit=limit) == pytest.approx(expected, rel=1e-5)


def test_opacity_is_compared_with_alpha() -> None:
    """Of four columns two are opaque: an opacity of 1/4 everywhere is off by 3/4 and 1/4."""
    plain = loss(Known(), TIMES)
    assert loss(Known(0.25), TIMES, opacity_weight=2.0) - plain == pytest.approx(0.5625 + 0.0625, rel=1e-4)


def test_the_network_gives_the_opacity_of_its_volume() -> None:
    """An empty volume shows none; one of solid density is opaque where rays cross it."""
    network = SMALL.build()
    images, log_snr, kind, geometry = frames()
    with torch.no_grad():
        network.to_rays.weight.zero_()
        for bias, bounds in ((-40.0, (0.0, 1e-4)), (40.0, (0.99, 1.0))):
            assert network.to_rays.bias is not None
            network.to_rays.bias.fill_(bias)
            _, opacity = network(images, log_snr, kind, geometry, n_given=1, with_opacity=True)
            assert opacity.shape == (1, 2, 4, 4)
            middle = opacity[..., 1:3, 1:3]
            assert bounds[0] <= float(middle.min()) <= float(middle.max()) <= bounds[1]
