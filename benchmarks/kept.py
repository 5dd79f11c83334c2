"""Files of figures that a benchmark goes on with: the settings of the call, and a row for everything measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from nerf2mesh.utils.atomic_write import atomic_write_text

Row = dict[str, object]


def kept_rows(path: Path | None, settings: Mapping[str, object]) -> list[Row]:
    """The rows of an earlier call with these settings; none without a file.

    Raises:
        ValueError: the file was made with other settings.
    """
    if path is None or not path.is_file():
        return []
    kept = json.loads(path.read_text(encoding="utf-8"))
    others = {name: kept.get(name) for name in settings}
    if others != settings:
        raise ValueError(f"--out: expected figures of {dict(settings)}, got {others} in {path}; name another file")
    return kept["rows"]


def keep_rows(path: Path | None, settings: Mapping[str, object], rows: Sequence[Mapping[str, object]]) -> None:
    """Writes what `kept_rows` reads; nothing without a path."""
    if path is not None:
        atomic_write_text(path, json.dumps({**settings, "rows": list(rows)}, indent=1))
