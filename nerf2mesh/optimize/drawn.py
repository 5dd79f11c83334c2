"""What a step draws on the host before the device works: cameras, rays, times, jitter."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nerf2mesh.distill import draw_time
from nerf2mesh.optimize.problem import Problem
from nerf2mesh.optimize.state import LoopState
from nerf2mesh.optimize.views import distillation_cameras
from nerf2mesh.types import Camera, Rays


@dataclass(frozen=True)
class DrawnViews:
    """Distillation views: `cameras` [B, V] at the prior's size, `fine` at the size of their rays, of which `moved` [n]
    says how far samples are moved along each. weights [B, V] of the views, or None. time [1]; None: drawn later."""

    fine: Camera
    cameras: Camera
    moved: Tensor
    weights: Tensor | None = None
    time: Tensor | None = None

    @property
    def n_rays(self) -> int:
        """How many rays they have."""
        return len(self.moved)


@dataclass(frozen=True)
class DrawnPixels:
    """Rays through given pictures, what is wanted there [n, 4], a background [3], and how far each ray's samples are
    moved [n]; colored: whether the colors count."""

    rays: Rays
    target: Tensor
    background: Tensor
    moved: Tensor
    colored: bool


def draw_views(state: LoopState, problem: Problem, progress: float, *, with_time: bool = False) -> DrawnViews:
    """The views of the step at `progress`, on the CPU. with_time: the noise level's time too, where one is needed."""
    d, streams = problem.distill.at(progress), state.generators
    cameras = distillation_cameras(d, problem.reference, problem.prior.image_size, streams["camera"], ring=problem.ring)
    side = d.side_px(problem.prior) * d.supersample
    weights = None
    if d.confidence_weight:
        assert problem.spread is not None, "views are weighted by the problem's spread"
        weights = problem.spread.weights(cameras, d.confidence_weight)
    moved = torch.rand(math.prod(cameras.batch_shape) * side * side, generator=streams["jitter"])
    time = (
        draw_time(d, progress, 1, streams["time"]) if with_time and distill_weight(state, problem, progress) else None
    )
    return DrawnViews(cameras.resized(side, side), cameras, moved, weights, time)


def distill_weight(state: LoopState, problem: Problem, progress: float) -> float:
    """Of the distillation gradient, with the health watch's factor."""
    return problem.distill.at(progress).weight * state.factors.get("distill", 1.0)


def draw_pixels(state: LoopState, problem: Problem) -> DrawnPixels | None:
    """Rays through the given pictures; None where there are none."""
    if not problem.pixels.views:
        return None
    streams = state.generators
    rays, target, colored = problem.pixels.draw(problem.config.rays, streams["pixel"])
    background = torch.rand(3, generator=streams["background"])
    moved = torch.rand(len(rays.origins), generator=streams["jitter"])
    return DrawnPixels(rays, target, background, moved, colored)


@dataclass(frozen=True)
class Drawn:
    """All that a step draws before."""

    views: DrawnViews
    pixels: DrawnPixels | None

    def tensors(self) -> list[Tensor]:
        """Everything in it that changes from step to step."""
        v, p = self.views, self.pixels
        found = [x for camera in (v.fine, v.cameras) for x in _parts(camera)] + [v.moved]
        found += [] if v.time is None else [v.time]
        return found + ([] if p is None else [p.rays.origins, p.rays.directions, p.target, p.background, p.moved])

    def of(self, tensors: Sequence[Tensor]) -> Drawn:
        """The same made of other tensors, in the order of `tensors`."""
        left = iter(tensors)
        fine, cameras = (_made(camera, left) for camera in (self.views.fine, self.views.cameras))
        moved, time = next(left), None if self.views.time is None else next(left)
        views = DrawnViews(fine, cameras, moved, None, time)
        if self.pixels is None:
            return Drawn(views, None)
        origins, directions, target, background, moved = left
        return Drawn(views, DrawnPixels(Rays(origins, directions), target, background, moved, self.pixels.colored))


_NAMES = ("camera_to_world", "focal_px", "principal_px")


def _parts(camera: Camera) -> list[Tensor]:
    return [getattr(camera, name) for name in _NAMES]


def _made(camera: Camera, tensors: Iterator[Tensor]) -> Camera:
    """The camera with other tensors, taken from `tensors`."""
    return replace(camera, **{name: next(tensors) for name in _NAMES})
