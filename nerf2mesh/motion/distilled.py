"""Score distillation at other times: the prior says where along the camera's sight the moving parts are.

A still camera leaves the depth of a motion open. Two neighboring frames are drawn, and cameras around the object; the
field is rendered as it is at both times, and the prior, which is shown the frame of each time, pulls the renderings
towards what it holds for likely from there. Both get the same cameras, noise level and noise, so that what differs
between their gradients comes from the motion.

Letters
    c = c_0 + s d: control points of `Deformation`; c_0 follows the frames, d is the unit way from the camera through
    the point at the knot's time, and s, one number a control point, is what is sought. What the camera sees stays.
        min_s  L_distill(c) + elastic |D_xyz s|^2 + momentum |D_t s|^2, each a mean of squared second differences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from nerf2mesh.distill import DistillConfig, draw_time
from nerf2mesh.inputs.framing import resample
from nerf2mesh.motion.bent_field import BentField
from nerf2mesh.motion.config import MotionConfig
from nerf2mesh.motion.deformation import Deformation
from nerf2mesh.optimize.distillers import make_distiller
from nerf2mesh.optimize.terms import Distillation
from nerf2mesh.optimize.views import distillation_cameras
from nerf2mesh.priors.base import Condition, Prior
from nerf2mesh.render import OccupancyGrid, VolumeRenderer
from nerf2mesh.types import Clip, Observations, View

OCCUPANCY = 48
"""Cells along an axis of the grids at the frames' times."""
STREAMS = ("time", "noise", "ism", "phi")
Told = Callable[[float], None]


@dataclass(frozen=True)
class Guide:
    """The prior that steers, and how it is asked. observations: of the run; their first view is the first frame's."""

    prior: Prior
    distill: DistillConfig
    observations: Observations
    seed: int = 0


def distilled(
    deformation: Deformation,
    renderer: VolumeRenderer,
    clip: Clip,
    guide: Guide,
    config: MotionConfig,
    told: Told = lambda _: None,
) -> Deformation:
    """The deformation after `motion.distill_steps` steps; the field of `renderer` stays as it is.

    told: called with the share that is done.
    """
    generator = torch.Generator().manual_seed(guide.seed + 5_003)
    distill = replace(guide.distill, n_views=config.distill_views, antithetic=False, supersample=1)
    distill = replace(distill, milestones=(), milestone_views=(), milestone_px=(), lit=False)
    device = renderer.occupancy.bits.device
    ways = sights(deformation, clip).to(device)
    start = deformation.control.detach().to(device)
    depth = torch.zeros(start.shape[:-1], dtype=start.dtype, device=device, requires_grad=True)
    optimizer = torch.optim.Adam([depth], lr=config.distill_lr)
    reference = guide.observations.views[0].camera
    distiller = make_distiller(guide.prior, distill, {"phi": torch.Generator().manual_seed(guide.seed)})
    conditions: dict[int, Condition] = {}
    grids: dict[int, OccupancyGrid] = {}
    with frozen(renderer):
        for step in range(config.distill_steps):
            progress = step / config.distill_steps
            first = int(torch.randint(len(clip.times_s) - 1, (), generator=generator))
            cameras = distillation_cameras(distill, reference, distill.side_px(guide.prior), generator).to(device)
            time = draw_time(distill, progress, 1, generator)
            seed = int(torch.randint(2**31, (), generator=generator))
            optimizer.zero_grad()
            for k in (first, first + 1):
                if k not in conditions:
                    conditions[k] = guide.prior.condition(seen_at(k, clip, guide.observations))
                control = (start + depth.detach()[..., None] * ways).requires_grad_()
                now = replace(deformation, control=control)
                bent = BentField(renderer.field, now, clip.times_s[k])
                if k not in grids:
                    grids[k] = carried_grid(renderer.occupancy, replace(deformation, control=start), clip.times_s[k])
                streams = {name: torch.Generator().manual_seed(seed) for name in STREAMS}
                score = Distillation(
                    guide.prior, conditions[k], distill, distiller, cameras, progress, config.distill_weight, streams
                )
                score.time = time
                at_time = VolumeRenderer(renderer.config, bent, grids[k])
                at_time.backward_in_chunks(cameras.rays().flatten(), score)
                if control.grad is not None:
                    part = (control.grad * ways).sum(-1)
                    depth.grad = part if depth.grad is None else depth.grad + part
            smooth(replace(deformation, control=depth[..., None] * ways), config).backward()
            optimizer.step()
            told((step + 1) / config.distill_steps)
    return replace(deformation, control=(start + depth.detach()[..., None] * ways).to(deformation.control.device))


def carried_grid(grid: OccupancyGrid, deformation: Deformation, time_s: float) -> OccupancyGrid:
    """The occupied cells of the canonical field as they are at a time, with all cells around them."""
    points = deformation.forward(grid.middles().to(deformation.control.dtype), time_s)
    cell = ((points + 1.0) / 2.0 * OCCUPANCY).floor().long()
    cell = cell[((cell >= 0) & (cell < OCCUPANCY)).all(1)]
    marked = torch.zeros(1, OCCUPANCY, OCCUPANCY, OCCUPANCY, device=cell.device)
    marked[0, cell[:, 0], cell[:, 1], cell[:, 2]] = 1.0
    made = OccupancyGrid(OCCUPANCY).to(cell.device)
    made.occupy(torch.nn.functional.max_pool3d(marked, 3, stride=1, padding=1).view(-1) > 0)
    return made


def smooth(moved: Deformation, config: MotionConfig) -> Tensor:
    """The energies of a deformation's way, in space and in time."""
    return config.distill_elastic * moved.elastic() + config.distill_momentum * moved.momentum()


def sights(deformation: Deformation, clip: Clip) -> Tensor:
    """d [k, l, l, l, 3]: the unit ways from the camera that took the frame nearest to each knot's time."""
    knots, size = deformation.control.shape[:2]
    kind = deformation.control.dtype
    step = 2.0 * deformation.half / (size - 3)
    axis = (torch.arange(size, dtype=kind) - 1.0) * step - deformation.half
    places = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1)
    length = (deformation.end_s - deformation.begin_s) / (knots - 3)
    when = deformation.begin_s + (torch.arange(knots, dtype=kind) - 1.0) * length
    times = torch.tensor(clip.times_s, dtype=kind)
    nearest = (when[:, None] - times).abs().argmin(1)
    cameras = clip.cameras
    toward = cameras.camera_to_world[nearest, :3, 2].to(kind)[:, None, None, None]
    if cameras.orthographic:
        return -toward.expand(knots, size, size, size, 3).contiguous()
    way = places - cameras.position[nearest].to(kind)[:, None, None, None]
    return torch.nn.functional.normalize(way, dim=-1)


def seen_at(k: int, clip: Clip, observations: Observations) -> Observations:
    """One frame as the run's only view, through the lens and in the window of its first one."""
    first = observations.views[0]
    camera = clip.cameras[k]
    size = first.camera.width_px
    side = float(camera.focal_px[0] / first.camera.focal_px[0]) * size
    middle = camera.principal_px.double().numpy()
    window = (float(middle[0] - side / 2), float(middle[1] - side / 2), side)
    image = torch.from_numpy(resample(np.asarray(clip.images[k]), window, size))
    centered = replace(first.camera, camera_to_world=camera.camera_to_world)
    return Observations(
        (View(image, centered, domain=first.domain),), observations.prompt, {}, observations.negative_prompt
    )


@contextmanager
def frozen(renderer: VolumeRenderer) -> Iterator[None]:
    """The field's parameters ask for no gradient meanwhile."""
    module = renderer.field
    asked = [p for p in module.parameters() if p.requires_grad] if isinstance(module, torch.nn.Module) else []
    for parameter in asked:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in asked:
            parameter.requires_grad_(True)
