"""Writes FBX and Alembic through Blender, the `bpy` package or a `blender` program: FBX has no other free writer.

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
source, target, rate, last = sys.argv[-4:]
bpy.ops.wm.read_factory_settings(use_empty=True)
if target.endswith(".abc"):
    bpy.context.scene.render.fps = 1000  # keys at milliseconds, which are put onto whole frames below
bpy.ops.import_scene.gltf(filepath=source)


def curves(action):
    layers = getattr(action, "layers", [])
    bags = [bag for layer in layers for strip in layer.strips for bag in strip.channelbags]
    return [curve for bag in bags for curve in bag.fcurves] if bags else action.fcurves


if target.endswith(".abc"):
    for curve in (curve for action in bpy.data.actions for curve in curves(action)):
        for key in curve.keyframe_points:
            key.co.x = round(key.co.x * float(rate) / 1000.0)
            key.interpolation = "LINEAR"
    bpy.context.scene.render.fps, bpy.context.scene.render.fps_base = 1000, 1000.0 / float(rate)
    bpy.ops.wm.alembic_export(filepath=target, start=0, end=int(last), as_background_job=False)
else:
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


def glb_through_blender(glb: Path, target: Path, *, rate: float = 24.0, last: int = 0) -> None:
    """Converts a GLB file into an FBX or Alembic file, Alembic with its frames 0 to `last` of `rate` a second.

    Raises ValueError where Blender is missing or fails.
    """
    command = blender_command()
    if command is None:
        raise ValueError(
            f"path: expected Blender for {target.suffix}, got none; pip install bpy (its Python version must fit), or "
            "install blender, or name one in N2M_BLENDER, or save as .glb"
        )
    with scratch("n2m_blender_") as folder:
        script = Path(folder) / "convert.py"
        script.write_text(SCRIPT, encoding="utf-8")
        arguments = [*command, str(script), "--", str(glb.resolve()), str(target.resolve()), f"{rate:.9g}", str(last)]
        done = subprocess.run(
            arguments, capture_output=True, encoding="utf-8", errors="replace", timeout=TIME_LIMIT_S, cwd=folder
        )
    if done.returncode != 0 or not target.exists():
        lines = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise ValueError(f"path: expected Blender to write {target.name}, got {lines[-1][:200]!r}; save as .glb")
