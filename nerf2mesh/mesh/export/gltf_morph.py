"""Animation of a glTF's mesh by morph targets: a target for each later frame, sparse where parts stay.

Letters
    The mesh is the first frame; target k holds the differences of frame k to it. At time t_k the weights are e_k, in
    between they are interpolated linearly, and so are the vertices: x(t) = x_0 + sum_k w_k(t) d_k.
    A target is written as the rows that are not zero with their numbers (sparse accessors, glTF 2.0 section 3.6.2.3)
    where that is smaller than all rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nerf2mesh.mesh.track import VertexTrack
from nerf2mesh.mesh.triangle_mesh import TriangleMesh

if TYPE_CHECKING:
    from nerf2mesh.mesh.export.gltf import Document

FLOAT, UINT16, UINT32 = 5126, 5123, 5125
STILL = 1e-6
"""Share of the mesh's size below which a vertex has not moved."""
SAME = 1e-3
"""Difference of a unit normal below which it has not turned."""


def add_morphs(document: Document, mesh: TriangleMesh, split: np.ndarray, track: VertexTrack) -> None:
    """Puts targets and their animation into a document whose first mesh and node show `mesh`, the first frame.

    split [N]: the vertex of the mesh behind each of the document's.

    Raises:
        ValueError: the track is of other vertices.
    """
    if track.positions.shape[1:] != mesh.vertices.shape:
        wanted, got = list(mesh.vertices.shape), list(track.positions.shape[1:])
        raise ValueError(f"frames: expected positions {wanted} of the same vertices, got {got}; check the animation")
    size, targets = float(np.ptp(mesh.bounds, axis=0).max()), []
    for frame in track.positions[1:]:
        moved = (frame - mesh.vertices)[split].astype(np.float32)
        turned = (TriangleMesh(frame, mesh.faces).normals - TriangleMesh(mesh.vertices, mesh.faces).normals)[split]
        targets.append(
            {
                "POSITION": add_sparse(document, moved, STILL * size, bounds=True),
                "NORMAL": add_sparse(document, turned.astype(np.float32), SAME),
            }
        )
    n = len(targets)
    weights = np.eye(n + 1, n, k=-1, dtype=np.float32)  # frame 0: all zero; frame k: target k - 1 alone
    tree = document.tree
    tree["meshes"][0]["primitives"][0]["targets"] = targets
    tree["meshes"][0]["weights"] = [0.0] * n
    sampler = {
        "input": document.add_array(np.array(track.times_s, np.float32), bounds=True, target=None),
        "output": document.add_array(weights.reshape(-1), target=None),
        "interpolation": "LINEAR",
    }
    channel = {"sampler": 0, "target": {"node": 0, "path": "weights"}}
    tree["animations"] = [{"name": "frames", "samplers": [sampler], "channels": [channel]}]


def add_sparse(document: Document, rows: np.ndarray, least: float, *, bounds: bool = False) -> int:
    """The index of a new accessor of rows [n, 3], of which those no longer than `least` count as zero."""
    some = np.flatnonzero(np.linalg.norm(rows, axis=1) > least)
    wide = len(rows) > 65535
    if len(some) * (16 if wide else 14) >= 12 * len(rows) or not len(some):
        return document.add_array(rows if len(some) else np.zeros_like(rows), bounds=bounds)
    accessor: dict[str, Any] = {"componentType": FLOAT, "count": len(rows), "type": "VEC3"}
    accessor["sparse"] = {
        "count": len(some),
        "indices": {
            "bufferView": document.add_bytes(some.astype("<u4" if wide else "<u2").tobytes()),
            "componentType": UINT32 if wide else UINT16,
        },
        "values": {"bufferView": document.add_bytes(np.ascontiguousarray(rows[some]).tobytes())},
    }
    if bounds:
        low, high = rows[some].min(0), rows[some].max(0)
        rest = len(some) < len(rows)
        accessor["min"] = (np.minimum(low, 0.0) if rest else low).tolist()
        accessor["max"] = (np.maximum(high, 0.0) if rest else high).tolist()
    document.tree["accessors"].append(accessor)
    return len(document.tree["accessors"]) - 1
