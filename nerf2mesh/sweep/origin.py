"""What the results of a sweep's folder were made with, so that old figures never pass for new ones.

folder/origin.json has a digest of every file that a setting names, and of the packaged prior where a method uses it.
The folder is refused once one of them has changed; an attempt that ended before its first result binds nobody.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from nerf2mesh.utils.atomic_write import atomic_write_text

PACKAGED = "the packaged prior"
MANIFEST = "the manifest of data_dir"


def check_origin(folder: Path, methods: Iterable[Sequence[str]], manifest: Path | None = None) -> None:
    """Notes the files behind the methods' settings, and the objects' `manifest` if it is there.

    ValueError where the folder's results were made with others.
    """
    path, now = folder / "origin.json", _digests(methods)
    if manifest is not None and manifest.is_file():
        now[MANIFEST] = hashlib.sha256(manifest.read_bytes()).hexdigest()
    bound = any((folder / "results").glob("*.json"))
    before = _read(path) if bound and path.is_file() else {}
    unknown = bound and not path.is_file()
    changed = [name for name in now if before.get(name, now[name]) != now[name]]
    if unknown or changed:
        what = changed[0] if changed else "files that were not noted"
        raise ValueError(
            f"output_dir: expected results made with the present {what}, got those of another state of it in {folder}; "
            "choose a new folder"
        )
    atomic_write_text(path, json.dumps(before | now, indent=1) + "\n")


def _digests(methods: Iterable[Sequence[str]]) -> dict[str, str]:
    from nerf2mesh.priors.builtin.prior import PACKAGED as PATH

    files: dict[str, Path] = {}
    for settings in methods:
        elsewhere = [s for s in settings if s.startswith(("prior=", "prior.weights=", "experiment="))]
        if not set(elsewhere) - {"prior=builtin"}:
            files[PACKAGED] = PATH
        for setting in settings:
            value = Path(setting.partition("=")[2])
            files |= {setting: value} if value.is_file() else {}
    return {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}


def _read(path: Path) -> dict[str, str]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path}: expected the digests of the sweep's weights, got {error}; choose a new output_dir"
        ) from error
