"""Which noise level a step of the loop looks at."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nerf2mesh.distill.config import DistillConfig

T_MIN, T_MAX = 0.02, 0.98


def center_time(config: DistillConfig, progress: float) -> float:
    """The schedule's time at `progress` in [0, 1].

    linear: DreamGaussian's; sqrt: HiFA's t = t_start - (t_start - t_end) sqrt(progress) (Zhu et al. 2023, equation 10).
    """
    progress = min(max(progress, 0.0), 1.0)
    share = math.sqrt(progress) if config.schedule == "sqrt" else progress
    return config.t_start + (config.t_end - config.t_start) * share


def draw_time(config: DistillConfig, progress: float, n: int, generator: torch.Generator) -> Tensor:
    """n times [n] around the schedule's."""
    offset = (2.0 * torch.rand(n, generator=generator) - 1.0) * config.t_spread
    return (center_time(config, progress) + offset).clamp(T_MIN, T_MAX)
