"""A mesh that bends, and a reader of morph targets that owes nothing to the writer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.shapes import torus
from nerf2mesh.mesh.track import VertexTrack

TIMES = (0.0, 0.1, 0.25, 0.5)


def bending() -> tuple[TriangleMesh, VertexTrack]:
    """A painted torus of which the half with x > 0 bends upward."""
    ring = torus(n_around=32, n_tube=16)
    y, x = np.mgrid[:64, :64]
    texture = np.stack([4 * x, 4 * y, 128 + 0 * x], axis=-1).astype(np.uint8)
    mesh = TriangleMesh(ring.vertices, ring.faces, ring.vertex_normals, uv=ring.uv, texture=texture)
    right = np.maximum(mesh.vertices[:, 0], 0.0)
    lift = np.stack([0.0 * right, 0.0 * right, right**2], axis=1)
    return mesh, VertexTrack(TIMES, np.stack([mesh.vertices + t * lift for t in TIMES]).astype(np.float32))


class Read:
    """A GLB as the glTF 2.0 specification says it is to be read, sparse accessors included."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        size = int.from_bytes(data[12:16], "little")
        self.tree = json.loads(data[20 : 20 + size])
        self.binary = data[28 + size :]

    def view(self, index: int, kind: str, count: int) -> np.ndarray:
        return np.frombuffer(self.binary, kind, count, self.tree["bufferViews"][index]["byteOffset"])

    def rows(self, index: int) -> np.ndarray:
        accessor = self.tree["accessors"][index]
        width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        count = accessor["count"]
        rows = np.zeros((count, width))
        if "bufferView" in accessor:
            kind = {5126: "<f4", 5123: "<u2", 5125: "<u4"}[accessor["componentType"]]
            rows = self.view(accessor["bufferView"], kind, count * width).reshape(count, width).astype(float)
        if sparse := accessor.get("sparse"):
            kind = {5123: "<u2", 5125: "<u4"}[sparse["indices"]["componentType"]]
            at = self.view(sparse["indices"]["bufferView"], kind, sparse["count"])
            rows[at] = self.view(sparse["values"]["bufferView"], "<f4", sparse["count"] * width).reshape(-1, width)
        return rows

    def positions(self, t: float) -> np.ndarray:
        """The vertices of the file at time t."""
        primitive = self.tree["meshes"][0]["primitives"][0]
        sampler = self.tree["animations"][0]["samplers"][0]
        times, weights = self.rows(sampler["input"])[:, 0], self.rows(sampler["output"])[:, 0]
        weights = weights.reshape(len(times), -1)
        now = [np.interp(t, times, column) for column in weights.T]
        targets = [self.rows(target["POSITION"]) for target in primitive["targets"]]
        return self.rows(primitive["attributes"]["POSITION"]) + sum(w * d for w, d in zip(now, targets))
