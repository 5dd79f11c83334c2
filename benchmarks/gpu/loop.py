"""The library's own loop, one step at a time: how long it takes, and which lines make the host wait for the GPU."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from .speed import Figures, host_syncs

PICTURE = Path(__file__).resolve().parents[2] / "nerf2mesh" / "assets" / "demo" / "bob.png"


def problem(device: str, overrides: list[str]):
    """State and problem as a run at `overrides` has them, without adapters and without a folder."""
    from nerf2mesh import api
    from nerf2mesh.config import load_config
    from nerf2mesh.inputs import load_observations
    from nerf2mesh.optimize import GivenPixels, Problem
    from nerf2mesh.priors import load_prior

    config = load_config([f"input.image={PICTURE}", *overrides])
    observations = load_observations(config.input)
    prior = load_prior(config.prior, device)
    state, renderer = api._new_run(config, device)
    pixels = GivenPixels(observations, torch.device(device))
    condition = prior.condition(observations)
    return state, Problem(observations, prior, condition, renderer, pixels, config.optimize, config.distill)


def measure(device: str, preset: str = "standard", warm_up: int = 40, steps: int = 20) -> Figures:
    """Mean seconds of a step after the warm-up, and host synchronisations of one step that refreshes no occupancy."""
    from nerf2mesh.optimize.loop import step

    state, given = problem(device, [f"preset={preset}"])
    state.field.train()
    for _ in range(warm_up):
        step(state, given)
    every = given.renderer.config.occupancy_every
    while state.step % every in (0, every - 1):
        step(state, given)
    seen = host_syncs(lambda: step(state, given))
    _wait(device)
    start = time.perf_counter()
    for _ in range(steps):
        step(state, given)
    _wait(device)
    found: Figures = {"step [ms]": 1e3 * (time.perf_counter() - start) / max(steps, 1)}
    found |= {"host synchronisations": sum(seen.values())}
    return found | {f"waits at {line}": n for line, n in sorted(seen.items(), key=lambda item: -item[1])}


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
