"""Finer triangles in a region, so that a coarse mesh can take a new shape there; its rim and all else stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.refine.source import same_place

MOST_ROUNDS = 8
MOST_FACES = 60_000
_PARTS = {
    0: ((0, 1, 2),),
    1: ((0, 3, 2), (3, 1, 2)),
    2: ((0, 1, 4), (0, 4, 2)),
    4: ((0, 1, 5), (5, 1, 2)),
    3: ((3, 1, 4), (0, 3, 4), (0, 4, 2)),
    6: ((4, 2, 5), (0, 1, 4), (0, 4, 5)),
    5: ((0, 3, 5), (3, 1, 2), (3, 2, 5)),
    7: ((0, 3, 5), (3, 1, 4), (5, 4, 2), (3, 4, 5)),
}
"""Triangles by which edges are split: 1 for that between corners 0 and 1, 2 for 1 and 2, 4 for 2 and 0. Their middles
are 3, 4 and 5."""


def subdivided(mesh: TriangleMesh, faces: np.ndarray, longest: float) -> tuple[TriangleMesh, np.ndarray]:
    """The mesh with the edges between two of `faces` (bool [F]) halved until none is longer than `longest`, and which
    faces come from those.

    Edges at which another face lies are never split: the old vertices keep their numbers, faces outside theirs and
    their order among themselves, and no crack opens. Texture coordinates lie on the old charts.
    """
    for _ in range(MOST_ROUNDS):
        split = _to_split(mesh, faces, longest)
        if not split.any() or mesh.n_faces > MOST_FACES:
            break
        mesh, faces = _halved(mesh, faces, split)
    return mesh, faces


def _to_split(mesh: TriangleMesh, faces: np.ndarray, longest: float) -> np.ndarray:
    """bool [F, 3]: which edges (0-1, 1-2, 2-0) are halved; both sides of an edge agree, across seams too."""
    _, place = same_place(mesh)
    ends = place[mesh.faces][:, [[0, 1], [1, 2], [2, 0]]]
    ends.sort(axis=-1)
    _, edge = np.unique(ends.reshape(-1, 2), axis=0, return_inverse=True)
    edge = edge.reshape(-1, 3)
    free = np.bincount(edge.reshape(-1), np.repeat(~faces, 3).astype(float)) == 0
    length = np.linalg.norm(mesh.corners - np.roll(mesh.corners, -1, axis=1), axis=-1)
    long = np.bincount(edge.reshape(-1), (length > longest).reshape(-1).astype(float)) > 0
    return (free & long)[edge] & faces[:, None]


def _halved(mesh: TriangleMesh, faces: np.ndarray, split: np.ndarray) -> tuple[TriangleMesh, np.ndarray]:
    ends = np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]], axis=-1)
    pairs, number = np.unique(ends[split], axis=0, return_inverse=True)
    middle = np.zeros(split.shape, np.int64)
    middle[split] = mesh.n_vertices + number.reshape(-1)
    nodes = np.concatenate([mesh.faces, middle], axis=1)
    uv = None
    if mesh.uv is not None:
        uv = np.concatenate([mesh.uv, 0.5 * (mesh.uv + np.roll(mesh.uv, -1, axis=1))], axis=1)
    pattern = (split * np.array([1, 2, 4])).sum(1)
    rows, corners, parent = [], [], []
    for key, parts in _PARTS.items():
        which = np.flatnonzero(pattern == key)
        for part in parts:
            rows.append(nodes[which][:, part])
            parent.append(which)
            if uv is not None:
                corners.append(uv[which][:, part])
    order = np.argsort(np.concatenate(parent), kind="stable")
    return replace(
        mesh,
        vertices=np.concatenate([mesh.vertices, mesh.vertices[pairs].mean(1)]),
        faces=np.concatenate(rows)[order],
        vertex_normals=_with_middles(mesh.vertex_normals, pairs, normalize=True),
        vertex_colors=_with_middles(mesh.vertex_colors, pairs),
        uv=None if uv is None else np.concatenate(corners)[order],
    ), faces[np.concatenate(parent)[order]]


def _with_middles(values: np.ndarray | None, pairs: np.ndarray, *, normalize: bool = False) -> np.ndarray | None:
    if values is None:
        return None
    middle = values[pairs].mean(1)
    if normalize:
        middle = middle / np.maximum(np.linalg.norm(middle, axis=1, keepdims=True), 1e-12)
    return np.concatenate([values, middle])
