# SPDX-License-Identifier: GPL-3.0-or-later
"""The command of the user's environment and its arguments. Pure standard library: no bpy."""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

REGION = "N2M_REGION"
"""Name of the vertex attribute (with an underscore before it) that holds the region in an exported mesh."""


@dataclass(frozen=True)
class Asked:
    """What the panel holds when a button is pressed. Empty texts are left to the command's own defaults."""

    image: str = ""
    preset: str = "standard"
    prompt: str = ""
    adapters: tuple[str, ...] = ()
    seed: int = 0
    more: str = ""
    """Further settings as on a command line: 'mesh.resolution=256 mesh=vertex_colors'."""
    start_from: str = ""
    has_region: bool = False
    paint: str = ""
    mask: str = ""
    change: str = "auto"
    keep_topology: bool = False


def find_command(place: str) -> list[str]:
    """The start of a command line: from an environment's folder, its Python, or the program `nerf2mesh` itself.

    An empty place looks on the PATH. ValueError, in one line, where nothing is found.
    """
    if not place:
        found = shutil.which("nerf2mesh")
        if not found:
            raise ValueError("environment: expected a folder in the add-on's preferences, got none; name it there")
        return [found]
    path = Path(place).expanduser()
    if path.is_dir():
        names = ("bin/nerf2mesh", "Scripts/nerf2mesh.exe", "nerf2mesh", "nerf2mesh.exe")
        there = [path / name for name in names if (path / name).is_file()]
        if not there:
            raise ValueError(
                f"environment: expected a folder with bin/nerf2mesh, got {path}; pip install nerf2mesh there"
            )
        return [str(there[0])]
    if not path.is_file():
        raise ValueError(f"environment: expected a folder or a program, got {path}, which is not there; correct it")
    is_python = path.name.lower().startswith("python")
    return [str(path), "-m", "nerf2mesh.cli"] if is_python else [str(path)]


def arguments(asked: Asked, output_dir: Path) -> list[str]:
    """The settings on the command line. ValueError, in one line, where something is missing."""
    if not asked.image and not asked.start_from and not asked.prompt:
        raise ValueError("picture: expected a picture or a prompt, got neither; choose one")
    for name, file in (("picture", asked.image), ("paint-over", asked.paint), ("mask", asked.mask)):
        if file and not Path(file).is_file():
            raise ValueError(f"{name}: expected a file, got {file}, which is not there; correct it")
    lines = [f"preset={asked.preset}", f"seed={asked.seed}", f"output_dir={output_dir}"]
    lines += [f"input.image={asked.image}"] if asked.image else []
    lines += ["input=text"] if not asked.image and not asked.start_from else []
    lines += [f"input.prompt={asked.prompt}"] if asked.prompt else []
    lines += [f"lora.adapters=[{','.join(asked.adapters)}]"] if asked.adapters else []
    lines += _refining(asked) if asked.start_from else []
    try:
        return [*lines, *shlex.split(asked.more)]
    except ValueError as error:
        raise ValueError(f"more: expected settings as on a command line, got {asked.more}; close its quotes") from error


def _refining(asked: Asked) -> list[str]:
    lines = ["experiment=refine", f"start_from={asked.start_from}", f"refine.change={asked.change}"]
    lines += [f"refine.vertex_group={REGION}"] if asked.has_region and not asked.mask else []
    lines += [f"refine.mask={asked.mask}"] if asked.mask else []
    lines += [f"refine.paint={asked.paint}"] if asked.paint else []
    return lines + (["refine.keep_topology=true"] if asked.keep_topology else [])


def next_free(root: Path, name: str, ending: str = "") -> Path:
    """ROOT/NAME-1, or the first number that is free: every round has a folder, every picture a file of its own."""
    number = 1
    while (path := root / f"{plain(name)}-{number}{ending}").exists():
        number += 1
    return path


def plain(name: str) -> str:
    """A name of the scene as one of a file."""
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name).strip("-") or "run"


def clean_environment(variables: dict[str, str] | None = None) -> dict[str, str]:
    """The variables without those that would make another Python load Blender's own modules."""
    given = dict(os.environ) if variables is None else variables
    return {name: value for name, value in given.items() if name not in ("PYTHONHOME", "PYTHONPATH", "LD_PRELOAD")}
