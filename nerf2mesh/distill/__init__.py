"""Score distillation: noise levels, schedules, guidance, inversion and losses, as pure functions."""

from nerf2mesh.distill.config import LOSSES, SCHEDULES, WEIGHTINGS, DistillConfig
from nerf2mesh.distill.guidance import OVERHEAD_DEG, guidance_scale, guided, perp_neg, perp_neg_weights, rescaled
from nerf2mesh.distill.inversion import ddim_deviation, ddim_step, ladder, noise_of
from nerf2mesh.distill.losses import (
    csd_factors,
    csd_gradient,
    difference_gradient,
    hifa_image_gradient,
    nfsd_gradient,
    rfds_gradient,
    rfds_rev_noise,
    score_weight,
    sds_gradient,
    sjc_gradient,
    x0_gradient,
)
from nerf2mesh.distill.noise import NoiseLevel, cosine_level, from_x0, to_epsilon, to_flow, to_x0
from nerf2mesh.distill.schedule import T_MAX, T_MIN, center_time, draw_time, dreamtime_time, time_bounds

__all__ = [
    "LOSSES",
    "OVERHEAD_DEG",
    "SCHEDULES",
    "T_MAX",
    "T_MIN",
    "WEIGHTINGS",
    "DistillConfig",
    "NoiseLevel",
    "center_time",
    "cosine_level",
    "csd_factors",
    "csd_gradient",
    "ddim_deviation",
    "ddim_step",
    "difference_gradient",
    "draw_time",
    "dreamtime_time",
    "from_x0",
    "guidance_scale",
    "guided",
    "hifa_image_gradient",
    "ladder",
    "nfsd_gradient",
    "noise_of",
    "perp_neg",
    "perp_neg_weights",
    "rescaled",
    "rfds_gradient",
    "rfds_rev_noise",
    "score_weight",
    "sds_gradient",
    "sjc_gradient",
    "time_bounds",
    "to_epsilon",
    "to_flow",
    "to_x0",
    "x0_gradient",
]
