"""Meshes made by others, read from a folder that the user has: the real objects of protocol `core`.

They are not part of the package. `nerf2mesh-bench fetch FOLDER` downloads them (see `data_sources`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nerf2mesh.evaluate.protocols.canonical import canonical_frame
from nerf2mesh.mesh import TriangleMesh


@dataclass(frozen=True)
class ReferenceMesh:
    """A mesh file in the data folder, and the axes along which it stands and faces in that file.

    The first of `paths` that is there is read.
    """

    name: str
    paths: tuple[str, ...]
    front: str
    up: str = "y"


REFERENCE_MESHES = (
    ReferenceMesh("spot", ("spot/spot.obj",), front="-z"),
    ReferenceMesh("bob", ("bob/bob_tri.obj",), front="-x"),
    ReferenceMesh("avocado", ("avocado/Avocado.glb", "avocado/avocado.obj"), front="z"),
)


def reference_mesh(name: str) -> ReferenceMesh:
    """The mesh of that name. ValueError for an unknown one."""
    for spec in REFERENCE_MESHES:
        if spec.name == name:
            return spec
    known = ", ".join(spec.name for spec in REFERENCE_MESHES)
    raise ValueError(f"objects: expected one of {known}, got {name!r}; choose one of them")


def mesh_path(name: str, data_dir: Path | str | None) -> Path:
    """The file of a mesh. ValueError, which says how to get the files, where the folder does not have it."""
    spec = reference_mesh(name)
    found = [] if data_dir is None else [Path(data_dir) / path for path in spec.paths]
    for path in found:
        if path.is_file():
            return path
    files = " or ".join(spec.paths)
    raise ValueError(
        f"data_dir: expected a folder with {files}, got {data_dir or 'none'}; "
        "run nerf2mesh-bench fetch FOLDER, then set data_dir=FOLDER (procedural objects need no data)"
    )


def require_meshes(names: Iterable[str], data_dir: Path | str | None) -> None:
    """Checks that the files of all real objects among `names` are there, so that a long run does not stop at one."""
    for spec in REFERENCE_MESHES:
        if spec.name in set(names):
            mesh_path(spec.name, data_dir)


def load_mesh(name: str, data_dir: Path | str | None) -> TriangleMesh:
    """A mesh in the canonical frame: +Z up, its front along +X."""
    spec = reference_mesh(name)
    return canonical_frame(TriangleMesh.from_file(mesh_path(name, data_dir), up=spec.up, front=spec.front))
