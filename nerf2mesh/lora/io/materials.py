"""What an adapter's file says of its own licence and of what it was trained on; no tensor is read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nerf2mesh.lora.io.files import MANIFEST_KEY, located
from nerf2mesh.report import sha256_file
from nerf2mesh.rights import Material
from nerf2mesh.utils.names import printable

HEADER_KEYS = ("modelspec.license", "license", "ss_license")
"""Where other tools' files say their licence; ours say it in the manifest."""
MOST_VALUE = 10_000
"""Letters of a manifest's entry that a record takes over."""
MOST_LICENSES = 50
MOST_KINDS = 1000
"""Different licences of one adapter's training data; more is no honest manifest."""


def adapter_materials(path: str | Path, setting: str) -> list[Material]:
    """The adapter, then its training data by licence. ValueError where there is no such file, or it cannot be read."""
    file = located(Path(path))
    header = read_header(file)
    manifest = manifest_in(header)
    stated = [manifest.get("licence"), *(header.get(key) for key in HEADER_KEYS)]
    licence = next((text for text in stated if isinstance(text, str) and text.strip()), "")
    name = str(manifest.get("title") or header.get("modelspec.title") or file.name)
    found = [Material("adapter", name, licence, setting, sha256=sha256_file(file))]
    for (kind, source), n in source_counts(manifest).most_common(MOST_KINDS):
        shown = f"{name} ({n} of {source})" if source else f"{name} ({n} pictures)"
        found.append(Material("training data of adapter", shown, kind, setting, source))
    return found


def adapter_summary(path: Path) -> dict[str, object]:
    """For the record of a mesh: the file's digest and its manifest, its sources counted by licence."""
    file = located(path)
    manifest = manifest_in(read_header(file))
    kept = {key: manifest[key] for key in ("title", "licence", "base", "base_sha256", "settings") if key in manifest}
    kept = {key: value for key, value in kept.items() if len(json.dumps(value)) < MOST_VALUE}
    licences: Counter[str] = Counter()
    for (licence, _), n in source_counts(manifest).items():
        licences[licence[:200] or "not stated"] += n
    about: dict[str, object] = {"file": file.name, "sha256": sha256_file(file), "manifest": kept}
    return about | {"trained_on": dict(licences.most_common(MOST_LICENSES)) or "not stated"}


def source_counts(manifest: Mapping[str, Any]) -> Counter[tuple[str, str]]:
    """How many sources of a manifest stand under (licence, where they are from)."""
    sources = manifest.get("sources")
    rows = [row for row in sources if isinstance(row, dict)] if isinstance(sources, list) else []
    return Counter((str(row.get("licence") or ""), str(row.get("source") or "")[:200]) for row in rows)


def read_header(file: Path) -> dict[str, str]:
    """The texts in a safetensors header. ValueError where the file is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            return dict(opened.metadata() or {})
    except (SafetensorError, OSError, ValueError, AttributeError, UnicodeDecodeError) as error:
        first = printable((str(error).splitlines() or [type(error).__name__])[0][:160])
        raise ValueError(
            f"lora.adapters: expected readable safetensors, got {file} ({first}); get the file again"
        ) from error


def manifest_in(header: Mapping[str, str]) -> dict[str, Any]:
    """Our manifest in a header; {} where it has none, or a damaged one."""
    try:
        found = json.loads(header.get(MANIFEST_KEY, "{}"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
