"""A run under a person's eyes: the viewer around the loop, and what the result says of their interventions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from nerf2mesh.config import Config
from nerf2mesh.optimize import LoopState, RunControl
from nerf2mesh.report import StageClock
from nerf2mesh.run.folder import RunFolder
from nerf2mesh.run.guidance import Guidance
from nerf2mesh.run.instant import instant_fit
from nerf2mesh.run.ranks import Ranks
from nerf2mesh.run.warned import warn
from nerf2mesh.types import Observations
from nerf2mesh.view.watch import Several, Watch


@contextmanager
def shown(
    watch: Watch | None,
    config: Config,
    observations: Observations,
    guidance: Guidance,
    device: str,
    control: RunControl,
    folder: RunFolder | None,
    ranks: Ranks,
    clock: StageClock,
    *,
    fresh: bool,
) -> Iterator[Watch | None]:
    """The caller's own watch, the viewer of `report.viewer` for the duration, both, or none.

    fresh: the run is at its beginning, so that the viewer first shows what there can be in seconds.

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

    with LiveView(config, observations, device, control, folder.path if folder else None) as view:
        if fresh and config.report.viewer_instant:
            with clock.stage("instant preview"), suppress(ValueError):  # of a prior that guesses no sides
                view.show_instant(*instant_fit(config, observations, guidance, device))
        yield view if watch is None else Several((watch, view))


def by_hand(control: RunControl, state: LoopState) -> list[str]:
    """Lines for the warnings of the result."""
    made = [f"changed by hand: {item}" for item in map(str, control.made) if " stop of " not in item]
    stopped = [f"stopped by hand after {state.step} steps"] if control.stopped else []
    return [*made, *stopped, *dict.fromkeys(control.refused)]
