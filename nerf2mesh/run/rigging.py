"""The skeleton that `mesh.rig` asks for, and of a clip its motion by that skeleton."""

from __future__ import annotations

import numpy as np

from nerf2mesh.motion.rig import Rig, RigClip, rig
from nerf2mesh.motion.rig.track_fit import fit_track
from nerf2mesh.run.result import Result

LARGE = 0.01
"""Share of the mesh's longest side; a mean distance of the skinned vertices from the track above it is warned."""


def rigged(result: Result) -> list[str]:
    """Fills in the rig where `mesh.rig` asks for one, and its animation where the mesh moves with a clip; what it
    lacks, one line each."""
    if result.config.mesh.rig == "none" or result.mesh is None:
        return []
    try:
        made = rig(result.mesh, result.config.mesh.rig)
    except ValueError as error:  # the mesh is there in any case
        return [f"mesh.rig: {str(error).removeprefix('rig: ')}; the mesh has no skeleton"]
    skeleton = made.skeleton
    about = {"kind": skeleton.kind, "joints": len(skeleton.names), "bind_pose": skeleton.pose}
    result.rig, result.facts["rig"] = made, {**about, "notes": list(skeleton.notes)}
    lost = [f"mesh.rig: {note}" for note in skeleton.notes]
    if result.track is None:
        return lost
    result.rig_clip, said = _moved_by(made, result)
    return lost + said


def _moved_by(made: Rig, result: Result) -> tuple[RigClip, list[str]]:
    """The clip's motion by the rig's joints; its residual goes into the result's facts and metrics."""
    assert result.track is not None
    found = fit_track(made, result.track)
    mean, still = float(found.residuals.mean()), float(found.moved.mean())
    high = float(np.percentile(found.residuals, 95.0))
    about = {"mean_residual": round(mean, 5), "p95_residual": round(high, 5), "still_mean_residual": round(still, 5)}
    result.facts["rig"]["frames"] = {**about, "residuals_are": "distances over the longest side of the mesh"}
    unit = "distance over the longest side"
    result.metrics["frames, skeleton's mean residual"] = {
        "value": mean,
        "baseline": still,
        "better": "lower",
        "unit": unit,
    }
    result.metrics["frames, skeleton's 95th percentile of residuals"] = {"value": high, "better": "lower", "unit": unit}
    if mean <= LARGE:
        return found.clip, []
    return found.clip, [
        f"mesh.rig: the skeleton follows the clip with a mean distance of {mean:.1%} of the longest side (95 % of the "
        f"vertices within {high:.1%}), since the mesh bends where the skeleton has no joint; mesh.rig=none keeps the "
        "motion as it is"
    ]
