"""The optimization inside a run folder: progress, previews, checkpoints, signals, and the adapter's refresh."""

from __future__ import annotations

from collections.abc import Callable

from nerf2mesh.config import Config
from nerf2mesh.optimize import LAST, LoopState, Problem, RunControl, optimize
from nerf2mesh.optimize.interventions import Intervention
from nerf2mesh.report import Progress, write_json
from nerf2mesh.rights import Record
from nerf2mesh.run.folder import RunFolder
from nerf2mesh.run.interrupt import interrupts_wait
from nerf2mesh.run.pictures import save_row
from nerf2mesh.run.preemption import Checkpoints
from nerf2mesh.run.ranks import Ranks
from nerf2mesh.run.subject_adapter import refresher
from nerf2mesh.types import Rendering
from nerf2mesh.utils.regular_file import read_json
from nerf2mesh.view.watch import Watch

INTERVENTIONS = "interventions.json"


def run_loop(
    state: LoopState,
    problem: Problem,
    config: Config,
    folder: RunFolder | None,
    ranks: Ranks,
    control: RunControl,
    watch: Watch | None = None,
    record: Record | None = None,
) -> None:
    """Runs the loop from `state.step` to the end; everything that it writes goes into `folder`.

    control: asked between the steps; what it was asked for is written into interventions.json, whose lines are made
    again where the run goes on from a checkpoint. watch: shows the field while the loop runs. record: what the
    previews carry.

    Raises:
        Preempted: a signal asked the run to stop; the checkpoint is written.
        KeyboardInterrupt: of a plain call, after the step, with a checkpoint written.
    """
    bar = Progress(
        config.optimize.steps, "optimize", quiet=config.report.quiet or not ranks.is_first, initial=state.step
    )
    refresh = refresher(problem, config) if config.lora.subject and config.lora.refresh_at else None
    stop = {"asked": lambda: ranks.stop_asked} if ranks.count > 1 else {}
    note = _note(control, config, folder)
    save = Checkpoints(folder / LAST if folder else None, config.optimize.checkpoint_every_s, **stop)

    def wait() -> None:
        save(state)
        if folder and interrupted():
            state.save(folder / LAST)
            raise KeyboardInterrupt(f"stopped at step {state.step}, checkpoint written; the same call goes on")
        if watch:
            watch.step(state, problem)

    def on_step(state: LoopState) -> bool:
        if refresh:
            refresh(state)
        ranks.reseed(state)
        wait()
        return control.between_steps(state, problem, record=note, waiting=wait)

    def save_preview(views: Rendering, step: int) -> None:
        assert folder is not None
        save_row(folder / f"previews/step_{step:06d}.png", views, record)
        if watch:
            watch.keep(state, folder.path)

    if control.between_steps(state, problem, record=note):
        return
    with save.between_steps(), interrupts_wait(folder is not None) as interrupted:
        optimize(
            state,
            problem,
            folder=folder.path if folder else None,
            progress=bar,
            on_preview=save_preview if folder else None,
            on_step=on_step,
        )


def _note(control: RunControl, config: Config, folder: RunFolder | None) -> Callable[[Intervention], None]:
    """What notes an intervention in the run folder; those that are noted there and in the settings are planned."""
    path = folder / INTERVENTIONS if folder else None
    found: object = read_json(path, []) if path else []
    lines = [str(line) for line in found] if isinstance(found, list) else [str(found)]
    control.plan([*config.optimize.interventions, *lines])

    def note(item: Intervention) -> None:
        lines.append(str(item))
        if path:
            write_json(path, lines)

    return note
