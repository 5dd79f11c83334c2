"""From where a few pictures of one object were taken, told by what the denoiser expects to see from around it.

From one picture the denoiser samples the views from a ring of candidate cameras, all together (DDIM, Song et al. 2021,
a few steps from noise); the one that looks most like another picture tells from where that was taken, relative to the
first. Every pair is compared both ways, in steps of COARSE_DEG; the azimuths that agree best over all pairs are taken
together, and are then refined one picture at a time, by views sampled from all the others.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.priors.builtin.prior import MOST_GIVEN, BuiltinPrior, GivenFrames, reduced_rgba, spread_views
from nerf2mesh.types import Camera, View

COARSE_DEG = 15.0
FINE_DEG = (-11.25, -7.5, -3.75, 0.0, 3.75, 7.5, 11.25)
TIMES = (0.98, 0.75, 0.53, 0.3)
"""Noise levels of the sampling; the last prediction is the view."""
TEMPERATURE = 0.02
"""Difference of the summed errors at which a candidate is 1/e as likely; fitted on pairs of training objects."""
NEAR_DEG = 22.5
"""The confidence is the probability that an azimuth is not farther off than this."""
SEED = 0
MOST = 5


@dataclass(frozen=True)
class Placement:
    """Azimuths in degrees by picture, the first 0, and the confidence in those of the others: the least of them."""

    azimuths_deg: list[float]
    confidence: float


def placed_views(prior: BuiltinPrior, views: Sequence[View]) -> Placement:
    """The azimuths of 2 to MOST views of one object; what else their cameras say is taken as it is."""
    assert 2 <= len(views) <= MOST
    ring = _Ring(prior, views)
    n, steps = len(views), round(360.0 / COARSE_DEG)
    errors = {pair: ring.pair(*pair) for pair in itertools.combinations(range(n), 2)}
    best = min(
        itertools.product([0], *[range(steps)] * (n - 1)),
        key=lambda turns: sum(float(errors[i, j][(turns[j] - turns[i]) % steps]) for i, j in errors),
    )
    azimuths = [COARSE_DEG * turn for turn in best]
    sure = min(_near(_conditional(errors, best, k, steps), best[k]) for k in range(1, n))
    for k in range(1, n):
        azimuths[k] += FINE_DEG[int(ring.refined(k, azimuths).argmin())]
    return Placement([(a + 180.0) % 360.0 - 180.0 for a in azimuths], sure)


class _Ring:
    """Views sampled around some of the given ones, and how far they are from others."""

    def __init__(self, prior: BuiltinPrior, views: Sequence[View]) -> None:
        self.prior, size = prior, prior.image_size
        images = torch.stack([reduced_rgba(view.image, size) for view in views])
        self.images = prior.encode(images[None].to(prior.device))[0]  # [n, 4, s, s]
        self.views = views
        self.cameras = [view.camera.turned(-view.camera.azimuth_deg).resized(size, size) for view in views]

    def pair(self, i: int, j: int) -> Tensor:
        """The error [360 / COARSE_DEG] of each azimuth of view j, that of view i being 0; both ways."""
        turns = torch.arange(0.0, 360.0, COARSE_DEG)
        return self.errors({i: 0.0}, j, turns) + self.errors({j: 0.0}, i, -turns)

    def refined(self, k: int, azimuths_deg: list[float]) -> Tensor:
        """The error [len(FINE_DEG)] of view k at azimuths around its own, from the others, at most MOST_GIVEN."""
        others = {i: azimuth for i, azimuth in enumerate(azimuths_deg) if i != k}
        turned = [View(self.views[i].image, self.cameras[i].turned(azimuth)) for i, azimuth in others.items()]
        kept = {id(view) for view in spread_views(turned, MOST_GIVEN)}
        given = {i: azimuth for (i, azimuth), view in zip(others.items(), turned, strict=True) if id(view) in kept}
        return self.errors(given, k, azimuths_deg[k] + torch.tensor(FINE_DEG))

    @torch.inference_mode()
    def errors(self, given: dict[int, float], which: int, candidates_deg: Tensor) -> Tensor:
        """Mean squared difference [C] of view `which` from the views sampled at candidate azimuths; given: azimuths in
        degrees of other views, by their number."""
        prior = self.prior
        known = Camera.stack([self.cameras[i].turned(azimuth) for i, azimuth in given.items()])
        condition = GivenFrames(self.images[list(given)][None], FrameGeometry.of(known[None].to(prior.device)))
        cameras = Camera.stack([self.cameras[which].turned(azimuth) for azimuth in candidates_deg])[None]
        shape = (1, len(candidates_deg), *self.images.shape[1:])
        noisy = torch.randn(shape, generator=torch.Generator().manual_seed(SEED)).to(prior.device)
        times = [torch.tensor([t], device=prior.device) for t in TIMES]
        for t, after in itertools.zip_longest(times, times[1:]):
            level = prior.level(t)
            velocity = prior.predict(noisy, t, cameras.to(prior.device), condition)
            clean, noise = level.alpha * noisy - level.sigma * velocity, level.sigma * noisy + level.alpha * velocity
            if after is not None:
                level = prior.level(after)
                noisy = level.alpha * clean + level.sigma * noise
        return (clean[0] - self.images[which]).square().mean((1, 2, 3)).cpu()


def _conditional(errors: dict[tuple[int, int], Tensor], best: tuple[int, ...], k: int, steps: int) -> Tensor:
    """Probability [steps] of each azimuth of view k, the others being where they were found."""
    total = torch.zeros(steps)
    for (i, j), error in errors.items():
        if k == j:
            total += error.roll(best[i])
        elif k == i:
            total += error.flip(0).roll(best[j] + 1)
    return (-total / TEMPERATURE).softmax(0)


def _near(probability: Tensor, at: int) -> float:
    """The probability of an azimuth within NEAR_DEG of candidate `at`."""
    reach = math.floor(NEAR_DEG / COARSE_DEG)
    return float(sum(probability[(at + k) % len(probability)] for k in range(-reach, reach + 1)))
