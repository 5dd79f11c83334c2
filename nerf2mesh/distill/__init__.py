"""Score distillation: noise levels, schedules, guidance and losses, as pure functions."""

from nerf2mesh.distill.config import DistillConfig
from nerf2mesh.distill.losses import guided, score_weight, sds_gradient
from nerf2mesh.distill.noise import NoiseLevel, cosine_level, from_x0, to_epsilon, to_x0
from nerf2mesh.distill.schedule import center_time, draw_time

__all__ = [
    "DistillConfig",
    "NoiseLevel",
    "center_time",
    "cosine_level",
    "draw_time",
    "from_x0",
    "guided",
    "score_weight",
    "sds_gradient",
    "to_epsilon",
    "to_x0",
]
