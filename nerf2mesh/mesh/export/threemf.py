"""Writes 3MF, the format of printers, by trimesh: positions and triangles alone, in millimetres."""

from __future__ import annotations

from importlib.util import find_spec
from typing import BinaryIO

from nerf2mesh.mesh.triangle_mesh import TriangleMesh

PACKAGES = ("lxml", "networkx")
"""What trimesh needs for 3MF beside itself."""


def write_3mf(mesh: TriangleMesh, stream: BinaryIO) -> None:
    """Writes a mesh whose axes are already +Y up, +Z front; a unit of its positions is a millimetre.

    Raises ValueError where a package is missing.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ValueError(
            f"path: expected the package {missing[0]} for .3mf, got none; "
            "pip install 'nerf2mesh[print]', or save as .stl"
        )
    import trimesh

    plain = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    data = plain.export(file_type="3mf")
    assert isinstance(data, bytes)
    stream.write(data)
