"""Watches a run for the known ways to fail, acts, and says what was done.

non-finite   the gradients or the loss are not numbers: back to the last healthy state, at half the learning rate.
empty        nothing is left to see: the field starts again as a larger blob.
full         every ray is blocked: the sparsity term is raised.
collapsed    late in the run rays are neither clear nor blocked: the entropy term is raised.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

from nerf2mesh.optimize.state import LoopState

SNAPSHOT_EVERY = 50
MAX_REMEDIES = 4


@dataclass(frozen=True)
class Vitals:
    """What is looked at of step `step`: the loss, the distillation views' mean opacity and share of half-open rays."""

    loss: float
    mean_opacity: float
    half_open: float
    progress: float
    step: int = 0


class HealthWatch:
    """Call `check` after every step; it may change the state, and returns what it did in one line, or None.

    The vitals may be those of an earlier step: a copy of the state counts as healthy when its own step was looked at.
    """

    def __init__(self, state: LoopState) -> None:
        self._healthy = copy.deepcopy(state.values())
        self._latest: tuple[int, dict] | None = None
        self._copied_at = -1

    def check(self, state: LoopState, vitals: Vitals) -> str | None:
        """Acts at once on a loss that is not finite, and on any other symptom after 20 looks in a row.

        Raises ValueError where a remedy would be needed after MAX_REMEDIES of them.
        """
        if not math.isfinite(vitals.loss):
            return self._act(state, "non-finite")
        if state.step % SNAPSHOT_EVERY == 0 and state.step != self._copied_at:
            self._latest = state.step, copy.deepcopy(state.values())
            self._copied_at = state.step
        if self._latest and self._latest[0] <= vitals.step:
            self._healthy, self._latest = self._latest[1], None
        found = {
            "empty": vitals.mean_opacity < 0.003,
            "full": vitals.mean_opacity > 0.95,
            "collapsed": vitals.half_open > 0.6 and vitals.progress > 0.6,
        }
        for name, is_so in found.items():
            state.symptoms[name] = state.symptoms.get(name, 0) + 1 if is_so else 0
            if state.symptoms[name] >= 20:
                state.symptoms[name] = 0
                return self._act(state, name)
        return None

    def _act(self, state: LoopState, what: str) -> str:
        if len(state.events) >= MAX_REMEDIES:
            raise ValueError(
                f"optimize: the run is {what} again after {MAX_REMEDIES} remedies ({'; '.join(state.events)}); "
                "check the mask in the report, lower distill.weight, or change the seed"
            )
        said = {"non-finite": self._rewind, "empty": self._regrow, "full": self._thin, "collapsed": self._harden}[what](
            state
        )
        state.events.append(said)
        return said

    def _rewind(self, state: LoopState) -> str:
        failed, factor = state.step, state.factors.get("rate", 1.0)
        events = list(state.events)
        state.restore(copy.deepcopy(self._healthy))
        self._latest, self._copied_at = None, -1
        state.factors["rate"], state.events = 0.5 * factor, events
        return f"step {failed}: values were not finite; back to step {state.step} at half the learning rate"

    def _regrow(self, state: LoopState) -> str:
        state.start_again()
        self._latest, self._copied_at = None, -1
        state.factors["distill"] = 0.5 * state.factors.get("distill", 1.0)
        return (
            f"step {state.step}: nothing was left to see; the field was started again at half the distillation weight"
        )

    def _thin(self, state: LoopState) -> str:
        state.factors["sparsity"] = state.factors.get("sparsity", 0.0) + 0.05
        return (
            f"step {state.step}: every ray was blocked; a sparsity weight of {state.factors['sparsity']:.2f} was added"
        )

    def _harden(self, state: LoopState) -> str:
        state.factors["entropy"] = 4.0 * state.factors.get("entropy", 1.0)
        return f"step {state.step}: rays were neither clear nor blocked; the entropy weight was raised fourfold"
