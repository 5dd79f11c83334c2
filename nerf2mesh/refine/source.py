"""What a round starts from: a mesh file, or the mesh and the checkpoint of an earlier run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.read_file import read_mesh_file
from nerf2mesh.mesh.scene_file import MAX_BYTES
from nerf2mesh.refine.camera_file import Placement
from nerf2mesh.rights.inspect_file import read_record
from nerf2mesh.utils.regular_file import read_regular

MESH, CHECKPOINT = "mesh.glb", "checkpoints/last.safetensors"


@dataclass(frozen=True, eq=False)
class Source:
    """mesh: in the box [-1, 1]^3, vertices split as in the file; in its own frame it is `placement.out_of_box`."""

    name: str
    """Of the folder or of the file: no path."""
    file: Path
    mesh: TriangleMesh
    placement: Placement
    sha256: str
    checkpoint: Path | None = None
    record: dict[str, Any] = field(default_factory=dict)
    """What the file says of how it was made; empty where it says nothing."""


def source_file(path: str | Path) -> Path:
    """The mesh file behind `start_from`, a run folder or a file itself; ValueError where there is none."""
    place = Path(path).expanduser()
    file = place / MESH if place.is_dir() else place
    if not file.is_file():
        what = f"a run folder with {MESH}" if place.is_dir() else "a run folder or a mesh file"
        raise ValueError(f"start_from: expected {what}, got {place} without one; correct the path")
    return file


def load_source(path: str | Path) -> Source:
    """Reads what `start_from` names.

    Raises:
        ValueError: in one line, that there is no mesh, or none that can be read.
    """
    place, file = Path(path).expanduser(), source_file(path)
    try:
        arrays = read_mesh_file(file)
        digest = hashlib.sha256(read_regular(file, limit_bytes=MAX_BYTES, follow=True)).hexdigest()
    except (ValueError, OSError) as error:
        raise ValueError(f"start_from: {' '.join(str(error).split()).removeprefix('path: ')}") from error
    mesh = TriangleMesh(
        arrays.vertices, arrays.faces, arrays.vertex_normals, arrays.vertex_colors, arrays.uv, arrays.texture
    )
    placement = Placement.of(mesh)
    mesh = replace(mesh, vertices=placement.into_box(mesh.vertices))
    checkpoint = place / CHECKPOINT if place.is_dir() and (place / CHECKPOINT).is_file() else None
    name = place.resolve().name
    return Source(name, file, mesh, placement, digest, checkpoint, _record(file))


def same_place(mesh: TriangleMesh) -> tuple[np.ndarray, np.ndarray]:
    """Vertices at one place as one: the first of each place [P], and the place [V] of every vertex."""
    step = max(float(np.ptp(mesh.bounds, axis=0).max()) * 1e-7, 1e-300)
    cells = np.round((mesh.vertices - mesh.bounds[0]) / step).astype(np.int64)
    _, first, place = np.unique(cells, axis=0, return_index=True, return_inverse=True)
    return first, place.reshape(-1)


def _record(file: Path) -> dict[str, Any]:
    """The record that a mesh carries, or nothing: it may be anyone's mesh."""
    try:
        return read_record(file)[3]
    except ValueError:
        return {}
