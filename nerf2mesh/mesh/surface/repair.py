"""From raw marching cubes to one clean solid: pieces, hidden shells, pinched vertices.

The input is closed and edge-manifold (padded marching cubes makes it so) and every step keeps it that way.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Int

from nerf2mesh.mesh.triangle_mesh import TriangleMesh


def face_components(mesh: TriangleMesh) -> Int[np.ndarray, " f"]:
    """The number of the connected piece (through shared vertices) that each face belongs to."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    ends = np.concatenate([mesh.faces[:, :2], mesh.faces[:, 1:]])
    links = coo_matrix((np.ones(len(ends), bool), tuple(ends.T)), shape=(mesh.n_vertices,) * 2)
    _, label = connected_components(links, directed=False)
    return np.unique(label[mesh.faces[:, 0]], return_inverse=True)[1].reshape(-1)


def keep_largest(mesh: TriangleMesh, keep: int = 1, min_share: float = 0.01) -> tuple[TriangleMesh, dict[str, int]]:
    """Drops floaters and what cannot be seen: cavities (negative volume) and pieces inside another piece.

    keep: how many of the largest pieces stay; 0 keeps those with at least `min_share` of the largest one's volume.
    """
    label = face_components(mesh)
    volumes = _signed_volumes(mesh, label)
    solids = np.flatnonzero(volumes > 0.0)
    order = solids[np.argsort(-volumes[solids], kind="stable")]
    chosen: list[int] = []
    n_hidden = 0
    for piece in order:
        if (keep and len(chosen) == keep) or (chosen and not keep and volumes[piece] < min_share * volumes[order[0]]):
            break
        point = mesh.vertices[mesh.faces[label == piece][0]].mean(0)
        if any(_contains(mesh, label == other, point) for other in chosen):
            n_hidden += 1
            continue
        chosen.append(int(piece))
    counts = {"found": len(volumes), "cavities": int((volumes <= 0.0).sum()), "hidden": n_hidden, "kept": len(chosen)}
    if not chosen:
        raise ValueError(
            "mesh: expected a piece of positive volume, got none; lower mesh.threshold or raise mesh.resolution"
        )
    return mesh.select_faces(np.isin(label, chosen)), counts


def _signed_volumes(mesh: TriangleMesh, label: np.ndarray) -> np.ndarray:
    a, b, c = mesh.corners.transpose(1, 0, 2)
    return np.bincount(label, (a * np.cross(b, c)).sum(1) / 6.0)


def _contains(mesh: TriangleMesh, part: np.ndarray, point: np.ndarray) -> bool:
    """Whether the closed surface of some faces winds around the point: the solid angles sum to 4 pi (van Oosterom and
    Strackee 1983)."""
    a, b, c = (mesh.corners[part] - point).transpose(1, 0, 2)
    la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
    above = (a * np.cross(b, c)).sum(1)
    below = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
    return float(2.0 * np.arctan2(above, below).sum()) > 2.0 * np.pi


def split_pinches(mesh: TriangleMesh) -> tuple[TriangleMesh, int]:
    """Gives every fan of faces around a vertex its own copy, so that each vertex has one disk of faces; returns their
    number.

    On a mesh with an edge of four faces the two fans that meet there come apart too, where their winding allows it.
    """
    corner_fan, n_fans = vertex_fans(mesh)
    extra = n_fans - len(np.unique(mesh.faces))
    if not extra:
        return mesh, 0
    faces = corner_fan.reshape(-1, 3)
    source = np.zeros(n_fans, np.int64)
    source[corner_fan] = mesh.faces.reshape(-1)
    normals = None if mesh.vertex_normals is None else mesh.vertex_normals[source]
    colors = None if mesh.vertex_colors is None else mesh.vertex_colors[source]
    split = replace(mesh, vertices=mesh.vertices[source], faces=faces, vertex_normals=normals, vertex_colors=colors)
    return split, extra


def vertex_fans(mesh: TriangleMesh) -> tuple[Int[np.ndarray, " c"], int]:
    """Numbers the fans: corners [3F] that are linked around a vertex by edges of exactly two faces share a number."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n_corners = 3 * mesh.n_faces
    corner = np.arange(n_corners).reshape(-1, 3)
    start, end = corner.reshape(-1), corner[:, [1, 2, 0]].reshape(-1)
    tail, head = mesh.faces.reshape(-1), mesh.faces[:, [1, 2, 0]].reshape(-1)
    key = np.minimum(tail, head) * mesh.n_vertices + np.maximum(tail, head)
    order = np.argsort(key, kind="stable")
    _, first, count = np.unique(key[order], return_index=True, return_counts=True)
    one, two = order[first[count == 2]], order[first[count == 2] + 1]
    same = tail[one] == tail[two]  # neighbors that wind alike pass their edge in opposite directions
    pairs = np.concatenate(
        [
            np.stack([start[one], np.where(same, start[two], end[two])], axis=1),
            np.stack([end[one], np.where(same, end[two], start[two])], axis=1),
        ]
    )
    links = coo_matrix((np.ones(len(pairs), bool), tuple(pairs.T)), shape=(n_corners,) * 2)
    n_fans, label = connected_components(links, directed=False)
    return label.astype(np.int64), n_fans
