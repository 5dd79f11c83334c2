"""What a run needs only at its end, looked at before the first step: optional packages and free disk."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

from nerf2mesh.config import Config
from nerf2mesh.fields import HashGridField

REMESHERS = {"isotropic": "pyacvd", "quad": "pyinstantmeshes"}
"""The package behind each kind of `mesh.remesh`."""
COPIES = 9
"""A checkpoint holds the field and two moments of Adam; the last, the one before, and the one that is written."""
REST_BYTES = 64 << 20
"""Room for mesh, textures, previews, turntable and report."""


def check_ready(config: Config, field: HashGridField, folder: Path | None) -> None:
    """ValueError where the end of the run would fail: a package is missing, or the disk of `folder` is nearly full."""
    package = REMESHERS.get(config.mesh.remesh)
    if package is not None and find_spec(package) is None:
        raise ValueError(
            f"mesh.remesh: expected the package {package} for {config.mesh.remesh}, got none; "
            "pip install 'nerf2mesh[remesh]', or set mesh.remesh=none"
        )
    if folder is None:
        return
    needed = REST_BYTES + COPIES * sum(p.numel() * p.element_size() for p in field.parameters())
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ValueError(
            f"output_dir: expected {needed >> 20} MB of free disk for {folder}, got {free >> 20} MB; "
            "free some space, or choose another output_dir"
        )
