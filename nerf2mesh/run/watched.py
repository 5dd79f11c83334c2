"""A run under a person's eyes: the viewer around the loop, and what the result says of their interventions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nerf2mesh.config import Config
from nerf2mesh.optimize import LoopState, Problem, RunControl
from nerf2mesh.run.folder import RunFolder
from nerf2mesh.run.ranks import Ranks
from nerf2mesh.run.warned import warn
from nerf2mesh.view.watch import Several, Watch


@contextmanager
def shown(
    watch: Watch | None,
    config: Config,
    problem: Problem,
    control: RunControl,
    folder: RunFolder | None,
    ranks: Ranks,
) -> Iterator[Watch | None]:
    """The caller's own watch, the viewer of `report.viewer` for the duration, both, or none.

    ValueError where the viewer's packages are missing.
    """
    if not config.report.viewer or not ranks.is_first:
        yield watch
        return
    if ranks.count > 1:
        warn([f"report.viewer: a run of {ranks.count} processes has no live view; nerf2mesh-view shows its folder"])
        yield watch
        return
    from nerf2mesh.view.live import LiveView  # its package is an extra

    with LiveView(config, problem, control, folder.path if folder else None) as view:
        yield view if watch is None else Several((watch, view))


def by_hand(control: RunControl, state: LoopState) -> list[str]:
    """Lines for the warnings of the result."""
    made = [f"changed by hand: {item}" for item in map(str, control.made) if " stop of " not in item]
    stopped = [f"stopped by hand after {state.step} steps"] if control.stopped else []
    return [*made, *stopped, *dict.fromkeys(control.refused)]
