"""Placing pictures by a denoiser: with one that knows the object exactly, the true azimuths come back."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from nerf2mesh.distill.noise import NoiseLevel, cosine_level
from nerf2mesh.priors.builtin.placement import COARSE_DEG, TEMPERATURE, _conditional, placed_views
from nerf2mesh.priors.builtin.prior import GivenFrames
from nerf2mesh.types import Camera, View

SIZE = 8


def _shown(azimuth_deg: Tensor) -> Tensor:
    """What a camera sees [..., 4, s, s] of an object that has another color from every azimuth."""
    angle = torch.deg2rad(azimuth_deg)
    color = torch.stack([0.5 + 0.4 * angle.cos(), 0.5 + 0.4 * angle.sin(), torch.full_like(angle, 0.3)], dim=-1)
    rgba = torch.cat([color, torch.ones_like(color[..., :1])], dim=-1)
    return rgba[..., None, None].expand(*rgba.shape, SIZE, SIZE)


class _Knowing:
    """A prior that reads a given picture's azimuth off its color and predicts exactly what other cameras see."""

    image_size, device = SIZE, torch.device("cpu")

    def __init__(self, same: bool = False) -> None:
        self.same = same

    def encode(self, images: Tensor) -> Tensor:
        return images.movedim(-1, -3)

    def level(self, t: Tensor) -> NoiseLevel:
        return cosine_level(t.reshape(-1, 1, 1, 1, 1))

    def predict(self, noisy: Tensor, t: Tensor, cameras: Camera, condition: GivenFrames) -> Tensor:
        red, green = condition.images[0, 0, :2, 0, 0]
        true = math.degrees(math.atan2(float(green) - 0.5, float(red) - 0.5))
        x, y = condition.geometry.pose[0, 0, :2, 3]
        placed = math.degrees(math.atan2(float(y), float(x)))
        clean = _shown(0.0 * cameras.azimuth_deg if self.same else cameras.azimuth_deg + true - placed)
        level = self.level(t)
        noise = (noisy - level.alpha * clean) / level.sigma
        return level.alpha * noise - level.sigma * clean


def _views(azimuths: list[float]) -> list[View]:
    pictures = [_shown(torch.tensor(azimuth)).movedim(0, -1) for azimuth in azimuths]
    return [View(picture, Camera.orbit(0.0, 12.0, width_px=SIZE)) for picture in pictures]


@pytest.mark.parametrize("true", [[0.0, 90.0], [10.0, -131.0], [0.0, 47.0, 205.0], [-20.0, 15.0, 100.0, 170.0]])
def test_a_prior_that_knows_the_object_finds_the_azimuths(true: list[float]) -> None:
    found = placed_views(_Knowing(), _views(true))
    away = [(a - b + 180) % 360 - 180 for a, b in zip(found.azimuths_deg, [t - true[0] for t in true], strict=True)]
    assert max(map(abs, away)) <= 3.75 / 2 + 0.1
    assert found.azimuths_deg[0] == 0.0 and found.confidence > 0.7


def test_an_object_that_looks_the_same_from_everywhere_gives_no_confidence() -> None:
    grey = [View(torch.full((SIZE, SIZE, 4), 0.5), view.camera) for view in _views([0.0, 90.0])]
    assert placed_views(_Knowing(same=True), grey).confidence == pytest.approx(3 * COARSE_DEG / 360, abs=1e-3)


def test_the_conditional_probability_is_that_of_the_pairs() -> None:
    steps, best = 6, (0, 2, 5)
    errors = {
        (i, j): torch.rand(steps, generator=torch.Generator().manual_seed(i + 3 * j))
        for i, j in ((0, 1), (0, 2), (1, 2))
    }
    found = _conditional(errors, best, 1, steps)
    total = torch.tensor([errors[0, 1][(t - 0) % steps] + errors[1, 2][(5 - t) % steps] for t in range(steps)])
    assert torch.allclose(found, (-total / TEMPERATURE).softmax(0))
