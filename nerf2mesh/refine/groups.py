"""Vertex groups and vertex colors of a mesh file, as points that are in or out.

The mesh itself is read by `mesh.read_file`, which knows no groups; what is marked here is matched by position.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nerf2mesh.mesh.read_file import axis_turn
from nerf2mesh.mesh.scene_file import load_scene, shapes_in

COLOR_SLACK = 0.1
INSIDE = 0.5
"""Weights of a group above this are in."""
PLAIN = {"x", "y", "z", "nx", "ny", "nz", "red", "green", "blue", "alpha", "s", "t", "u", "v"}
"""Properties of a PLY's vertices that are no groups."""


def group_points(file: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """World positions [N, 3] of the vertices of a mesh file, and whether each is in the group, [N].

    Raises:
        ValueError: the file has no such group; those that it has are named.
    """
    if file.suffix.lower() == ".obj":
        points, inside, known = _obj_groups(file, name)
    else:
        points, inside, known = _attribute(file, name)
    if inside is None:
        shown = ", ".join(sorted(known)[:20]) or "none"
        raise ValueError(
            f"refine.vertex_group: expected a group of {file.name} (it has {shown}), got {name!r}; in Blender export "
            "an attribute of that name that begins with an underscore"
        )
    return points @ axis_turn("y", "z").T, inside


def color_points(vertices: np.ndarray, colors: np.ndarray | None, wanted: list[float]) -> np.ndarray:
    """Which vertices [V] have a color [V, 3] like `wanted`; ValueError where the mesh has no vertex colors."""
    if colors is None:
        raise ValueError(
            f"refine.vertex_color: expected a mesh with vertex colors, got {len(vertices)} vertices without; "
            "choose another region"
        )
    return np.abs(colors - np.array(wanted)).max(1) <= COLOR_SLACK


def _attribute(file: Path, name: str) -> tuple[np.ndarray, np.ndarray | None, set[str]]:
    """Of a GLB the vertex attribute _NAME, of a PLY the property NAME."""
    points, inside, known, found = [], [], set(), False
    for shape, pose in shapes_in(load_scene(file)):
        points.append(np.asarray(shape.vertices) @ pose[:3, :3].T + pose[:3, 3])
        attributes = _attributes(shape)
        known |= {key.removeprefix("_") for key in attributes}
        values = next((attributes[key] for key in (f"_{name}", name, f"_{name.upper()}") if key in attributes), None)
        found |= values is not None
        size = len(points[-1])
        inside.append(np.zeros(size, bool) if values is None else np.asarray(values).reshape(size, -1)[:, 0] > INSIDE)
    if not found:
        return np.zeros((0, 3)), None, known
    return np.concatenate(points), np.concatenate(inside), known


def _attributes(shape: Any) -> dict[str, np.ndarray]:
    """One value a vertex, by name."""
    found = {str(key): np.asarray(value) for key, value in getattr(shape, "vertex_attributes", {}).items()}
    raw = shape.metadata.get("_ply_raw", {}).get("vertex", {}).get("data")
    if raw is not None:  # binary: a structured array; ASCII: a dictionary
        names = raw.keys() if isinstance(raw, dict) else raw.dtype.names or ()
        found |= {key: np.asarray(raw[key]).reshape(-1) for key in names if key not in PLAIN}
    return {key: value for key, value in found.items() if len(value) == len(shape.vertices)}


def _obj_groups(file: Path, name: str) -> tuple[np.ndarray, np.ndarray | None, set[str]]:
    """The vertices of the faces that stand below `g NAME` or `o NAME`."""
    points, members, known, now = [], set(), set(), set()
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "v":
            points.append([float(value) for value in rest.split()[:3]])
        elif word in ("g", "o"):
            now = set(rest.split()) if word == "g" else {rest.strip()}
            known |= now
        elif word == "f" and name in now:
            corners = [int(part.split("/")[0]) for part in rest.split()]
            members |= {index - 1 if index > 0 else len(points) + index for index in corners}
    if name not in known:
        return np.zeros((0, 3)), None, known
    inside = np.zeros(len(points), bool)
    inside[list(members)] = True
    return np.array(points), inside, known
