"""The measures of `benchmarks confidence` against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from benchmarks.confidence import angles_deg, errors, half_open, rank_correlation, surface_difference, without
from nerf2mesh.types import Camera


def test_angles_between_directions() -> None:
    """cos = sin e sin e' + cos e cos e' cos(a - a')."""
    cameras = Camera.orbit(torch.tensor([0.0, 90.0, 180.0, 180.0]), torch.tensor([20.0, 0.0, 20.0, -20.0]))
    expected = [0.0, 90.0, 140.0, 180.0]
    assert angles_deg(cameras, Camera.orbit(0.0, 20.0)).tolist() == pytest.approx(expected, abs=0.02)


def test_errors_are_per_pixel_of_the_true_silhouette() -> None:
    true = torch.zeros(1, 8, 8, 4)
    true[:, :4, :, 3] = 1.0
    guess = true.clone()
    guess[:, :2, :, 0] = 0.6  # 16 of 32 pixels are off by 0.6 in one of three channels
    guess[:, 6:, :, 3] = 0.5  # 16 more are half open
    color, opacity = errors(guess, true)
    assert float(color) == pytest.approx((0.5 * 0.36 / 3) ** 0.5, rel=1e-5)
    assert float(opacity) == pytest.approx((0.5 * 0.25) ** 0.5, rel=1e-5)


def test_surface_color_is_straight_and_looked_at_only_where_asked() -> None:
    """A pixel of half opacity and premultiplied 0.25 is as red as an opaque one of 0.5."""
    true, guess = torch.zeros(1, 4, 4, 4), torch.zeros(2, 1, 4, 4, 4)
    true[..., 0], true[..., 3] = 0.5, 1.0
    guess[..., 0], guess[..., 3] = 0.25, 0.5
    where = torch.zeros(1, 4, 4, dtype=torch.bool)
    where[:, 0] = True
    assert float(surface_difference(guess, true, where)) == pytest.approx(0.0, abs=1e-6)
    guess[1, :, 0, :, 0] = 0.4  # of one guess in two, 0.8 where 0.5 is true, in one of three channels
    assert float(surface_difference(guess, true, where)) == pytest.approx((0.09 / 3 / 2) ** 0.5, rel=1e-5)
    assert float(surface_difference(guess, true, torch.zeros_like(where))) == 0.0


def test_half_open_is_the_deviation_of_a_coin() -> None:
    assert float(half_open(torch.full((1, 8, 8), 0.2))) == pytest.approx((0.2 * 0.8 / 0.2) ** 0.5, rel=1e-5)
    assert float(half_open(torch.ones(1, 8, 8))) == 0.0


def test_correlations_as_scipy_has_them_and_nothing_left_of_what_is_known() -> None:
    rng = np.random.default_rng(0)
    x, y, z = rng.normal(size=(3, 400))
    a, b = x + 3.0 * z, np.exp(x + 3.0 * z + y)
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b)[0], abs=1e-12)
    assert np.isnan(rank_correlation(a, np.ones(400)))
    r = {pair: spearmanr(*pair_of)[0] for pair, pair_of in {"ab": (a, b), "az": (a, z), "bz": (b, z)}.items()}
    partial = (r["ab"] - r["az"] * r["bz"]) / np.sqrt((1 - r["az"] ** 2) * (1 - r["bz"] ** 2))
    assert without(a, b, z) == pytest.approx(partial, abs=1e-9)
    assert abs(without(3.0 * z + 0.1 * x, z + 0.1 * y, z)) < 0.2
