"""How sure a prior is of each direction: how far apart its guesses lie, and what weight follows from it.

For a prior that guesses views with their opacity, as many at a time as are asked for (`guess.guesses_any_view`).
Letters: K guesses, E elevations, A azimuths, s the side of the prior's pictures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nerf2mesh.optimize.guess import NOISIEST, check_guesses_any_view, drawn_noise, one_step, shown
from nerf2mesh.optimize.views import like_reference
from nerf2mesh.priors.base import Condition, Prior
from nerf2mesh.types import Camera

GUESSES, AZIMUTHS, ELEVATIONS = 4, 16, 3
TIME = 0.7
"""Of 0.4 to 0.95; docs/confidence.md says how it was chosen."""
VIEWS = 16
"""Directions that are guessed together, evenly spaced around the object."""
_SEED = 8_009


@dataclass(frozen=True)
class DirectionSpread:
    """Over elevations (rising) and azimuths (evenly from 0 on), in degrees: [E] and [A].

    color, opacity [E, A]: see `direction_spread`. guesses [K, s, s, 4]: those of the least sure direction, in
    premultiplied RGBA.
    """

    elevation_deg: Tensor
    azimuth_deg: Tensor
    color: Tensor
    opacity: Tensor
    guesses: Tensor

    @property
    def total(self) -> Tensor:
        """sqrt(color^2 + opacity^2), [E, A]."""
        return torch.hypot(self.color, self.opacity)

    @property
    def over_sphere(self) -> Tensor:
        """Each direction's share [E, A] of the part of the sphere between the lowest and the highest elevation."""
        share = torch.deg2rad(self.elevation_deg).cos()[:, None].expand_as(self.color)
        return share / share.sum()

    @property
    def least_sure(self) -> tuple[int, int]:
        """Row and column of the largest `total`."""
        return divmod(int(self.total.argmax()), len(self.azimuth_deg))

    def at(self, values: Tensor, cameras: Camera) -> Tensor:
        """values [E, A] at the directions of cameras [*b], bilinearly; beyond the elevations as at the nearest one."""
        n_rows, n_columns = values.shape
        column = cameras.azimuth_deg.cpu() / 360.0 * n_columns % n_columns
        asked, known = cameras.elevation_deg.cpu().numpy(), self.elevation_deg.numpy()
        row = torch.as_tensor(np.interp(asked, known, np.arange(n_rows)), dtype=torch.float32)
        low, left = row.long().clamp(max=max(n_rows - 2, 0)), column.long() % n_columns
        high, right = (low + 1).clamp(max=n_rows - 1), (left + 1) % n_columns
        up, along = row - low, column - column.floor()
        below = values[low, left] * (1.0 - along) + values[low, right] * along
        above = values[high, left] * (1.0 - along) + values[high, right] * along
        return below * (1.0 - up) + above * up

    def weights(self, cameras: Camera, power: float) -> Tensor:
        """(1 + (spread / m)^2)^-power at cameras [*b], with m the root mean square of the spread, scaled so that the
        mean over the sphere (between the lowest and the highest elevation) is 1.

        At power 1 that is the weight of a measurement whose variance is spread^2 + m^2.
        """
        mean_square = (self.total.square() * self.over_sphere).sum().clamp_min(1e-12)
        weight = (1.0 + self.total.square() / mean_square) ** -power
        return self.at(weight / (weight * self.over_sphere).sum(), cameras)


@torch.no_grad()
def direction_spread(
    prior: Prior,
    condition: Condition,
    reference: Camera,
    *,
    elevation_deg: tuple[float, float] = (-15.0, 55.0),
    guidance_scale: float = 1.0,
    seed: int = 0,
) -> DirectionSpread:
    """How far GUESSES guesses lie apart in each direction.

    All begin at the prior's first guess, one step from the highest noise: the mean of what it holds possible, half open
    where that differs. It gets different noise at the same level TIME each time, and is denoised in one step.

    With guesses g_k of a direction in premultiplied RGBA, their variance v = sum_k (g_k - mean)^2 / (K - 1) in each
    pixel and channel, and the mean silhouette's area a = sum over pixels of the mean opacity (at least one pixel):
        color = sqrt(sum over pixels of the mean over R, G, B of v, divided by a);
        opacity = sqrt(sum over pixels of the opacity's v, divided by a).
    Both are root mean square deviations per opaque pixel, in [0, 1] units; the squares are unbiased.

    Cameras are as `reference` but for their angles: ELEVATIONS evenly between `elevation_deg`, AZIMUTHS evenly from 0.
    VIEWS directions are guessed together in one pass of the network.

    Raises:
        ValueError: the prior knows no opacity, or denoises only so many views together.
    """
    check_guesses_any_view(prior, "distill.confidence_weight")
    low, high = elevation_deg
    elevation = torch.linspace(low, high, ELEVATIONS if high > low else 1)
    azimuth = torch.arange(AZIMUTHS) * (360.0 / AZIMUTHS)
    cameras = grid_cameras(elevation, azimuth, reference, prior.image_size)
    n = cameras.batch_shape[1]
    color, opacity, worst, least_sure = torch.empty(n), torch.empty(n), -1.0, torch.empty(0)
    for which, guesses in guesses_of(prior, condition, cameras, guidance_scale, seed):
        color[which], opacity[which] = spread_of(guesses)
        total = torch.hypot(color[which], opacity[which])
        if float(total.max()) > worst:
            worst, least_sure = float(total.max()), guesses[:, int(total.argmax())]
    shape = len(azimuth), len(elevation)
    return DirectionSpread(elevation, azimuth, color.reshape(shape).T, opacity.reshape(shape).T, least_sure)


def grid_cameras(elevation_deg: Tensor, azimuth_deg: Tensor, reference: Camera, size_px: int) -> Camera:
    """Cameras [1, A * E] like `reference` but for their angles, the elevations of one azimuth after the other."""
    columns, rows = torch.meshgrid(azimuth_deg, elevation_deg, indexing="ij")
    return like_reference(reference, columns.reshape(1, -1), rows.reshape(1, -1), size_px)


def guesses_of(
    prior: Prior, condition: Condition, cameras: Camera, guidance_scale: float, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Numbers [v] of about VIEWS of the cameras [1, n], evenly apart in their order, and guesses [GUESSES, v, s, s, 4]
    of these together; until all have had their turn."""
    generator, n = torch.Generator().manual_seed(_SEED + seed), cameras.batch_shape[1]
    stride = math.ceil(n / VIEWS)
    for first in range(stride):
        which = torch.arange(first, n, stride)
        seen = cameras[:, which]
        noise = drawn_noise(prior, seen, generator)
        mean = one_step(prior, condition, seen, noise, NOISIEST, guidance_scale)
        level, pictures = prior.level(mean.new_full((1,), TIME)), []
        for _ in range(GUESSES):
            noisy = level.add(mean, torch.randn(mean.shape, generator=generator).to(mean))
            pictures.append(shown(prior, one_step(prior, condition, seen, noisy, TIME, guidance_scale)))
        yield which, torch.cat(pictures)


def spread_of(guesses: Tensor) -> tuple[Tensor, Tensor]:
    """Spread of color and of opacity [*n] of guesses [K, *n, s, s, 4]; the equations are in `direction_spread`."""
    variance = guesses.var(0)
    area = guesses[..., 3].mean(0).sum((-2, -1)).clamp_min(1.0)
    color, opacity = variance[..., :3].mean(-1).sum((-2, -1)), variance[..., 3].sum((-2, -1))
    return (color / area).sqrt(), (opacity / area).sqrt()
