"""Warnings of a run: each is shown at once, on the terminal as one line, and kept for warnings.json and the result."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from nerf2mesh.utils.names import printable

PACKAGE = Path(__file__).resolve().parents[1]
CHANNEL = "nerf2mesh"
"""Stands for the place of a run's warnings, so that Python shows the text and no line of our source."""


def warn(lines: Sequence[str]) -> list[str]:
    """Shows each line as a UserWarning and returns them."""
    for line in lines:
        warnings.warn_explicit(line, UserWarning, CHANNEL, 1, module=CHANNEL)
    return list(lines)


@contextmanager
def kept(lines: list[str]) -> Iterator[None]:
    """Appends to `lines` every UserWarning that this package raises inside; they are shown as ever."""
    with warnings.catch_warnings():
        show = warnings.showwarning
        warnings.filterwarnings("always", category=UserWarning, module=r"nerf2mesh(\.|$)")

        def keep(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            ours = filename == CHANNEL or Path(filename).resolve().is_relative_to(PACKAGE)
            if ours and issubclass(category, UserWarning) and str(message) not in lines:
                lines.append(str(message))
            show(message, category, filename, lineno, file, line)

        warnings.showwarning = keep
        yield


@contextmanager
def as_lines() -> Iterator[None]:
    """Inside, a UserWarning is printed as "warning: TEXT" instead of with its place and a line of source."""
    before = warnings.formatwarning

    def plain(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
    ) -> str:
        if issubclass(category, UserWarning):
            return f"warning: {printable(' '.join(str(message).split()))}\n"
        return before(message, category, filename, lineno, line)

    warnings.formatwarning = plain
    try:
        yield
    finally:
        warnings.formatwarning = before
