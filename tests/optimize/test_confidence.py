"""The spread of a prior's guesses, against priors whose guesses have a known one, and what a run makes of it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch

import nerf2mesh
from nerf2mesh.distill import DistillConfig
from nerf2mesh.distill.noise import NoiseLevel
from nerf2mesh.optimize import DirectionSpread, LatentGradient, direction_spread
from nerf2mesh.optimize.confidence import AZIMUTHS, ELEVATIONS, GUESSES, spread_of
from nerf2mesh.optimize.loop import distill
from nerf2mesh.types import Camera
from tests.optimize.scene import BallPrior, observations, problem
from tests.tiny_run import PLAIN

SIZE = 16
FRONT = Camera.orbit(0.0, 20.0, width_px=SIZE)


class Doubter(BallPrior):
    """Answers mid-grey of half opacity plus a share of the noise that it is shown: `doubt` in front of the object,
    twice that behind it, in proportion to the angle between."""

    kind = "x0"

    def __init__(self, doubt: float) -> None:
        super().__init__(SIZE)
        self.doubt, self.shapes = doubt, []

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return 2.0 * images.movedim(-1, -3) - 1.0

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return 0.5 * (latents.movedim(-3, -1) + 1.0)

    def level(self, t: torch.Tensor) -> NoiseLevel:
        return NoiseLevel(torch.zeros_like(t), torch.ones_like(t))

    def predict(self, noisy, t, cameras, condition, *, branch="conditional"):
        self.shapes.append(tuple(noisy.shape))
        return noisy * doubt_at(cameras.azimuth_deg, self.doubt)[..., None, None, None]


def doubt_at(azimuth_deg: torch.Tensor, doubt: float) -> torch.Tensor:
    return doubt * (1.0 + azimuth_deg.abs() / 180.0)


def test_the_spread_is_that_of_the_noise_that_the_guesses_keep() -> None:
    """Noise of standard deviation 2 d in latents is one of d in pictures; half of the pixels' opacity: sqrt(2) d."""
    prior = Doubter(0.04)
    found = direction_spread(prior, None, FRONT)
    assert found.color.shape == found.opacity.shape == (ELEVATIONS, AZIMUTHS)
    expected = doubt_at((found.azimuth_deg + 180.0) % 360.0 - 180.0, 0.02) * math.sqrt(2.0)
    for spread, values in ((found.color, 3), (found.opacity, 1)):
        error = 1.0 / math.sqrt(2 * (GUESSES - 1) * SIZE**2 * values)  # relative, one standard deviation
        assert torch.allclose(spread, expected.expand_as(spread), rtol=5.0 * error)
    assert found.azimuth_deg[found.least_sure[1]] == 180.0 and found.guesses.shape == (GUESSES, SIZE, SIZE, 4)
    deviation = float(found.guesses.std(0).square().mean().sqrt())
    assert deviation == pytest.approx(0.04, rel=0.1)
    assert all(shape[0] == 1 and shape[1] > 1 for shape in prior.shapes)


def test_a_prior_that_always_says_the_same_has_no_spread_and_weighs_all_views_alike() -> None:
    found = direction_spread(BallPrior(SIZE), None, FRONT)
    assert float(found.total.max()) < 1e-6
    cameras = Camera.orbit(torch.tensor([[0.0, 100.0, 200.0]]), 10.0, width_px=SIZE)
    assert torch.allclose(found.weights(cameras, 2.0), torch.ones(1, 3), atol=1e-3)


def test_spread_counts_each_channel_per_opaque_pixel() -> None:
    """Two guesses that differ by 0.2 in red in 4 of 8 opaque pixels: variance 0.02 there."""
    guesses = torch.zeros(2, 1, 4, 4, 4)
    guesses[:, :, :2, :, 3] = 1.0
    guesses[0, 0, 0, :, 0] = 0.2
    color, opacity = spread_of(guesses)
    assert float(color) == pytest.approx(math.sqrt(4 * 0.02 / 3 / 8), rel=1e-5) and float(opacity) == 0.0


def known_spread() -> DirectionSpread:
    elevation, azimuth = torch.tensor([0.0, 60.0]), torch.tensor([0.0, 90.0, 180.0, 270.0])
    color = torch.tensor([[0.0, 1.0, 2.0, 1.0], [0.0, 3.0, 4.0, 3.0]])
    return DirectionSpread(elevation, azimuth, color, torch.zeros_like(color), torch.zeros(1, 2, 2, 4))


def test_between_directions_it_is_bilinear_around_the_circle() -> None:
    asked = [(45.0, 0.0, 0.5), (-45.0, 0.0, 0.5), (180.0, 30.0, 3.0), (135.0, 80.0, 3.5), (315.0, -20.0, 0.5)]
    cameras = Camera.orbit(torch.tensor([a for a, _, _ in asked]), torch.tensor([e for _, e, _ in asked]))
    found = known_spread()
    assert torch.allclose(found.at(found.total, cameras), torch.tensor([value for _, _, value in asked]), atol=1e-4)


@pytest.mark.parametrize("power", [0.5, 1.0, 3.0])
def test_weights_fall_with_the_spread_and_have_mean_one_over_the_sphere(power: float) -> None:
    found = known_spread()
    rows, columns = torch.meshgrid(found.elevation_deg, found.azimuth_deg, indexing="ij")
    weights = found.weights(Camera.orbit(columns, rows), power)
    share = torch.tensor([1.0, 0.5])[:, None].expand(2, 4)  # cosines of 0 and 60 degrees
    assert float((weights * share).sum() / share.sum()) == pytest.approx(1.0, abs=1e-4)
    mean_square = float((found.total.square() * share).sum() / share.sum())
    ratio = float(weights[1, 2] / weights[0, 0])
    assert ratio == pytest.approx((1.0 + 16.0 / mean_square) ** -power, rel=1e-3)


def test_the_gradient_of_each_view_is_multiplied_by_its_weight() -> None:
    """A loss whose gradient is 1 everywhere: its product with the latents is what the objective is of."""
    views = torch.tensor([[0.5, 2.0]])
    each = LatentGradient(torch.ones(1, 2, 4, 3, 3), torch.ones(1, 2, 6, 6, 3)).weighted(views)
    assert each.images is not None
    assert torch.equal(each.latents[0, :, 0, 0, 0], views[0]) and torch.equal(each.images[0, :, 0, 0, 0], views[0])


def gradient_of_a_step(weights: list[float]) -> torch.Tensor:
    """All gradients of distillation at two views with these weights, in one row; no other term has any."""
    off = {f"weight_{name}": 0.0 for name in ("entropy", "sparsity", "orientation", "smoothness", "distortion")}
    state, task = problem(4, distill=DistillConfig(supersample=1, n_views=2, confidence_weight=1.0), **off)
    task.spread = cast(DirectionSpread, SimpleNamespace(weights=lambda cameras, power: torch.tensor([weights])))
    state.optimizer.zero_grad(set_to_none=False)
    distill(state, task, 0.0)
    return torch.cat([p.grad.flatten() for group in state.optimizer.param_groups for p in group["params"]])


def test_a_step_adds_up_its_views_by_their_weights() -> None:
    first, second, both = (gradient_of_a_step(weights) for weights in ([1.0, 0.0], [0.0, 1.0], [2.0, 3.0]))
    assert float(first.norm()) > 0 and float((first - second).norm()) > 0.1 * float(first.norm())
    bfloat16 = 2.0**-8  # of one product, where the processor multiplies such numbers natively
    assert float((both - 2.0 * first - 3.0 * second).norm()) < bfloat16 * float(both.norm())


def test_a_prior_without_opacity_is_refused_where_views_are_to_be_weighted() -> None:
    prior = Doubter(0.1)
    prior.has_alpha = False
    overrides = (*PLAIN, "distill.confidence_weight=1", "report.confidence=false")
    with pytest.raises(ValueError, match=r"^distill.confidence_weight: expected a prior with opacity .*; set it to 0"):
        nerf2mesh.fit(observations=observations(), prior=prior, overrides=overrides)


def test_the_second_priors_term_is_not_weighted() -> None:
    with pytest.raises(ValueError, match=r"^second.distill.confidence_weight: expected 0, got 2; set distill.conf"):
        nerf2mesh.load_config(["experiment=magic123", "second.distill.confidence_weight=2"])


def test_a_run_writes_the_map_and_shows_it(tmp_path: Path) -> None:
    overrides = (*PLAIN, "report.html=true", "report.confidence=true", f"output_dir={tmp_path}")
    result = nerf2mesh.fit(observations=observations(SIZE), prior=Doubter(0.04), overrides=overrides)
    written = json.loads((tmp_path / "metrics.json").read_text())["prior's spread"]
    assert result.metrics["prior's spread"] == {"value": written["value"]}
    assert result.spread is not None and written["spread"] == result.spread.total.tolist()
    assert written["given_deg"][0] == pytest.approx([0.0, 10.0], abs=1e-3)
    assert 0.02 * math.sqrt(2 * 2.0) < written["value"] < 0.04 * math.sqrt(2 * 2.0)
    page = (tmp_path / "report.html").read_text()
    assert "How sure the prior is" in page and page.count("<rect") >= ELEVATIONS * AZIMUTHS
    assert "Guesses of the least sure direction" in page
