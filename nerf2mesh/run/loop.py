"""The optimization inside a run folder: progress, previews, checkpoints, signals, and the adapter's refresh."""

from __future__ import annotations

from nerf2mesh.config import Config
from nerf2mesh.optimize import LAST, LoopState, Problem, optimize
from nerf2mesh.report import Progress
from nerf2mesh.rights import Record
from nerf2mesh.run.folder import RunFolder
from nerf2mesh.run.pictures import save_row
from nerf2mesh.run.preemption import Checkpoints
from nerf2mesh.run.ranks import Ranks
from nerf2mesh.run.subject_adapter import refresher
from nerf2mesh.types import Rendering


def run_loop(
    state: LoopState,
    problem: Problem,
    config: Config,
    folder: RunFolder | None,
    ranks: Ranks,
    record: Record | None = None,
) -> None:
    """Runs the loop from `state.step` to the end; everything that it writes goes into `folder`.

    record: what the previews carry.

    Raises:
        Preempted: a signal asked the run to stop; the checkpoint is written.
    """
    bar = Progress(
        config.optimize.steps, "optimize", quiet=config.report.quiet or not ranks.is_first, initial=state.step
    )
    refresh = refresher(problem, config) if config.lora.subject and config.lora.refresh_at else None
    stop = {"asked": lambda: ranks.stop_asked} if ranks.count > 1 else {}
    save = Checkpoints(folder / LAST if folder else None, config.optimize.checkpoint_every_s, **stop)

    def on_step(state: LoopState) -> None:
        if refresh:
            refresh(state)
        ranks.reseed(state)
        save(state)

    def save_preview(views: Rendering, step: int) -> None:
        assert folder is not None
        save_row(folder / f"previews/step_{step:06d}.png", views, record)

    with save.between_steps():
        optimize(
            state,
            problem,
            folder=folder.path if folder else None,
            progress=bar,
            on_preview=save_preview if folder else None,
            on_step=on_step,
        )
