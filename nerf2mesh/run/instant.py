"""What a run may become, in seconds: the prior guesses other sides, and a field is fitted to them with no distillation.

`preset=instant` is this as a run of its own; here it is shown to those who watch a longer run, until that has more.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from nerf2mesh.config import Config, load_config
from nerf2mesh.fields import HashGridField, bound_of
from nerf2mesh.optimize import GivenPixels, LoopState, Problem, step
from nerf2mesh.render import OccupancyGrid, VolumeRenderer
from nerf2mesh.run.guidance import Guidance, with_guesses
from nerf2mesh.types import Observations


def instant_fit(
    config: Config, observations: Observations, guidance: Guidance, device: str
) -> tuple[HashGridField, OccupancyGrid]:
    """A field of the run's own size with its occupancy grid, after the steps of `preset=instant`.

    Changes nothing of the run: it draws from generators of its own, and torch's global one is put back.

    Raises:
        ValueError: the prior guesses no sides (see `optimize.guess_views`).
    """
    preset = load_config(["preset=instant"])
    quick = replace(config, optimize=preset.optimize, distill=preset.distill)
    with torch.random.fork_rng(devices=[]):
        field = HashGridField(config.field, torch.Generator().manual_seed(config.seed))
        field.bound = bound_of(observations.views)
        field = field.to(device)
        occupancy = OccupancyGrid(config.renderer.occupancy_resolution).to(device)
        rates = quick.optimize.lr_encoding, quick.optimize.lr_network
        state = LoopState.fresh(field, occupancy, *rates, config.seed)
        problem = Problem(
            observations=observations,
            prior=guidance.prior,
            condition=guidance.condition,
            renderer=VolumeRenderer(config.renderer, field, occupancy),
            pixels=GivenPixels(with_guesses(quick, observations, guidance), torch.device(device)),
            config=quick.optimize,
            distill=quick.distill,
        )
        field.train()
        while state.step < quick.optimize.steps:
            step(state, problem)
    return field.eval(), occupancy
