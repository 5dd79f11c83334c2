"""The extension in a real Blender, headless: `python -m tests.blender.check` prints what was seen.

Blender is what `make check-blender` takes: bpy in this Python, N2M_BLENDER, .cache/bpy, or `blender` on the PATH.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from nerf2mesh.inputs import demo_picture
from nerf2mesh.mesh.export.blender import blender_command
from tests.tiny_run import TINY

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("in_blender.py")
MORE = " ".join(setting for setting in TINY if not setting.startswith("preset="))
START = "refine.start.views=4 refine.start.size_px=32 refine.start.point_steps=2 refine.start.ray_steps=2"
ROUND = f"{MORE} optimize.steps=4 optimize.rays=64 refine.views=4 refine.size_px=32 {START}"


def find_blender() -> list[str] | None:
    """The command that runs a script in Blender; None where there is none."""
    local = ROOT / ".cache" / "bpy" / "bin" / "python"
    if "N2M_BLENDER" not in os.environ and local.exists():
        os.environ["N2M_BLENDER"] = str(local)
    return blender_command()


def program(folder: Path, python: str = sys.executable) -> Path:
    """A program `nerf2mesh` of this checkout, as an environment has one."""
    path = folder / "bin" / "nerf2mesh"
    path.parent.mkdir(parents=True)
    path.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{python}" -m nerf2mesh.cli "$@"\n')
    path.chmod(0o755)
    return folder


def zip_in(folder: Path) -> Path:
    """The extension, built by its own script."""
    command = [sys.executable, str(ROOT / "integrations" / "build_blender.py"), str(folder)]
    return Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


def in_blender(folder: Path, environment: Path | None = None, *, timeout_s: float = 900.0) -> dict:
    """Installs, runs, refines and takes away; what was seen, by name. environment: else one of this checkout."""
    command = find_blender()
    assert command is not None, "no Blender"
    job = {
        "zip": str(zip_in(folder)),
        "home": str(folder / "home"),
        "environment": str(environment or program(folder / "env")),
    }
    job |= {"picture": str(demo_picture()), "runs": str(folder / "runs"), "result": str(folder / "result.json")}
    job |= {"more": MORE, "refine_more": ROUND}
    (folder / "home").mkdir()
    (folder / "job.json").write_text(json.dumps(job))
    arguments = [*command, str(SCRIPT), "--", str(folder / "job.json")]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=timeout_s, cwd=folder)
    print("\n".join(line for line in done.stdout.splitlines() if line.startswith("[blender]")))
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return json.loads(Path(job["result"]).read_text(encoding="utf-8"))


if __name__ == "__main__":
    if find_blender() is None:
        sys.exit("no Blender: pip install bpy into .cache/bpy, or install blender, or set N2M_BLENDER")
    with tempfile.TemporaryDirectory(prefix="n2m_blender_") as place:
        in_blender(Path(place))
