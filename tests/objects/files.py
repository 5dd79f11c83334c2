"""Folders of meshes for tests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from nerf2mesh.mesh import TriangleMesh, save_mesh
from nerf2mesh.mesh.shapes import icosphere


def two_colored_ball(subdivisions: int = 4) -> TriangleMesh:
    """Red where x > 0, blue elsewhere."""
    ball = icosphere(subdivisions, 1.0)
    colors = np.where(ball.vertices[:, :1] > 0, [[1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]])
    return TriangleMesh(ball.vertices, ball.faces, ball.vertices, colors.astype(np.float32))


def pack(path: Path, mesh: TriangleMesh) -> None:
    """Writes a mesh inside the unit ball as the packed format has it."""
    colors = mesh.vertex_colors if mesh.vertex_colors is not None else np.full((mesh.n_vertices, 3), 0.8)
    np.savez(
        path,
        v=np.round(mesh.vertices * 32767).astype(np.int16),
        n=np.round(mesh.normals * 127).astype(np.int8),
        c=np.round(colors * 255).astype(np.uint8),
        f=mesh.faces.astype(np.uint16),
    )


def mixed_folder(folder: Path) -> Path:
    """Four good files of different formats, two broken ones and one that is no mesh; no manifest."""
    folder.mkdir(parents=True)
    ball = two_colored_ball(2)
    for name in ("a.glb", "below/b.obj", "c.ply"):
        (folder / name).parent.mkdir(exist_ok=True)
        save_mesh(ball, folder / name)
    pack(folder / "d.npz", ball)
    (folder / "torn.glb").write_bytes((folder / "a.glb").read_bytes()[:200])
    np.savez(folder / "other.npz", x=np.zeros(3))
    (folder / "notes.txt").write_text("no mesh")
    return folder


def write_manifest(folder: Path, entries: list[dict]) -> None:
    (folder / "manifest.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def one_tetrahedron(folder: Path) -> Path:
    """A folder with one object to train on, and its manifest."""
    folder.mkdir()
    corners = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\n"
    (folder / "a.obj").write_text(corners + "f 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n", encoding="utf-8")
    line = {"file": "a.obj", "split": "train", "licence": "CC0-1.0", "source": "drawn", "credit": "nobody"}
    write_manifest(folder, [line])
    return folder
