"""A prior that knows where a ball is at each time moves it along the sight of the camera, which sees no change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from nerf2mesh.distill import DistillConfig, from_x0
from nerf2mesh.fields import FieldOutput
from nerf2mesh.motion.config import MotionConfig
from nerf2mesh.motion.deformation import Deformation
from nerf2mesh.motion.distilled import Guide, carried_grid, distilled, seen_at, sights
from nerf2mesh.render import OccupancyGrid, RendererConfig, VolumeRenderer
from nerf2mesh.types import Camera, Clip, Observations, View
from tests.optimize.scene import BallPrior

RADIUS, AWAY = 0.35, 0.3
"""Of the ball, and how far it goes away from the camera."""
COLORS = torch.tensor([0.8, 0.3, 0.2])


class Ball(nn.Module):
    """A soft ball at the origin, in closed form. A `fields.Field`."""

    view_dependent = False
    bytes_per_sample = 64

    def density(self, points: torch.Tensor) -> torch.Tensor:
        return 60.0 * torch.sigmoid((RADIUS - points.norm(dim=-1)) * 40.0)

    def forward(self, points: torch.Tensor, directions: torch.Tensor | None = None) -> FieldOutput:
        logit = (RADIUS - points.norm(dim=-1)) * 40.0
        return FieldOutput(60.0 * torch.sigmoid(logit), COLORS.expand(len(points), 3), logit)

    def normals(self, points: torch.Tensor, mode: str = "analytic") -> torch.Tensor:
        return nn.functional.normalize(points, dim=-1)


@dataclass
class Told:
    """What the prior was told: how far away the ball is."""

    away: float


class Knows(BallPrior):
    """Answers with the renderings of the ball where it is."""

    def __init__(self, renderer: VolumeRenderer, way: torch.Tensor) -> None:
        super().__init__(16)
        self.renderer, self.way = renderer, way

    def condition(self, observations: Observations) -> Told:
        """The frame's brightness says how far."""
        return Told(AWAY * float(observations.views[0].image[..., 0].amax()))

    def predict(self, noisy, t, cameras, condition, *, branch="conditional"):
        pose = cameras.camera_to_world.clone()
        pose[..., :3, 3] -= condition.away * self.way
        moved = Camera(pose, cameras.focal_px, cameras.principal_px, cameras.width_px, cameras.height_px)
        shown = self.renderer.render(moved)
        return from_x0("v", self.encode(shown.rgba), noisy, self.level(t))


def scene() -> tuple[VolumeRenderer, Clip, Observations, torch.Tensor]:
    grid = OccupancyGrid(32)
    ball = Ball()
    grid.bake_full(ball, threshold=0.1)
    renderer = VolumeRenderer(RendererConfig(samples_per_ray=64, occupancy_resolution=32), ball, grid)
    camera = Camera.orbit(torch.zeros(3), 0.0, width_px=32)
    images = torch.ones(3, 32, 32, 4)
    images[..., :3] = torch.tensor([0.0, 0.5, 1.0])[:, None, None, None]
    way = torch.tensor([-1.0, 0.0, 0.0])  # the camera looks along it
    return renderer, Clip(images, camera, (0.0, 0.5, 1.0)), Observations((View(images[0], camera[0]),)), way


@pytest.mark.slow
def test_the_prior_says_how_far_away_it_is() -> None:
    renderer, clip, observations, way = scene()
    still = Deformation(torch.zeros(4, 6, 6, 6, 3, dtype=torch.float64), 0.0, 1.0)
    config = MotionConfig(distill_steps=40, distill_views=2, distill_lr=0.03, distill_elastic=1.0, distill_momentum=0.1)
    guide = Guide(Knows(renderer, way), DistillConfig(loss="x0", supersample=1), observations)
    moved = distilled(still, renderer, clip, guide, config)
    middle = torch.zeros(1, 3, dtype=torch.float64)
    for time, wanted in ((0.0, 0.0), (1.0, AWAY)):
        at = moved.forward(middle, time)[0]
        assert abs(float(at @ way.double()) - wanted) < 0.07
        assert float((at - (at @ way.double()) * way).norm()) < 0.01
    again = distilled(still, renderer, clip, guide, config)
    assert torch.equal(moved.control, again.control)


def test_sights_lead_away_from_the_camera() -> None:
    _, clip, _, _ = scene()
    ways = sights(Deformation(torch.zeros(5, 6, 6, 6, 3, dtype=torch.float64), 0.0, 1.0), clip)
    axis = (np.arange(6) - 1.0) * 0.8 - 1.2
    eye = clip.cameras.position[0].double().numpy()
    way = np.array([axis[4], axis[1], axis[2]]) - eye
    np.testing.assert_allclose(ways[3, 4, 1, 2], way / np.linalg.norm(way), atol=1e-6)


def test_a_frame_is_seen_in_the_first_view_s_window() -> None:
    """The clip's pictures are wider; a point of the world stays where its camera shows it."""
    _, clip, observations, _ = scene()
    wide = Camera(clip.cameras.camera_to_world, clip.cameras.focal_px, clip.cameras.principal_px + 9.0, 50, 50)
    images = torch.zeros(3, 50, 50, 4)
    images[1, 25 - 8 : 25 + 8, 25 - 8 : 25 + 8] = 1.0
    view = seen_at(1, Clip(images, wide, clip.times_s), observations).views[0]
    assert view.image.shape == (32, 32, 4) and float(view.image[8:24, 8:24].min()) > 0.99
    assert float(view.image[..., 3].sum()) == 16 * 16


def test_the_grid_goes_along() -> None:
    renderer, _, _, way = scene()
    shift = Deformation((0.3 * way.double()).expand(4, 6, 6, 6, 3).clone(), 0.0, 1.0)
    grid = carried_grid(renderer.occupancy, shift, 0.5)
    middles = grid.middles()
    assert float((middles.mean(0) - 0.3 * way).norm()) < 0.02
    points = torch.nn.functional.normalize(torch.randn(500, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    inside = 0.9 * RADIUS * points + 0.3 * way
    assert float(torch.cdist(inside, middles).amin(1).max()) < 0.04
