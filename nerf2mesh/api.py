"""The data's way from a picture to a mesh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from nerf2mesh.config import Config, load_config
from nerf2mesh.fields import HashGridField
from nerf2mesh.inputs import load_observations
from nerf2mesh.optimize import LAST, GivenPixels, LoopState, Problem, SecondPrior, optimize
from nerf2mesh.priors import load_prior
from nerf2mesh.priors.foundation import memory
from nerf2mesh.render import OccupancyGrid, VolumeRenderer
from nerf2mesh.report import Progress, StageClock
from nerf2mesh.run import finish as outputs
from nerf2mesh.run import subject_adapter as adaptation
from nerf2mesh.run.folder import RunFolder
from nerf2mesh.run.preemption import Checkpoints
from nerf2mesh.run.ranks import Ranks
from nerf2mesh.run.result import Result
from nerf2mesh.types import Observations
from nerf2mesh.utils.locks import alone_in


def fit(
    image: str | Path | None = None,
    *,
    observations: Observations | None = None,
    config: Config | None = None,
    overrides: Sequence[str] = (),
    output_dir: str | Path | None = None,
) -> Result:
    """One picture to a mesh.

    Args:
        image: path of a picture; or say `input.image=...` in the overrides.
        observations: instead of a picture, views that are ready, with their cameras (the first is the reference).
        config: from `load_config`; by default composed from `overrides` (such as "preset=preview", "seed=3").
        output_dir: the run folder (see run_folder); None keeps everything in memory. The same call on the same folder
            continues a run that was stopped, and repeats only what is missing.

    Raises:
        ValueError: in one line, what is wrong with the input, a setting, a file, or the run, and what to do.
    """
    config = _settled(image, config, overrides, output_dir)
    clock = StageClock()
    if observations is None:
        with clock.stage("input"):
            observations = load_observations(config.input)
    ranks = Ranks.join(config.seed)
    for distill in (config.distill, *([config.second.distill] if config.second else [])):
        ranks.check(distill.loss)
    with alone_in(config.output_dir if ranks.is_first else None):
        return _fit(observations, config, overrides, ranks, clock)


def _fit(
    observations: Observations, config: Config, overrides: Sequence[str], ranks: Ranks, clock: StageClock
) -> Result:
    """The data's way. Of several processes the first alone has a folder, and makes the mesh."""
    device = ranks.device(_device(config))
    folder = RunFolder.open(config, overrides, observations) if ranks.is_first else None
    with clock.stage("prior"):
        prior = load_prior(config.prior, device)
        adaptation.load_styles(prior, config.lora)
        condition = prior.condition(observations)
    state, renderer = _new_run(config, device)
    resumed = _resume(state, folder)
    with clock.stage("adapt"):
        if ranks.is_first:
            adaptation.adapt(state, prior, observations, config, folder)
        ranks.share(state)
        if not ranks.is_first:
            adaptation.adapt(state, prior, observations, config, folder)
    asked, quiet = config.distill, config.report.quiet or not ranks.is_first
    expected = memory.announce(
        prior, condition, n_views=asked.n_views, n_branches=asked.n_branches, field=state.field, quiet=quiet
    )
    problem = Problem(
        observations,
        prior,
        condition,
        renderer,
        GivenPixels(observations, torch.device(device)),
        config.optimize,
        config.distill,
        clock,
        ranks.average if ranks.count > 1 else None,
        config.report.loggers,
        _second(observations, config, device),
    )
    with clock.stage("optimize"):
        _run_loop(state, problem, config, folder, ranks)
    memory.report(expected, device, quiet=quiet)
    ranks.leave()
    result = Result(None, state.field, renderer, observations, config, warnings=[*resumed, *state.events])
    if ranks.is_first:
        priors = {"prior": prior} | ({"second prior": problem.second.prior} if problem.second else {})
        outputs.finish(result, priors, folder, clock)
    return result


def _second(observations: Observations, config: Config, device: str) -> SecondPrior | None:
    """The second prior of the run, where there is one."""
    if config.second is None:
        return None
    prior = load_prior(config.second.prior, device)
    return SecondPrior(prior, prior.condition(observations), config.second.distill)


def _settled(
    image: str | Path | None, config: Config | None, overrides: Sequence[str], output_dir: str | Path | None
) -> Config:
    """The configuration with the arguments put in."""
    config = load_config(overrides) if config is None else config
    if image is not None:
        config = replace(config, input=replace(config.input, image=str(image)))
    if output_dir is not None:
        config = replace(config, output_dir=str(output_dir))
    # To name the number, even the present one, also ends MKL's choosing it at run time, which changes bits.
    torch.set_num_threads(config.threads or torch.get_num_threads())
    return config


def _device(config: Config) -> str:
    """ValueError where a GPU is asked for and there is none."""
    if config.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if config.device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device: {config.device} was asked for, but torch finds no GPU here; set device=cpu")
    return config.device


def _new_run(config: Config, device: str) -> tuple[LoopState, VolumeRenderer]:
    field = HashGridField(config.field, torch.Generator().manual_seed(config.seed)).to(device)
    occupancy = OccupancyGrid(config.renderer.occupancy_resolution).to(device)
    state = LoopState.fresh(field, occupancy, config.optimize.lr_encoding, config.optimize.lr_network, config.seed)
    return state, VolumeRenderer(config.renderer, field, occupancy)


def _resume(state: LoopState, folder: RunFolder | None) -> list[str]:
    """Takes up the last checkpoint where there is one."""
    if folder is None or not (folder / LAST).exists():
        return []
    state.load(folder / LAST)
    return [f"continued from step {state.step}"]


def _run_loop(state: LoopState, problem: Problem, config: Config, folder: RunFolder | None, ranks: Ranks) -> None:
    quiet = config.report.quiet or not ranks.is_first
    bar = Progress(config.optimize.steps, "optimize", quiet=quiet, initial=state.step)
    stop = {"asked": lambda: ranks.stop_asked} if ranks.count > 1 else {}
    save = Checkpoints(folder / LAST if folder else None, config.optimize.checkpoint_every_s, **stop)
    refresh = adaptation.refresher(problem, config) if config.lora.subject and config.lora.refresh_at else None

    def on_step(state: LoopState) -> None:
        if refresh:
            refresh(state)
        ranks.reseed(state)
        save(state)

    with save.between_steps():
        optimize(
            state,
            problem,
            folder=folder.path if folder else None,
            progress=bar,
            on_preview=(lambda views, step: outputs.save_preview(folder, views, step)) if folder else None,
            on_step=on_step,
        )


__all__ = ["Result", "fit"]
