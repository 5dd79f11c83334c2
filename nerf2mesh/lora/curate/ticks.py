"""What a person ticked on and off on the sheet: the file that the page saves, and its way back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nerf2mesh.lora.curate.items import Item
from nerf2mesh.utils.regular_file import read_json

KIND = "nerf2mesh ticks"


def set_digest(items: Sequence[Item]) -> str:
    """Stands for the lines and the pictures' bytes: ticks of another set do not fit."""
    text = json.dumps([[item.line, item.sha256, item.entry] for item in items], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def apply_ticks(items: Sequence[Item], path: Path | None, remembered: Path) -> list[str]:
    """Sets what is on: what was not refused, then as the ticks say. Returns what to say.

    path: a file given by the user; else the one `remembered` from the last time, where it still fits. Items that are
    locked stay off.

    Raises:
        ValueError: the file is no file of ticks, or of another set than these items.
    """
    for item in items:
        item.on = not item.refused
    if path is not None and str(path) == "none":
        return []
    source = remembered if path is None else path
    ticks = read_json(source, {}) if path is None or source.is_file() else None
    if ticks is None:
        raise ValueError(f"ticks: expected a file saved by the sheet, got none at {path}; save it there, or ticks=none")
    if not ticks:
        return []
    wrong = _what_is_wrong(ticks, set_digest(items))
    if wrong and path is None:
        return [f"the ticks of the last time are left out: {wrong}"]
    if wrong:
        raise ValueError(f"ticks: expected the ticks of these items, got {wrong}; tick on the new sheet and save again")
    return _set(items, ticks["on"], path is None)


def _set(items: Sequence[Item], on: dict[str, bool], again: bool) -> list[str]:
    said = ["the ticks of the last time hold; ticks=none forgets them"] if again else []
    for item in items:
        wanted = on.get(str(item.line), item.on)
        if wanted and item.locked:
            why = "; ".join(f"{finding.kind}" for finding in item.findings if finding.refuses)
            said.append(f"line {item.line} stays off, whatever the ticks say: {why}")
        item.on = wanted and not item.locked
    return said


def _what_is_wrong(ticks: dict[str, Any], digest: str) -> str:
    on = ticks.get("on")
    if ticks.get("kind") != KIND or not isinstance(on, dict) or any(type(value) is not bool for value in on.values()):
        return "another file"
    return "" if ticks.get("set") == digest else "those of other lines or pictures"
