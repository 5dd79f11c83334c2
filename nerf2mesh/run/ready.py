"""What a run needs only at its end, looked at before the first step: optional packages and free disk."""

from __future__ import annotations

import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from nerf2mesh.config import Config
from nerf2mesh.fields import HashGridField
from nerf2mesh.mesh import TriangleMesh, save_mesh

REMESHERS = {"isotropic": "pyacvd", "quad": "pyinstantmeshes"}
"""The package behind each kind of `mesh.remesh`."""
TOOLS = {
    "xatlas": "mesh.texture",
    "fast_simplification": "mesh.target_faces",
    "scipy": "mesh.bake_fit_views",
    "imageio_ffmpeg": "report.turntable_frames",
}
"""Packages that come with this one, each with the setting that has the end of a run need it, unless it is off or 0."""
COPIES = 9
"""A checkpoint holds the field and two moments of Adam; the last, the one before, and the one that is written."""
REST_BYTES = 64 << 20
"""Room for mesh, textures, previews, turntable and report."""


def check_ready(config: Config, field: HashGridField, folder: Path | None) -> None:
    """ValueError where the end of the run would fail: a package is missing, or the disk of `folder` is nearly full."""
    for module, setting in TOOLS.items():
        room, name = setting.split(".")
        if getattr(getattr(config, room), name) and find_spec(module) is None:
            package = module.replace("_", "-")
            raise ValueError(f"{setting}: expected the package {package}, got none; pip install {package}")
    package = REMESHERS.get(config.mesh.remesh)
    if package is not None and find_spec(package) is None:
        raise ValueError(
            f"mesh.remesh: expected the package {package} for {config.mesh.remesh}, got none; "
            "pip install 'nerf2mesh[remesh]', or set mesh.remesh=none"
        )
    if config.report.viewer and find_spec("viser") is None:
        raise ValueError(
            "report.viewer: expected the package viser, got none; pip install 'nerf2mesh[viewer]', or set it to false"
        )
    if folder is None:
        return
    check_formats(config.mesh.formats)
    needed = REST_BYTES + COPIES * sum(p.numel() * p.element_size() for p in field.parameters())
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ValueError(
            f"output_dir: expected {needed >> 20} MB of free disk for {folder}, got {free >> 20} MB; "
            "free some space, or choose another output_dir"
        )


def check_formats(formats: tuple[str, ...]) -> None:
    """Writes one triangle in each format; ValueError with the reason for the first that cannot be written."""
    uv = np.array([[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    triangle = TriangleMesh(np.eye(3), np.array([[0, 1, 2]]), uv=uv, texture=np.zeros((2, 2, 3), np.uint8))
    with tempfile.TemporaryDirectory(prefix="n2m_formats_") as folder:
        for name in formats:
            try:
                save_mesh(triangle, Path(folder) / f"mesh.{name}")
            except Exception as error:  # whatever its writer raises now it would raise at the end
                reason = " ".join(str(error).split()).removeprefix("path: ") or type(error).__name__
                raise ValueError(f"mesh.formats: cannot write {name}: {reason}; or leave {name} out") from error
