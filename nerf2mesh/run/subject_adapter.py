"""The prior made ready for one run: the user's adapters stacked on it, the subject adapter fitted to the input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from nerf2mesh import lora
from nerf2mesh.config import Config
from nerf2mesh.lora import SUBJECT, Frames, LoraConfig
from nerf2mesh.optimize import LoopState, Problem
from nerf2mesh.priors import BuiltinPrior, Prior
from nerf2mesh.report import Progress
from nerf2mesh.run.folder import RunFolder
from nerf2mesh.types import Camera, Observations

ADAPTER = "adapters/subject.safetensors"
REFRESH_VIEWS = 6


def load_styles(prior: Prior, config: LoraConfig) -> None:
    """Puts the user's adapters on the prior, active with their weights; see `lora.load_adapter`."""
    weights = config.weights or [1.0] * len(config.adapters)
    for i, (path, weight) in enumerate(zip(config.adapters, weights, strict=True)):
        lora.load_adapter(prior, lora.style_name(i), path, text_weight=weight)
    if config.adapters:
        lora.stack(prior.network, lora.active(prior.network, config))


def adapt(state: LoopState, prior: Prior, observations: Observations, config: Config, folder: RunFolder | None) -> None:
    """The subject adapter: from the checkpoint where it has one, else fitted now and written down.

    Words alone leave nothing to fit.
    """
    if not config.lora.subject or config.lora.steps == 0 or not observations.views:
        return
    if state.adapter:
        lora.load_state(prior.network, SUBJECT, state.adapter)
        lora.stack(prior.network, lora.active(prior.network, config.lora))
        return
    torch.manual_seed(config.seed)
    bar = Progress(config.lora.steps, "adapt", quiet=config.report.quiet)
    with bar:
        fit(state, prior, observations, config.lora, progress=lambda loss: bar.update(loss=round(loss, 3)))
    state.adapter = lora.adapter_state(prior.network, SUBJECT)
    if folder:
        lora.save_adapter(folder / ADAPTER, state.adapter)


def fit(
    state: LoopState,
    prior: Prior,
    observations: Observations,
    config: LoraConfig,
    *,
    renderings: Frames | None = None,
    progress: Callable[[float], None] | None = None,
) -> None:
    """The subject adapter fitted to the given views: jointly over views on the built-in prior, else as DreamBooth."""
    given, generator = Frames.of(observations), state.generators["adapt"]
    if isinstance(prior, BuiltinPrior):
        if config.class_prompt:
            raise ValueError("lora.class_prompt: a prior that reads words wanted, got builtin; leave it out")
        lora.fit_subject(prior, given, config, generator, renderings=renderings, progress=progress)
        return
    preserved = None
    if config.class_prompt:
        words = replace(observations, prompt=config.class_prompt)
        first = observations.views[0].camera.resized(prior.image_size, prior.image_size)
        n = lora.n_views(prior)
        ring = Camera.stack([first.turned(360.0 * i / n) for i in range(n)])[None]
        preserved = lora.class_pictures(prior, prior.condition(words), ring, config.class_pictures, generator)
    condition = prior.condition(observations)
    more = {"preserved": preserved, "renderings": renderings, "progress": progress}
    lora.fit_pictures(prior, condition, given, config, generator, **more)


def refresher(problem: Problem, config: Config) -> Callable[[LoopState], None]:
    """For the loop's `on_step`: at the configured share of the run the adapter is fitted again, also on renderings."""
    due = max(1, round(config.lora.refresh_at * config.optimize.steps))

    def refresh(state: LoopState) -> None:
        if state.step != due or not problem.observations.views:
            return
        fit(state, problem.prior, problem.observations, config.lora, renderings=_renderings(problem))
        state.adapter = lora.adapter_state(problem.prior.network, SUBJECT)

    return refresh


def _renderings(problem: Problem) -> Frames:
    reference = problem.reference
    turns = torch.arange(REFRESH_VIEWS) * 360.0 / REFRESH_VIEWS
    side = min(max(problem.prior.image_size, 64), 256)
    cameras = Camera.stack([reference.turned(turn) for turn in turns]).resized(side, side)
    views = problem.renderer.render(cameras)
    return Frames(
        views.rgba.permute(0, 3, 1, 2).cpu(),
        cameras.camera_to_world.cpu(),
        (cameras.focal_px[:, 1] / cameras.height_px).cpu(),
        reference.orthographic,
    )
