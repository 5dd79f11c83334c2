"""Writes FBX through Blender, which has the only free writer of that format: the `bpy` package or a `blender` program.

The mesh goes to a GLB first, Blender reads that and writes it again with the textures inside. Blender runs in a process
of its own: it may not share one with other users of its libraries.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from nerf2mesh.utils.interpreter import interpreter
from nerf2mesh.utils.scratch import scratch

TIME_LIMIT_S = 300.0
SCRIPT = """
import sys
import bpy
source, target = sys.argv[-2:]
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.gltf(filepath=source)
bpy.ops.export_scene.fbx(
    filepath=target, axis_up="Y", axis_forward="Z", path_mode="COPY", embed_textures=True
)
"""


def blender_command() -> list[str] | None:
    """How to run a Python script inside Blender: this Python if it has bpy, N2M_BLENDER (a Python with bpy, or a
    blender program), or `blender` on the PATH; None where there is none."""
    if find_spec("bpy") is not None:
        return [interpreter()]
    program = os.environ.get("N2M_BLENDER") or shutil.which("blender")
    if not program:
        return None
    is_python = Path(program).name.startswith("python")
    return (
        [program]
        if is_python
        else [program, "--background", "--factory-startup", "--python-exit-code", "1", "--python"]
    )


def glb_to_fbx(glb: Path, fbx: Path) -> None:
    """Converts a GLB file into an FBX file. Raises ValueError where Blender is missing or fails."""
    command = blender_command()
    if command is None:
        raise ValueError(
            "path: expected Blender for .fbx, got none; pip install bpy (its Python version must fit), or install "
            "blender, or name one in N2M_BLENDER, or save as .glb"
        )
    with scratch("n2m_fbx_") as folder:
        script = Path(folder) / "convert.py"
        script.write_text(SCRIPT, encoding="utf-8")
        arguments = [*command, str(script), "--", str(glb.resolve()), str(fbx.resolve())]
        done = subprocess.run(
            arguments, capture_output=True, encoding="utf-8", errors="replace", timeout=TIME_LIMIT_S, cwd=folder
        )
    if done.returncode != 0 or not fbx.exists():
        lines = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise ValueError(f"path: expected Blender to write {fbx.name}, got {lines[-1][:200]!r}; save as .glb")
