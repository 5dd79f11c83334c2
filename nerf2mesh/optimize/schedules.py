"""What changes with the step by itself: the learning rates, and how much of the hash grid is active."""

from __future__ import annotations

from nerf2mesh.optimize.config import OptimizeConfig
from nerf2mesh.optimize.problem import Problem
from nerf2mesh.optimize.state import LoopState


def active_levels(state: LoopState, problem: Problem) -> int:
    """Coarse to fine: one more level at equal intervals between `levels_from` and `levels_full_at`.

    An object to edit has them all.
    """
    first, last = state.field.config.start_levels, state.field.config.n_levels
    if problem.source is not None or problem.starts_from_object:
        return last
    c = problem.config
    begin, length = c.levels_from * c.steps, (c.levels_full_at - c.levels_from) * c.steps
    share = max(0.0, state.step - begin) / max(1.0, length)
    return min(last, first + int(share * (last - first)))


def set_rates(state: LoopState, config: OptimizeConfig) -> None:
    """Exponential fall to `lr_final_share`, times what the health watch decided."""
    fall = config.lr_final_share ** (state.step / config.steps) * state.factors.get("rate", 1.0)
    rates = {"encoding": config.lr_encoding, "network": config.lr_network}
    for group in state.optimizer.param_groups:
        group["lr"] = rates[group["name"]] * fall
