"""metrics.jsonl: one JSON object per line, {"step": int, "time_s": float, "group/name": number, ...}.

The file is plain so that tests, the report and other tools read the same numbers. A line is written whole and flushed;
a run that was killed leaves at most one torn line, which readers skip and a resumed run removes.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nerf2mesh.utils.atomic_write import append_text, atomic_write_text
from nerf2mesh.utils.regular_file import read_regular

MAX_BYTES = 1 << 30


class MetricsLog:
    """Appends to `path`. A run that resumes from a checkpoint gives `resume_step`: later lines are dropped first."""

    def __init__(self, path: str | Path, *, resume_step: int | None = None) -> None:
        self.path = Path(path)
        self._started = time.monotonic()
        self._offset_s = 0.0
        kept = [] if not resume_step else [row for row in read_metrics(self.path) if row["step"] <= resume_step]
        if kept:
            self._offset_s = float(kept[-1].get("time_s") or 0.0)
        atomic_write_text(self.path, "".join(_line(row) for row in kept))

    def write(self, step: int, numbers: Mapping[str, float | int]) -> None:
        """`numbers` are named group/name, such as "loss/color"; a value that is not finite is stored as null."""
        row = {"step": int(step), "time_s": round(self._offset_s + time.monotonic() - self._started, 3)}
        append_text(self.path, _line(row | {name: _number(value) for name, value in numbers.items()}))


def read_metrics(path: str | Path) -> list[dict[str, float]]:
    """The rows of a metrics.jsonl; a missing file gives none. Torn lines are skipped, and what is neither a finite
    number nor null.

    Raises:
        ValueError: the file is no regular one, or too large.
    """
    try:
        lines = read_regular(path, limit_bytes=MAX_BYTES).decode("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    rows = []
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int) and is_number(row["step"]):
            rows.append({name: value for name, value in row.items() if value is None or is_number(value)})
    return rows


def series(rows: list[dict[str, float]]) -> dict[str, tuple[list[float], list[float]]]:
    """name -> (steps, finite values), in the order of first appearance."""
    curves: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        for name, value in row.items():
            if name in ("step", "time_s") or not isinstance(value, int | float) or isinstance(value, bool):
                continue
            steps, values = curves.setdefault(name, ([], []))
            steps.append(row["step"])
            values.append(value)
    return curves


def is_number(value: object) -> bool:
    """Whether it is a finite number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1 << 1000 if isinstance(value, int) else math.isfinite(value)


def _number(value: Any) -> float | int | None:
    value = value.item() if hasattr(value, "item") else value
    return value if math.isfinite(value) else None


def _line(row: Mapping[str, object]) -> str:
    return json.dumps(row, allow_nan=False) + "\n"
