"""The subject adapter: a LoRA that is fitted to the input before the loop, and again to renderings during it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from nerf2mesh.config import Config
from nerf2mesh.lora import (
    SUBJECT,
    ClassPictures,
    LoraConfig,
    active,
    adapter_state,
    class_pictures,
    fit_pictures,
    fit_subject,
    load_state,
    names,
    save_adapter,
    stack,
)
from nerf2mesh.optimize import LoopState, Problem, light_in
from nerf2mesh.optimize.lighting import seen
from nerf2mesh.priors import BuiltinPrior, Prior
from nerf2mesh.priors.builtin.frames import Frames
from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.report import Progress
from nerf2mesh.run.folder import RunFolder
from nerf2mesh.run.ranks import Ranks
from nerf2mesh.types import Camera, Observations
from nerf2mesh.utils.checkpoint import readable

ADAPTER = "adapters/subject.safetensors"
REFRESH_VIEWS = 6


def adapt(
    state: LoopState,
    prior: Prior,
    observations: Observations,
    config: Config,
    folder: RunFolder | None,
    ranks: Ranks,
) -> None:
    """Puts the subject adapter on the prior and gives all processes the first one's state.

    The adapter is the checkpoint's where there is one; else the first process fits it now and writes it into `folder`.
    A prompt without a picture leaves nothing to fit.
    """
    wanted = config.lora.subject and config.lora.steps > 0 and bool(observations.views)
    if wanted and not state.adapter and ranks.is_first:
        torch.manual_seed(config.seed)
        bar = Progress(config.lora.steps, "adapt", quiet=config.report.quiet)
        with bar:
            fit_adapter(state, prior, observations, config.lora, lambda loss: bar.update(loss=round(loss, 3)))
        if folder:
            save_adapter(folder / ADAPTER, state.adapter)
    ranks.share(state)
    if wanted and SUBJECT not in names(prior.network):
        with readable(state.loaded_from):
            load_state(prior.network, SUBJECT, state.adapter)
        stack(prior.network, active(prior.network, config.lora))


def fit_adapter(
    state: LoopState,
    prior: Prior,
    observations: Observations,
    config: LoraConfig,
    progress: Callable[[float], None] | None = None,
    *,
    renderings: Frames | None = None,
) -> None:
    """Fits the subject adapter to the given views (and `renderings`), and puts its weights into the state.

    On the built-in prior it is fitted jointly over views, on any other as in DreamBooth.
    """
    given, generator = Frames.of(observations), state.generators["adapt"]
    if isinstance(prior, BuiltinPrior):
        if config.class_prompt:
            raise ValueError("lora.class_prompt: expected a prior that reads words, got builtin; leave it out")
        fit_subject(prior, given, config, generator, renderings=renderings, progress=progress)
    else:
        preserved = _preserved(prior, observations, config, generator) if config.class_prompt else None
        condition = prior.condition(observations)
        more = {"preserved": preserved, "renderings": renderings, "progress": progress}
        fit_pictures(prior, condition, given, config, generator, **more)
    state.adapter = adapter_state(prior.network, SUBJECT)


def _preserved(
    prior: Prior, observations: Observations, config: LoraConfig, generator: torch.Generator
) -> ClassPictures:
    """Pictures of the class that the prior draws on a ring around the object, before the adapter changes it."""
    words = replace(observations, prompt=config.class_prompt)
    first = observations.views[0].camera.resized(prior.image_size, prior.image_size)
    n = prior.n_views
    ring = Camera.stack([first.turned(360.0 * i / n) for i in range(n)])[None]
    return class_pictures(prior, prior.condition(words), ring, config.class_pictures, generator)


def refresher(problem: Problem, config: Config) -> Callable[[LoopState], None]:
    """For the loop's `on_step`: at the configured share of the run the adapter is fitted again, also to renderings."""
    due = max(1, round(config.lora.refresh_at * config.optimize.steps))

    def refresh(state: LoopState) -> None:
        if state.step != due or not problem.observations.views:
            return
        fit_adapter(state, problem.prior, problem.observations, config.lora, renderings=_renderings(problem, state))

    return refresh


def _renderings(problem: Problem, state: LoopState) -> Frames:
    reference = problem.reference
    turns = torch.arange(REFRESH_VIEWS) * 360.0 / REFRESH_VIEWS
    side = min(max(problem.prior.image_size, 64), 256)
    cameras = Camera.stack([reference.turned(turn) for turn in turns]).resized(side, side)
    views = seen(problem.renderer.render(cameras), cameras.to(problem.device).rays(), state.field, light_in(state))
    return Frames(views.rgba.permute(0, 3, 1, 2).cpu()[None], FrameGeometry.of(cameras.to("cpu")[None]))
