"""The public face of a run: the arguments of `fit` are checked and become one configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from nerf2mesh.config import Config, load_config
from nerf2mesh.inputs import PictureInMemory, candidates_in, load_observations, picture_bytes
from nerf2mesh.inputs.config import EXACT_KINDS
from nerf2mesh.optimize import GuidanceInputs, LatentGradient, RunControl
from nerf2mesh.priors import Prior
from nerf2mesh.report.progress import in_notebook
from nerf2mesh.run.background import BackgroundRun, shown_in_notebook
from nerf2mesh.run.fit import run_fit
from nerf2mesh.run.result import Result
from nerf2mesh.types import Observations
from nerf2mesh.utils.caller_state import usual_state
from nerf2mesh.view.watch import Watch


def fit(
    image: str | Path | PictureInMemory | None = None,
    *,
    observations: Observations | None = None,
    config: Config | None = None,
    overrides: Sequence[str] = (),
    output_dir: str | Path | None = None,
    prior: Prior | None = None,
    loss: Callable[[GuidanceInputs], LatentGradient] | None = None,
) -> Result:
    """Turns one picture into a textured mesh.

    Args:
        image: path of a picture (`input.image=...` in the overrides says the same), or the picture itself: a Pillow
            image, an array or tensor (see `inputs.memory`), the bytes of a file, or a file opened as binary.
        observations: views that are ready, with their cameras, instead of a picture (the first is the reference).
        config: a configuration from `load_config`, instead of overrides.
        overrides: Hydra's overrides (such as "preset=preview", "seed=3"), from which the configuration is composed.
        output_dir: the run folder (see `run.RunFolder`); None keeps everything in memory. The same call on the same
            folder continues a run that was stopped, and repeats only what is missing.
        prior: your own (see `priors.base.Prior`) instead of the configured one; move it to the device yourself.
        loss: your own distillation loss instead of `distill.loss`: from a step's views, with the prior at hand, to the
            gradient on the latents. Neither is part of what a run folder checks: take a new folder for new code.

    Raises:
        ValueError: in one line, what is wrong with the arguments, the input, a setting, a file or the run, and what to
            do about it.
    """
    with usual_state():
        work, config = _prepared(image, observations, config, overrides, output_dir, prior, loss)
        if not in_notebook() or config.report.quiet:
            return work(RunControl(), None)
        control = RunControl()
        with shown_in_notebook(control) as widget:
            return work(control, widget)


def start(
    image: str | Path | PictureInMemory | None = None,
    *,
    observations: Observations | None = None,
    config: Config | None = None,
    overrides: Sequence[str] = (),
    output_dir: str | Path | None = None,
    prior: Prior | None = None,
    loss: Callable[[GuidanceInputs], LatentGradient] | None = None,
) -> BackgroundRun:
    """`fit` in a thread of its own: returns at once.

        run = nerf2mesh.start("cup.png", output_dir="outputs/cup")
        run                 # in a notebook: progress, four views, a curve, buttons (the extra `notebook`)
        run.stop()          # enough: the mesh is made from what is there
        run.result()        # waits, and gives what `fit` gives

    Arguments as of `fit`. torch's global random state is the run's until it ends. A run whose process ends goes on from
    its last checkpoint with the same call, where it has an `output_dir`.

    Raises:
        ValueError: what is wrong with the arguments, a setting or a picture in memory; what is found later, `result`
            raises.
    """
    with usual_state():
        work, config = _prepared(image, observations, config, overrides, output_dir, prior, loss, quiet=True)

    def in_thread(control: RunControl, watch: Watch | None) -> Result:
        with usual_state():
            return work(control, watch)

    return BackgroundRun(in_thread, config.optimize.steps)


def _prepared(
    image: str | Path | PictureInMemory | None,
    observations: Observations | None,
    config: Config | None,
    overrides: Sequence[str],
    output_dir: str | Path | None,
    prior: Prior | None,
    loss: Callable[[GuidanceInputs], LatentGradient] | None,
    *,
    quiet: bool = False,
) -> tuple[Callable[[RunControl, Watch | None], Result], Config]:
    """The run that the arguments describe, ready to be called, and its configuration; ValueError as in `fit`."""
    path = image if isinstance(image, str | Path) else None
    in_memory = image if path is None else None
    config = _configured(path, config, overrides, output_dir)
    config = replace(config, report=replace(config.report, quiet=True)) if quiet else config
    if observations is not None:
        _refuse_other_input(config)
        if in_memory is not None:
            raise ValueError("image: expected none beside observations=, got a picture; leave one of the two out")
    if in_memory is not None:
        if config.input.kind in EXACT_KINDS:
            kind, got = config.input.kind, type(in_memory).__name__
            raise ValueError(f"image: expected a file for input={kind}, got {got}; save it first")
        config = replace(config, input=replace(config.input, image=None))
        with candidates_in(config.output_dir):
            observations = load_observations(config.input, picture_bytes(in_memory))
    loud, silent = config, replace(config, report=replace(config.report, quiet=True))

    def work(control: RunControl, watch: Watch | None) -> Result:
        ready = loud if watch is None else silent  # one of widget and bar is enough
        return run_fit(ready, overrides, observations, prior=prior, loss=loss, control=control, watch=watch)

    return work, config


def _configured(
    image: str | Path | None, config: Config | None, overrides: Sequence[str], output_dir: str | Path | None
) -> Config:
    """The configuration with the picture and the run folder put in."""
    if config is not None and overrides:
        raise ValueError(
            f"overrides: expected none beside config=, got {', '.join(overrides)}; compose both with load_config"
        )
    config = load_config(overrides) if config is None else config
    if image is not None:
        config = replace(config, input=replace(config.input, image=str(image)))
    return config if output_dir is None else replace(config, output_dir=str(output_dir))


def _refuse_other_input(config: Config) -> None:
    """ValueError where the configuration names an input that the observations would replace."""
    for name, value in (("image", config.input.image), ("prompt", config.input.prompt.strip())):
        if value:
            raise ValueError(
                f"input.{name}: expected none beside observations=, got {value!r}; "
                f"leave one of the two out (a prompt belongs into Observations.prompt)"
            )


__all__ = ["BackgroundRun", "Result", "fit", "start"]
