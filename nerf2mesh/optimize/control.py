"""The hand on a running loop: pause, go on, stop with what is there, and change what may change.

Any thread may ask; the loop's own thread does it between two steps, so that a step is never torn and a run that
repeats the same interventions is the same run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from nerf2mesh.lora.frames import style_name
from nerf2mesh.lora.stack import names, stack, stacked
from nerf2mesh.optimize.interventions import ADAPTERS, PROMPT, STOP, Intervention, Value, checked, parsed
from nerf2mesh.optimize.problem import Problem
from nerf2mesh.optimize.state import LoopState

WAIT_S = 0.1


class RunControl:
    """Of one run. `made` has what was done so far, planned or asked for; `refused` what could not be, one line each."""

    def __init__(self) -> None:
        self.made: list[Intervention] = []
        self.refused: list[str] = []
        self.stopped = False
        self._asked: list[tuple[str, Value]] = []
        self._planned: list[Intervention] = []
        self._going = threading.Event()
        self._going.set()
        self._lock = threading.Lock()

    @property
    def paused(self) -> bool:
        """Whether the loop waits, or will after its step."""
        return not self._going.is_set()

    def pause(self) -> None:
        """The loop waits after its present step."""
        self._going.clear()

    def resume(self) -> None:
        """The loop goes on."""
        self._going.set()

    def stop(self) -> None:
        """The loop ends after its present step; the mesh is made from what is there."""
        with self._lock:
            self._asked.append((STOP, 0.0))
        self._going.set()

    def change(self, setting: str, value: object) -> None:
        """A setting of `interventions.CHANGEABLE`, from the next step on; ValueError where it is none, or of another
        type. What its range refuses is found between steps: see `refused`."""
        with self._lock:
            self._asked.append((setting, checked(setting, value)))

    def plan(self, lines: Sequence[str]) -> None:
        """Interventions to be made at their steps; ValueError for a line that is none."""
        self._planned = sorted([*self._planned, *map(parsed, lines)], key=lambda item: item.step)

    def between_steps(
        self,
        state: LoopState,
        problem: Problem,
        *,
        record: Callable[[Intervention], None] | None = None,
        waiting: Callable[[], None] | None = None,
    ) -> bool:
        """Does what is due and asked for; True: the loop is to end. Waits while paused, calling `waiting` meanwhile.

        record: gets each intervention that was asked for, once it is known to be possible and before it is made.
        """
        self._do_planned(state, problem)
        self._do_asked(state, problem, record)
        while self.paused and not self.stopped:
            if waiting is not None:
                waiting()
            self._going.wait(WAIT_S)
            self._do_asked(state, problem, record)
        return self.stopped

    def _do_planned(self, state: LoopState, problem: Problem) -> None:
        while self._planned and self._planned[0].step <= state.step:
            item = self._planned.pop(0)
            if item.setting == STOP and item.value != problem.config.steps:
                continue
            self._do(possible(problem, item), item)

    def _do_asked(self, state: LoopState, problem: Problem, record: Callable[[Intervention], None] | None) -> None:
        with self._lock:
            asked, self._asked = self._asked, []
        for setting, value in asked:
            if setting == STOP and state.step >= problem.config.steps:
                continue
            item = Intervention(state.step, setting, float(problem.config.steps) if setting == STOP else value)
            try:
                make = possible(problem, item)
            except ValueError as error:
                self.refused.append(str(error))
                continue
            if record is not None:
                record(item)
            self._do(make, item)

    def _do(self, make: Callable[[], None], item: Intervention) -> None:
        make()
        self.stopped = self.stopped or item.setting == STOP
        self.made.append(item)


def possible(problem: Problem, item: Intervention) -> Callable[[], None]:
    """What makes the change in `problem`; ValueError where the run's settings, prior or adapters refuse it."""
    if item.setting == STOP:
        return lambda: None
    if item.setting == PROMPT:
        observations = replace(problem.observations, prompt=str(item.value))
        condition = problem.prior.condition(observations)
        return lambda: _set(problem, observations=observations, condition=condition)
    if item.setting == ADAPTERS:
        return _weighted(problem, item.value if isinstance(item.value, tuple) else ())
    distill = replace(problem.distill, **{item.setting.removeprefix("distill."): item.value})
    return lambda: _set(problem, distill=distill)


def _set(problem: Problem, **values: object) -> None:
    for name, value in values.items():
        setattr(problem, name, value)


def _weighted(problem: Problem, weights: tuple[float, ...]) -> Callable[[], None]:
    network = problem.prior.network
    present = [name for name in (style_name(i) for i in range(len(names(network)))) if name in names(network)]
    if len(weights) != len(present):
        raise ValueError(
            f"lora.weights: expected {len(present)} numbers, one an adapter, got {len(weights)}; correct it"
        )
    new = stacked(network) | dict(zip(present, weights, strict=True))
    return lambda: stack(network, new)
