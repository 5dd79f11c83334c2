"""Builds the Blender extension: `python integrations/build_blender.py [FOLDER]` writes FOLDER/nerf2mesh-VERSION.zip.

What Blender's own `blender --command extension build` writes, without Blender: the files of integrations/blender at the
top of a zip. The same files give the same bytes.
"""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parent / "blender"
NAMES = ("*.py", "blender_manifest.toml", "LICENSE")
DATE = (2026, 1, 1, 0, 0, 0)


def build(folder: Path) -> Path:
    """Writes the zip and returns its path."""
    manifest = (SOURCE / "blender_manifest.toml").read_text(encoding="utf-8")
    name, version = (re.findall(rf'^{key} = "(.+)"$', manifest, re.MULTILINE)[0] for key in ("id", "version"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}.zip"
    files = sorted({file for pattern in NAMES for file in SOURCE.glob(pattern)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            entry = zipfile.ZipInfo(file.name, DATE)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, file.read_bytes())
    return path


if __name__ == "__main__":
    print(build(Path(sys.argv[1] if len(sys.argv) > 1 else "dist")))
