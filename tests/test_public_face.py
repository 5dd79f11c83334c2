"""Importing the package is light and silent, and its lazy names are all there."""

from __future__ import annotations

import subprocess
import sys

import pytest

import nerf2mesh

HEAVY = ("torch", "numpy", "diffusers", "transformers", "peft", "trimesh", "cv2", "hydra", "PIL", "scipy")


def _python(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120)


def test_import_is_light_and_silent() -> None:
    done = _python(f"import sys, nerf2mesh; print([m for m in {HEAVY} if m in sys.modules])")
    assert done.stdout.strip() == "[]" and done.stderr == ""


def test_types_do_not_bring_the_heavy_packages() -> None:
    heavy = ("diffusers", "transformers", "peft", "trimesh", "cv2", "xatlas", "imageio_ffmpeg")
    code = f"import sys, nerf2mesh as n; n.Camera, n.load_config(); print([m for m in {heavy} if m in sys.modules])"
    done = _python(code)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_workers_listen_for_signals_before_they_import_torch() -> None:
    """A worker that a scheduler stops in its first seconds says so instead of dying."""
    done = _python("import sys, nerf2mesh.sweep.worker; print('torch' in sys.modules)")
    assert done.stdout.strip() == "False", done.stdout + done.stderr


@pytest.mark.parametrize("name", nerf2mesh.__all__)
def test_every_name_loads(name: str) -> None:
    assert getattr(nerf2mesh, name) is not None
    assert name in dir(nerf2mesh)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = nerf2mesh.nothing
