"""What a person changes while a run goes on, as lines that repeat it: "100 distill.weight=0.5", "180 stop of 240".

The number is how many steps were done when the change was made; a run with the same lines in `optimize.interventions`
makes it at the same place. A stop counts only for the planned number of steps that it names, so that a run which was
stopped goes on when `optimize.steps` is raised.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass

NUMBERS = ("distill.weight", "distill.guidance_scale")
PROMPT, ADAPTERS, STOP = "input.prompt", "lora.weights", "stop"
CHANGEABLE = (*NUMBERS, PROMPT, ADAPTERS)
Value = float | str | tuple[float, ...]
_LINE = re.compile(r"(\d{1,12}) (?:stop of (\d{1,12})|([a-z_.]+)=(.*))", re.DOTALL)


@dataclass(frozen=True)
class Intervention:
    """`setting` becomes `value` after `step` steps; "stop" ends a run that was planned for `value` steps."""

    step: int
    setting: str
    value: Value

    def __str__(self) -> str:
        if self.setting == STOP:
            return f"{self.step} stop of {self.value:.0f}"
        shown = list(self.value) if isinstance(self.value, tuple) else self.value
        return f"{self.step} {self.setting}={shown if isinstance(shown, str) else json.dumps(shown)}"


def parsed(line: str) -> Intervention:
    """The intervention of a line; ValueError where it is none."""
    match = _LINE.fullmatch(line)
    if match is None:
        raise _unusable(line)
    step, planned, setting, text = match.groups()
    if planned is not None:
        return Intervention(int(step), STOP, float(planned))
    try:
        return Intervention(int(step), setting, checked(setting, text if setting == PROMPT else json.loads(text)))
    except (json.JSONDecodeError, RecursionError):
        raise _unusable(line) from None


def checked(setting: str, value: object) -> Value:
    """The value in its own type; ValueError where the setting cannot change during a run, or not to that."""
    if setting == PROMPT and isinstance(value, str):
        return " ".join(value.split())
    if setting in NUMBERS and _is_number(value):
        return float(str(value))
    if setting == ADAPTERS and isinstance(value, list | tuple) and all(map(_is_number, value)):
        return tuple(float(item) for item in value)
    kinds = {PROMPT: "words", ADAPTERS: "a list of numbers"}
    if setting in CHANGEABLE:
        raise ValueError(f"{setting}: expected {kinds.get(setting, 'a number')}, got {value!s:.60}; correct it")
    raise ValueError(f"setting: expected one of {', '.join(CHANGEABLE)}, got {setting:.60}; others are fixed in a run")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _unusable(line: str) -> ValueError:
    return ValueError(
        f"optimize.interventions: expected lines such as '100 distill.weight=0.5' or '180 stop of 240', "
        f"got {line[:80]!r}; correct it"
    )
