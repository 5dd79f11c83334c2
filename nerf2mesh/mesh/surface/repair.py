"""From raw marching cubes to one clean solid: pieces, hidden shells, pinched vertices.

The input is closed and edge-manifold (padded marching cubes makes it so) and every step keeps it that way.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int

from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.render.rasterizer import rasterize_mesh
from nerf2mesh.types import Camera

SHARE_VIEWS, SHARE_PX = 12, 192
"""Pictures, and the side of each in pixels, by which pieces are compared."""


def face_components(mesh: TriangleMesh) -> Int[np.ndarray, " f"]:
    """The number of the connected piece (through shared vertices) that each face belongs to."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    ends = np.concatenate([mesh.faces[:, :2], mesh.faces[:, 1:]])
    links = coo_matrix((np.ones(len(ends), bool), tuple(ends.T)), shape=(mesh.n_vertices,) * 2)
    _, label = connected_components(links, directed=False)
    return np.unique(label[mesh.faces[:, 0]], return_inverse=True)[1].reshape(-1)


def keep_largest(mesh: TriangleMesh, keep: int = 1, min_share: float = 0.03) -> tuple[TriangleMesh, dict[str, float]]:
    """Drops floaters and what cannot be seen: cavities (negative volume) and pieces inside another piece.

    A piece counts by its share of the mesh's silhouettes, in which a thin rim weighs more than by volume.
    keep: how many of the largest pieces stay; 0 keeps those with at least `min_share` of the silhouettes, and the
    largest in any case.
    """
    label = face_components(mesh)
    volumes = _signed_volumes(mesh, label)
    solids = np.flatnonzero(volumes > 0.0)
    if not len(solids):
        raise ValueError(
            "mesh: expected a piece of positive volume, got none; lower mesh.threshold or raise mesh.resolution"
        )
    shares = silhouette_shares(mesh, label)[solids] if len(solids) > 1 else np.ones(1)
    order = np.argsort(-shares, kind="stable")
    order = order[shares[order] > 0.0]
    order = order[:keep] if keep else order[: max(1, int((shares >= min_share).sum()))]
    chosen = solids[order]
    counts = {
        "found": len(volumes),
        "cavities": len(volumes) - len(solids),
        "hidden": int((shares <= 0.0).sum()),
        "kept": len(chosen),
        "dropped_share": round(float(1.0 - shares[order].sum() / shares.sum()), 4),
    }
    return mesh.select_faces(np.isin(label, chosen)), counts


def silhouette_shares(mesh: TriangleMesh, label: Int[np.ndarray, " f"]) -> Float[np.ndarray, " p"]:
    """The share of each piece [max(label) + 1] in the mesh's silhouettes all around: pixels in which it is nearest."""
    low, high = mesh.corners.reshape(-1, 3).min(0), mesh.corners.reshape(-1, 3).max(0)
    radius = max(0.5 * float(np.linalg.norm(high - low)), 1e-12)
    inside = replace(mesh, vertices=(mesh.vertices - 0.5 * (low + high)) / radius)
    n = SHARE_VIEWS
    elevation = torch.tensor([0.0, 35.0, -35.0, 75.0]).repeat(n // 4)
    cameras = Camera.orbit(torch.arange(n) * (360.0 / n), elevation, width_px=SHARE_PX, orthographic=True)
    nearest = rasterize_mesh(inside, cameras, smooth=False).extra["face"].numpy().reshape(-1)
    pixels = np.bincount(label[nearest[nearest >= 0]], minlength=int(label.max()) + 1).astype(np.float64)
    if not pixels.any():  # all of it is thinner than a pixel
        pixels = np.maximum(_signed_volumes(mesh, label), 0.0)
    return pixels / pixels.sum()


def _signed_volumes(mesh: TriangleMesh, label: np.ndarray) -> np.ndarray:
    a, b, c = mesh.corners.transpose(1, 0, 2)
    return np.bincount(label, (a * np.cross(b, c)).sum(1) / 6.0)


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
