"""Values as the text of a USD layer (.usda)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np


def tuples(rows: np.ndarray) -> str:
    """Rows [n, k] as "(a, b), (c, d)"."""
    return ", ".join("(" + ", ".join(f"{value:.8g}" for value in row) + ")" for row in rows.tolist())


def numbers(values: Iterable[float]) -> str:
    """Values as "a, b"."""
    return ", ".join(f"{value:.8g}" for value in values)


def samples(name: str, codes: Sequence[float], rows: Iterable[np.ndarray], indent: int = 8) -> list[str]:
    """An attribute's time samples: at each time code an array of tuples, of rows [n, k]."""
    space = " " * indent
    each = [f"{space}    {code:.9g}: [{tuples(row)}]," for code, row in zip(codes, rows)]
    return [f"{space}{name}.timeSamples = {{", *each, f"{space}}}"]


def time_codes(times_s: Sequence[float], rate: float) -> list[float]:
    """Codes that count frames of `rate` a second, 0 at the first time."""
    return [round((time - times_s[0]) * rate, 6) for time in times_s]
