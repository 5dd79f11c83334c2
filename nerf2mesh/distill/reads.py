"""Which settings a loss and a schedule read; every other one has to stay at its default.

A setting that nobody reads would change nothing and say nothing. The names are those of `DistillConfig`.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

CAMERAS = {"n_views", "antithetic", "render_px", "supersample", "elevation_deg"}
MILESTONES = {"milestones", "milestone_views", "milestone_px"}
ALWAYS = CAMERAS | MILESTONES | {"loss", "weight", "schedule", "protect", "protect_cosine", "confidence_weight", "lit"}
_STARTS = {"t_start", "t_end", "t_spread"}
TIMES = {
    "linear": _STARTS,
    "sqrt": _STARTS,
    "dreamtime": _STARTS | {"dreamtime"},
    "uniform": {"t_low", "t_high", "t_ramp"},
}
SCALE = {"guidance_scale", "guidance_end"}
CURVES = {f"perp_neg_{pair}" for pair in ("front_side", "side_front", "side_back", "front_back")}
PERP_NEG = CURVES | {"perp_neg", "perp_neg_cut"}
GUIDED = SCALE | PERP_NEG | {"guidance_rescale"}
WEIGHTED = {"weighting"}
PHI = {"phi_rank", "phi_learning_rate", "phi_steps", "phi_camera_dropout"}
TEACHER = {"teacher_learning_rate", "teacher_scale", "teacher_every", "teacher_pool", "inversion_stride"}
INVERSION = {"inversion_stride", "inversion_grid"}

LOSS_READS = {
    "sds": GUIDED | WEIGHTED,
    "sjc": GUIDED,
    "csd": WEIGHTED | {"csd_null", "csd_negative", "csd_ramp", "csd_normalize"},
    "nfsd": SCALE | WEIGHTED | {"nfsd_split"},
    "ism": GUIDED | WEIGHTED | INVERSION | {"ism_interval", "t_ramp"},
    "asd": GUIDED | WEIGHTED | {"asd_shift"},
    "sdi": GUIDED | INVERSION | {"inversion_scale", "inversion_eta"},
    "vsd": GUIDED | WEIGHTED | PHI,
    "bsd": GUIDED | WEIGHTED | PHI | TEACHER,
    "dds": SCALE | WEIGHTED | {"source"},
    "hifa": GUIDED | WEIGHTED | {"hifa_image_weight"},
    "x0": GUIDED,
    "rfds": GUIDED,
    "rfds_rev": GUIDED,
}


def settings_read(loss: str, schedule: str) -> set[str]:
    """Names of the settings that have an effect."""
    return ALWAYS | TIMES[schedule] | LOSS_READS[loss]


def refuse_unread(config: Any) -> None:
    """ValueError for the first setting of a `DistillConfig` that is not at its default and that nobody reads."""
    read = settings_read(config.loss, config.schedule)
    for item in fields(config):
        default: object = item.default
        found = getattr(config, item.name)
        value = tuple(found) if isinstance(default, tuple) else found
        if item.name in read or value == default:
            continue
        by_schedule = any(item.name in names for names in TIMES.values())
        reader = f"schedule={config.schedule}" if by_schedule else f"loss={config.loss}"
        remedy = "choose the schedule that reads it" if by_schedule else "choose a loss that reads it"
        raise ValueError(
            f"distill.{item.name}: expected {default} with {reader}, which does not read it, got {value}; "
            f"leave it out or {remedy}"
        )
