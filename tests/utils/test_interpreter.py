"""An embedded Python, whose sys.executable is empty, still finds a program of its own version."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nerf2mesh.utils.interpreter import interpreter


def test_embedded_python_finds_its_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "")
    done = subprocess.run([interpreter(), "-c", "import sys; print(sys.version)"], capture_output=True, text=True)
    assert done.stdout.strip() == sys.version
