# SPDX-License-Identifier: GPL-3.0-or-later
"""The one run of this Blender: started, looked at by a timer, its mesh imported when it is done."""

from __future__ import annotations

from pathlib import Path

import bpy

from .command import Asked, arguments, clean_environment, find_command, next_free, plain
from .preferences import environment_of, runs_of, settings_of
from .process import Run
from .scene_io import active_mesh, export_mesh, group_weights, import_mesh, to_object_mode

run: Run | None = None
"""The run that goes on, or the last one."""
said = ""
"""What the panel shows of it."""


def is_running() -> bool:
    """Whether a run goes on."""
    return run is not None and run.status == "running"


def asked_of(context: bpy.types.Context, **refining: object) -> Asked:
    """What the panel holds, with absolute paths."""
    held = settings_of(context)
    adapters = tuple(bpy.path.abspath(item.path) for item in held.adapters if item.path)
    common = {"preset": held.preset, "prompt": held.prompt, "adapters": adapters, "seed": held.seed, "more": held.more}
    return Asked(**common, **refining)


def start_new(context: bpy.types.Context) -> None:
    """A picture (or a prompt) becomes a mesh. ValueError, in one line, for what the user can put right."""
    image = bpy.path.abspath(settings_of(context).image)
    _start(context, asked_of(context, image=image), Path(image).stem if image else "words")


def start_refining(context: bpy.types.Context) -> None:
    """The active mesh is changed, in its region where one is chosen. ValueError as in `start_new`."""
    mesh = active_mesh(context)
    if mesh is None:
        raise ValueError("selection: expected a mesh, got none; select one")
    held = settings_of(context)
    if held.group and held.group not in mesh.vertex_groups:
        raise ValueError(f"region: expected a vertex group of {mesh.name}, got {held.group}; choose another")
    to_object_mode(mesh)
    weights = group_weights(mesh, held.group)
    if held.group and weights is None:
        raise ValueError(f"region: expected vertices in {held.group}, got none; paint or assign some")
    folder = next_free(runs_of(context), f"{mesh.name}-refined")
    folder.mkdir(parents=True)
    source = folder / f"source-{plain(mesh.name)}.glb"  # provenance.json names it as the parent
    export_mesh(context, mesh, source, weights)
    paint, mask = bpy.path.abspath(held.paint), bpy.path.abspath(held.mask)
    refining = {"start_from": str(source), "has_region": weights is not None, "paint": paint, "mask": mask}
    refining |= {"change": held.change, "keep_topology": held.keep_topology}
    _start(context, asked_of(context, **refining), folder.name, folder)


def _start(context: bpy.types.Context, asked: Asked, name: str, folder: Path | None = None) -> None:
    global run, said
    if is_running():
        raise ValueError("run: expected none that goes on, got one; wait for it or cancel it")
    folder = folder or next_free(runs_of(context), name)
    command = [*find_command(environment_of(context)), *arguments(asked, folder)]
    run, said = Run(command, folder, clean_environment()), "started"


def tick(context: bpy.types.Context) -> str:
    """Looks at the run and returns at once: its status. What is done is imported in the same look."""
    global said
    if run is None:
        return "none"
    status = run.status
    if status == "running":
        said = run.words()
    elif status == "done":
        mesh = import_mesh(context, run.mesh, run.folder.name)
        said = f"{mesh.name}: {len(mesh.data.polygons)} triangles"
    else:
        said = "cancelled" if status == "cancelled" else f"failed: {run.problem()}"
    return status


def fraction() -> float:
    """How far the run is, for the panel's bar, in [0, 1]."""
    done, total = run.progress() if run is not None else (0, 0)
    return min(1.0, done / total) if total else 0.0


def cancel() -> None:
    """Asks the run to stop."""
    if run is not None:
        run.cancel()


def forget() -> None:
    """Ends the run, when the add-on is switched off."""
    global run, said
    if is_running():
        run.cancel()
    run, said = None, ""
