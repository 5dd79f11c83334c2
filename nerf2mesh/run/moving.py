"""The mesh of a clip's first frame is carried through all frames."""

from __future__ import annotations

import numpy as np
import torch

from nerf2mesh.inputs.config import DRAWINGS
from nerf2mesh.mesh.track import VertexTrack
from nerf2mesh.motion.carry import Carried, carry, remeasured
from nerf2mesh.motion.deformation import Deformation
from nerf2mesh.motion.distilled import Guide, distilled
from nerf2mesh.motion.later_colors import later_colors
from nerf2mesh.priors import Prior
from nerf2mesh.report import Progress
from nerf2mesh.run.lit import without_light
from nerf2mesh.run.result import Result

LOST = 0.85
"""IoU of the silhouettes: a mean below it is warned of, and a frame below it gives no colors."""


def set_in_motion(result: Result, prior: Prior) -> list[str]:
    """Fills in the result's track and deformation, the facts `motion` and its metrics, and brings the mesh's outline to
    that of the first frame; what went wrong, one line each."""
    clip, mesh = result.observations.clip, result.mesh
    assert clip is not None and mesh is not None
    bar = Progress(100, "motion", quiet=result.config.report.quiet, unit="%")
    with bar:
        made = carry(
            mesh, clip, result.config.motion, lambda share: bar.update(max(0, round(100.0 * share) - bar.done))
        )
    result.mesh, result.track = made.mesh, made.track
    painted = _painted(result, made)
    rest, times = made.mesh.vertices, clip.times_s
    bent = Deformation.fitted(rest, made.track.positions, times, size=result.config.motion.lattice)
    carried = np.stack([bent.forward(torch.from_numpy(rest), time).numpy() for time in times])
    off = np.linalg.norm(carried - made.track.positions, axis=-1)
    if result.config.motion.distill_steps:
        bent, made = _by_the_prior(result, prior, bent, made)
    result.deformation = bent
    own, still = float(np.mean(made.silhouettes)), float(np.mean(made.still))
    result.metrics |= {
        "frames, mean silhouette IoU": {"value": own, "baseline": still, "better": "higher"},
        "frames, least silhouette IoU": {"value": min(made.silhouettes), "better": "higher"},
        "frames, flicker": {"value": made.track.flicker, "better": "lower", "unit": "world units a frame squared"},
    }
    result.facts["motion"] = {
        "frames": len(clip.times_s),
        "times_s": [round(time, 4) for time in clip.times_s],
        "silhouette_iou": [round(value, 4) for value in made.silhouettes],
        "lattice_mean_distance": round(float(off.mean()), 5),
        "colored_later": round(painted, 4),
        "still_silhouette_iou": [round(value, 4) for value in made.still],
    }
    if own >= LOST:
        return []
    worst = int(np.argmin(made.silhouettes))
    return [
        f"the moving mesh shows the clip's silhouettes with a mean IoU of {own:.2f}, the least in frame {worst}: parts "
        "that the first frame hides, or that touch in it, cannot move by themselves; begin with a clearer frame "
        "(input.range), or add input.sheet"
    ]


def _by_the_prior(result: Result, prior: Prior, bent: Deformation, made: Carried) -> tuple[Deformation, Carried]:
    """The deformation and the track after the distillation at other times."""
    clip, renderer, config = result.observations.clip, result.renderer, result.config
    assert clip is not None and renderer is not None
    guide = Guide(prior, config.distill, result.observations, config.seed)
    bar = Progress(config.motion.distill_steps, "motion by the prior", quiet=config.report.quiet, unit="steps")
    with bar:
        deeper = distilled(bent, renderer, clip, guide, config.motion, lambda _: bar.update(1))
    rest = torch.from_numpy(made.mesh.vertices)
    way = [(deeper.forward(rest, t) - bent.forward(rest, t)).numpy() for t in clip.times_s]
    moved = made.track.positions + np.stack(way).astype(np.float32)
    moved[0] = made.track.positions[0]
    result.track = VertexTrack(clip.times_s, moved)
    return deeper, remeasured(made, result.track, clip)


def _painted(result: Result, made: Carried) -> float:
    """Completes the mesh's colors from the later frames, where `mesh.given_views` asks for the pictures' own, and gives
    the share of them; drawings' strokes are no colors."""
    config, clip, views = result.config, result.observations.clip, result.observations.views
    given = [view for view in views if view.weight > 0 and view.domain not in DRAWINGS]
    asked = config.mesh.given_views and config.optimize.weight_color > 0 and views[0].domain not in DRAWINGS
    if not asked or clip is None:
        return 0.0
    usable = [iou >= LOST for iou in made.silhouettes]
    unlight = None if result.light is None else without_light(result.light)
    result.mesh, share = later_colors(made.mesh, made.track, clip, given, usable, unlight)
    return share
