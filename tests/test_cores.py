"""What the commands tell OpenMP before torch is loaded, and that a mere import tells it nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nerf2mesh import cli

IMPORT = "import os, sys, nerf2mesh, nerf2mesh.cli; print('torch' in sys.modules, os.environ.get('GOMP_SPINCOUNT'))"


def spin_count(monkeypatch: pytest.MonkeyPatch, command: str = "main", **environment: str) -> str | None:
    """What is set when a command hands over to Hydra."""
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "")  # so that it is restored after the test
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    seen = []
    monkeypatch.setattr(cli, "run_app", lambda *_, **__: seen.append(os.environ.get("GOMP_SPINCOUNT")) or 0)
    monkeypatch.setattr(sys, "argv", ["nerf2mesh"])
    with pytest.raises(SystemExit):
        getattr(cli, command)()
    return seen[0]


@pytest.mark.parametrize(
    "command",
    ["main", "bench", "train_prior", "train_lora", "curate", "train_foreground", "train_viewpoint", "train_normals"],
)
def test_commands_shorten_the_spinning(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    assert spin_count(monkeypatch, command) == "1000"


def test_what_the_user_sets_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    assert spin_count(monkeypatch, OMP_WAIT_POLICY="ACTIVE") is None
    assert spin_count(monkeypatch, GOMP_SPINCOUNT="7") == "7"


def test_an_import_loads_no_torch_and_sets_nothing() -> None:
    kept = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    done = subprocess.run([sys.executable, "-c", IMPORT], env=kept, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "None"]
