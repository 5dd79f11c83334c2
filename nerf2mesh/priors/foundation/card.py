"""What a model's card, the README.md beside its files, states as its licence."""

from __future__ import annotations

import re
from pathlib import Path

from nerf2mesh.utils.regular_file import read_regular

MOST_BYTES = 1 << 20
_HEAD = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_ENTRY = re.compile(r"^(license|license_name):[ \t]*[\"']?([^\"'\n#]{1,200})", re.MULTILINE)


def card_licence(folder: Path) -> str:
    """`license` of the card's head, or `license_name` where that is "other"; "" where the card states none."""
    try:
        text = read_regular(folder / "README.md", limit_bytes=MOST_BYTES).decode("utf-8", errors="replace")
    except (OSError, ValueError):
        return ""
    head = _HEAD.match(text.replace("\r\n", "\n"))
    said = {key: value.strip() for key, value in _ENTRY.findall(head[1])} if head else {}
    licence = said.get("license", "")
    return said.get("license_name", licence) if licence in ("", "other") else licence
