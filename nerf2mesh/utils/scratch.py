"""Temporary folders of a run lie in its own folder, so that what a killed run leaves is found and removed there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

NAME = ".scratch"
"""Of the folder in a run folder."""
_PLACE: ContextVar[Path | None] = ContextVar("scratch", default=None)


def scratch(prefix: str) -> tempfile.TemporaryDirectory[str]:
    """A temporary folder, removed at the end of the `with` block: in the run folder, or outside a run in TMPDIR."""
    place = _PLACE.get()
    if place is not None:
        place.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix=prefix, dir=place)


@contextmanager
def scratch_in(folder: Path | None) -> Iterator[None]:
    """Inside, `scratch` makes its folders in `folder`/.scratch, which is removed at the end (None: in TMPDIR)."""
    place = None if folder is None else folder.resolve() / NAME
    token = _PLACE.set(place)
    try:
        yield
    finally:
        _PLACE.reset(token)
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)
