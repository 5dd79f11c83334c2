"""Which noise level a step of the loop looks at."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from nerf2mesh.distill.config import DistillConfig

T_MIN, T_MAX = 0.02, 0.98
T_LAST = 0.999
"""The noisiest of a thousand steps."""
_BINS = 1000


def center_time(config: DistillConfig, progress: float) -> float:
    """The schedule's time at `progress` in [0, 1]; for "uniform" the middle of its bounds.

    linear: DreamGaussian's; sqrt: HiFA's t = t_start - (t_start - t_end) sqrt(progress) (Zhu et al. 2023, equation 10);
    dreamtime: see `dreamtime_time`.
    """
    progress = min(max(progress, 0.0), 1.0)
    if config.schedule == "dreamtime":
        return dreamtime_time(config.dreamtime, config.t_start, config.t_end, progress)
    if config.schedule == "uniform":
        return sum(time_bounds(config, progress)) / 2.0
    share = math.sqrt(progress) if config.schedule == "sqrt" else progress
    return config.t_start + (config.t_end - config.t_start) * share


def time_bounds(config: DistillConfig, progress: float) -> tuple[float, float]:
    """Between which times "uniform" draws at `progress`."""
    share = _ramped(config, progress)
    low, high = (a + (b - a) * share for a, b in (config.t_low, config.t_high))
    return low, high


def ism_interval(config: DistillConfig, progress: float) -> float:
    """Time between ISM's two predictions at `progress`; it moves with the bounds."""
    first, last = config.ism_interval
    return first + (last - first) * _ramped(config, progress)


def _ramped(config: DistillConfig, progress: float) -> float:
    """How much of `t_ramp` has passed at `progress`, 0 to 1."""
    begin, end = config.t_ramp
    return min(max((progress - begin) / max(end - begin, 1e-9), 0.0), 1.0)


def draw_time(config: DistillConfig, progress: float, n: int, generator: torch.Generator) -> Tensor:
    """n times [n] around the schedule's, on the CPU."""
    share = torch.rand(n, generator=generator)
    if config.schedule == "uniform":
        low, high = time_bounds(config, progress)
        return (low + (high - low) * share).clamp(T_MIN, T_MAX)
    offset = (2.0 * share - 1.0) * config.t_spread
    return (center_time(config, progress) + offset).clamp(T_MIN, T_MAX)


def dreamtime_time(shape: tuple[float, float, float, float], start: float, end: float, progress: float) -> float:
    """DreamTime's non-increasing time (Huang et al. 2023, arXiv 2306.12422).

    The t for which the weight W above it, as a share of the weight from `end` to `start`, is nearest to `progress`.
    W(t) is 1 from m2 to m1, exp(-(t - m1)^2 / 2 s1^2) above and exp(-(t - m2)^2 / 2 s2^2) below; `shape` is m1, m2, s1,
    s2.
    """
    times, passed = _dreamtime_table(tuple(shape), start, end)
    at = torch.searchsorted(passed, torch.tensor(progress, dtype=torch.float64)).clamp(0, len(times) - 1)
    return float(times[at])


@lru_cache(maxsize=8)
def _dreamtime_table(shape: tuple[float, float, float, float], start: float, end: float) -> tuple[Tensor, Tensor]:
    """Falling times from start to end, and the share of the weight that has been passed at each."""
    m1, m2, s1, s2 = shape
    times = torch.linspace(start, end, _BINS + 1, dtype=torch.float64)
    above, below = (times - m1).clamp_min(0.0), (m2 - times).clamp_min(0.0)
    weight = torch.exp(-above.square() / (2 * s1**2) - below.square() / (2 * s2**2))
    passed = torch.cat([weight.new_zeros(1), (0.5 * (weight[1:] + weight[:-1])).cumsum(0)])
    return times, passed / passed[-1]
