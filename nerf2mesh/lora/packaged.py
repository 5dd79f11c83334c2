"""The adapters that come with the package: one a kind of picture, for the packaged built-in prior."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from nerf2mesh.lora.io.materials import adapter_materials
from nerf2mesh.rights import Material

FOLDER = Path(__file__).with_name("looks")


def packaged_adapter(kind: str) -> str | None:
    """The file of the adapter for a kind of picture (`input.domain`), or None where there is none."""
    path = FOLDER / f"{kind}.safetensors"
    return str(path) if path.is_file() else None


def packaged_materials(path: str) -> list[Material]:
    """The adapter, then its training data by licence and by where it is from, in a line each."""
    adapter, *data = adapter_materials(path, "lora.packaged")
    counts = Counter((row.licence, (row.credit.split() or [""])[0]) for row in data)
    rows = [
        Material("training data of adapter", f"{adapter.name} ({n} files)", kind, "lora.packaged", origin)
        for (kind, origin), n in counts.items()
    ]
    return [adapter, *rows]
