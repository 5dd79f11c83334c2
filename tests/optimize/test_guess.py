"""Views that a prior guesses in one step: where they stand, what their pictures are, and what a run makes of them."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

import nerf2mesh
from nerf2mesh.distill import DistillConfig
from nerf2mesh.distill.noise import NoiseLevel
from nerf2mesh.optimize import guess_cameras, guess_views
from nerf2mesh.types import Camera, Observations, View

RED = torch.tensor([0.8, 0.2, 0.1])
SIZE = 8


class Painter:
    """Answers with a red square of half opacity, whatever it is shown; without a condition with nothing."""

    kind, has_alpha, n_views, image_size = "x0", True, 1, SIZE
    network = torch.nn.Linear(1, 1)

    def __init__(self) -> None:
        picture = torch.zeros(SIZE, SIZE, 4)
        picture[2:6, 2:6] = torch.cat([0.5 * RED, torch.tensor([0.5])])
        self.clean = 2.0 * picture.permute(2, 0, 1) - 1.0
        self.times: list[float] = []

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return 2.0 * images.movedim(-1, -3) - 1.0

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return 0.5 * (latents.movedim(-3, -1) + 1.0)

    def level(self, t: torch.Tensor) -> NoiseLevel:
        return NoiseLevel(1.0 - t, t)

    def predict(self, noisy, t, cameras, condition, *, branch="conditional"):
        self.times.append(float(t))
        return self.clean.expand_as(noisy) if branch == "conditional" else torch.full_like(noisy, -1.0)


def test_cameras_stand_evenly_around_at_the_references_distance() -> None:
    reference = Camera.orbit(30.0, 10.0, distance=2.5, fov_deg=50.0, width_px=64)
    cameras = guess_cameras(4, reference, 16)
    assert cameras.batch_shape == (1, 4) and (cameras.width_px, cameras.height_px) == (16, 16)
    assert torch.allclose(cameras.azimuth_deg[0], torch.tensor([30.0, 120.0, -150.0, -60.0]), atol=1e-3)
    assert torch.allclose(cameras.elevation_deg[0], torch.tensor([0.0, 30.0, 0.0, 30.0]), atol=1e-3)
    assert torch.allclose(cameras.position.norm(dim=-1), torch.tensor(2.5))
    assert torch.allclose(cameras.focal_px / 16, reference.focal_px / 64)


@pytest.mark.parametrize(("scale", "opacity"), [(1.0, 0.5), (2.0, 1.0)])
def test_pictures_are_the_clean_guess_with_straight_alpha(scale: float, opacity: float) -> None:
    prior = Painter()
    cameras = guess_cameras(3, Camera.orbit(0.0, 0.0, width_px=SIZE), SIZE)
    views = guess_views(prior, None, DistillConfig(guidance_scale=scale), cameras, weight=0.5)
    assert len(views) == 3 and all(view.weight == 0.5 for view in views)
    inside, outside = views[1].image[3, 3], views[1].image[0, 0]
    assert inside[3] == pytest.approx(opacity, abs=1e-5) and float(outside[3]) == 0.0
    assert torch.allclose(inside[:3], RED, atol=1e-5)
    assert torch.equal(views[2].camera.camera_to_world, cameras.camera_to_world[0, 2])
    assert prior.times == pytest.approx([0.999] * len(prior.times))


@pytest.mark.parametrize("lacks", [{"has_alpha": False}, {"n_views": 4}])
def test_a_prior_without_opacity_or_of_fixed_views_is_refused(lacks: dict) -> None:
    prior = SimpleNamespace(**{"has_alpha": True, "n_views": 1} | lacks)
    with pytest.raises(ValueError, match=r"^optimize.guessed_views: expected .*; set it to 0"):
        guess_views(prior, None, DistillConfig(), guess_cameras(2, Camera.orbit(0.0, 0.0), 8))


def test_a_ball_is_guessed_all_around_and_becomes_a_closed_mesh() -> None:
    camera = Camera.orbit(0.0, 20.0, width_px=64)
    y, x = torch.meshgrid(*(torch.arange(64) + 0.5 - 32,) * 2, indexing="ij")
    disc = (x.square() + y.square() < 18.0**2).float()
    picture = torch.cat([disc[..., None] * RED, disc[..., None]], dim=-1)
    small = ("optimize.rays=512", "mesh.resolution=32", "mesh.calibration_resolution=24", "mesh.threshold=null")
    quick = ("preset=instant", "report=quiet", "mesh=vertex_colors", "mesh.smooth_radius=0.1", *small)
    result = nerf2mesh.fit(observations=Observations((View(picture, camera),)), overrides=quick)
    assert result.mesh is not None and result.mesh.is_watertight
    size = result.mesh.bounds[1] - result.mesh.bounds[0]
    radius = 18.0 / float(camera.focal_px[0]) * 3.2  # of the disc in the plane through the origin
    assert size.max() / size.min() < 2.0 and 0.6 < size.mean() / (2 * radius) < 1.5


def test_loading_the_packaged_weights_does_not_load_torch_dynamo() -> None:
    code = (
        "import sys; from nerf2mesh.priors import load_prior; from nerf2mesh.priors.config import PriorConfig; "
        "load_prior(PriorConfig()); print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stderr
