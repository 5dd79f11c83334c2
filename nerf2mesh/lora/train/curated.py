"""What `nerf2mesh-curate` left in a folder, as training reads it: which pairs it kept, and which it refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nerf2mesh.report import sha256_file
from nerf2mesh.utils.regular_file import read_json

CURATED = "curated.jsonl"
RECORD = "curation/curation.json"


def manifest_of(data: Path, items: str) -> tuple[Path, str]:
    """Folder and file name of the pairs: `data` is the folder, where CURATED comes before `items`, or a file in it."""
    if data.is_file():
        return data.parent, data.name
    return data, CURATED if (data / CURATED).is_file() else items


def refused_pictures(folder: Path, items: str) -> dict[str, str]:
    """SHA-256 of a picture -> why it was refused, of those that no kept line has too; empty without a curation.

    ValueError where the folder's items are not those that were curated.
    """
    record = read_json(folder / RECORD, {})
    if not record:
        return {}
    then, now = record.get("items_sha256", ""), folder / items
    if then and now.is_file() and sha256_file(now) != then:
        raise ValueError(
            f"data: expected {items} as it was when {folder} was curated, got another; "
            f"give nerf2mesh-curate {folder} again"
        )
    refused = record.get("refused")
    return {sha: str(why) for sha, why in refused.items()} if isinstance(refused, dict) else {}


def curation_note(folder: Path) -> dict[str, Any]:
    """For an adapter's manifest: how many pairs were kept and refused, and the record's hash; empty without one."""
    record = read_json(folder / RECORD, {})
    if not record:
        return {}
    return {"kept": record.get("kept"), "of": record.get("of"), "sha256": sha256_file(folder / RECORD)}
