"""The adapters that come with the package: one a kind of picture, for the packaged built-in prior."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).with_name("looks")


def packaged_adapter(kind: str) -> str | None:
    """The file of the adapter for a kind of picture (`input.domain`), or None where there is none."""
    path = FOLDER / f"{kind}.safetensors"
    return str(path) if path.is_file() else None
