"""How sure the prior is of each direction: found once, before the first step, for the report and for distillation."""

from __future__ import annotations

from pathlib import Path

from torch import zeros

from nerf2mesh.config import Config
from nerf2mesh.optimize import DirectionSpread, direction_spread, guesses_any_view, reference_of
from nerf2mesh.report import SPREAD, StageClock
from nerf2mesh.rights import Record
from nerf2mesh.run.guidance import Guidance
from nerf2mesh.run.pictures import save_row
from nerf2mesh.types import Observations, Rendering

PICTURE = "confidence.png"
SHOWN = 3
"""Guesses of the least sure direction that are shown."""
MOST_GIVEN = 60
"""Given views that are marked in the map."""


def find_spread(
    config: Config, observations: Observations, guidance: Guidance, clock: StageClock, *, is_first: bool
) -> DirectionSpread | None:
    """The spread of the prior's guesses, without the subject adapter; None where nobody asks, or where it is for the
    report alone and the prior guesses no views with their opacity.

    Raises:
        ValueError: distillation is to be weighted by it, and the prior guesses no such views.
    """
    weighs = config.distill.confidence_weight > 0
    wanted = config.report.confidence and config.report.html and is_first
    shown = wanted and guesses_any_view(guidance.prior)
    if not (weighs or shown):
        return None
    with clock.stage("confidence"):
        return direction_spread(
            guidance.prior,
            guidance.condition,
            reference_of(observations),
            elevation_deg=config.distill.elevation_deg,
            guidance_scale=config.distill.guidance_scale,
            seed=config.seed,
        )


def spread_mean(spread: DirectionSpread | None) -> dict[str, object]:
    """The mean over the sphere, as a metric; nothing without a spread."""
    if spread is None:
        return {}
    return {SPREAD: _mean(spread)}


def _mean(spread: DirectionSpread) -> dict[str, object]:
    return {"value": float((spread.total * spread.over_sphere).sum())}


def spread_everywhere(spread: DirectionSpread | None, observations: Observations) -> dict[str, object]:
    """The same metric with the figures of each direction, for metrics.json: rows over elevations, and the given views'
    directions as (azimuth, elevation), in degrees."""
    if spread is None:
        return {}
    given = [view.camera for view in observations.views[:MOST_GIVEN]]
    entry = _mean(spread) | {
        "elevation_deg": spread.elevation_deg.tolist(),
        "azimuth_deg": spread.azimuth_deg.tolist(),
        "spread": spread.total.tolist(),
        "color": spread.color.tolist(),
        "opacity": spread.opacity.tolist(),
        "given_deg": [[float(camera.azimuth_deg), float(camera.elevation_deg)] for camera in given],
    }
    return {SPREAD: entry}


def save_guesses(spread: DirectionSpread | None, folder: Path, record: Record | None) -> None:
    """PICTURE: guesses of the least sure direction, side by side; nothing without a spread."""
    if spread is None:
        return
    rgba = spread.guesses[:SHOWN]
    save_row(folder / PICTURE, Rendering(rgba[..., :3], rgba[..., 3], zeros(rgba.shape[:-1])), record)
