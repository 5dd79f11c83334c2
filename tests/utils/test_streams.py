"""A command whose output nobody reads to the end, is closed, or goes to a full disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nerf2mesh import cli

ROOT = Path(__file__).resolve().parents[2]
COMMAND = """
import sys, types
def run_fit(config, overrides=()):
    print("first", flush=True)
    sys.stdin.readline()
    for _ in range(20_000):
        print("many words", file=sys.stderr)
        print("many words")
    open("made", "w").write(config.input.image)
    return types.SimpleNamespace(config=config, failures=[])
fit = types.ModuleType("nerf2mesh.run.fit")
fit.run_fit = run_fit
sys.modules["nerf2mesh.run.fit"] = fit
sys.argv = ["nerf2mesh", "input.image=cup.png"]
from nerf2mesh.cli import main
main()
"""
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


def test_a_reader_that_leaves_shortens_only_what_is_shown(tmp_path: Path) -> None:
    command = [sys.executable, "-c", COMMAND]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, text=True, **pipes)
    assert process.stdout.readline() == "first\n"
    process.stdout.close()
    process.stdin.write("\n")
    process.stdin.close()
    said = process.stderr.read()
    assert process.wait(60) == 0 and "Traceback" not in said and "BrokenPipe" not in said
    assert (tmp_path / "made").read_text() == "cup.png"


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["2>&1 | head -1", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_stop_nothing_and_fill_no_file(closed: str, tmp_path: Path) -> None:
    line = f"set -o pipefail; '{sys.executable}' -c \"$COMMAND\" {closed}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, env=ENVIRONMENT | {"COMMAND": COMMAND}, timeout=60, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0 and (tmp_path / "made").read_text() == "cup.png"


FULL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full (Linux)")


@FULL
def test_a_full_disk_behind_the_output_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(sys, "argv", ["nerf2mesh", "--version"])
    with open("/dev/full", "w", encoding="utf-8") as full, pytest.raises(SystemExit) as done:
        monkeypatch.setattr(sys, "stdout", full)
        cli.main()
    assert done.value.code == 2 and "no space is left for standard output" in capsys.readouterr().err


@FULL
@pytest.mark.slow
def test_a_full_disk_behind_the_output_of_a_process(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "nerf2mesh.cli", "--version"], cwd=tmp_path, env=ENVIRONMENT, stdout=full,
            stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2 and "no space is left for standard output" in done.stderr
    assert "Traceback" not in done.stderr
