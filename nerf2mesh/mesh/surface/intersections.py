"""Finds faces of a mesh that pass through each other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int

from nerf2mesh.mesh.triangle_mesh import TriangleMesh

CHUNK_PAIRS = 1 << 18


def count_self_intersections(mesh: TriangleMesh) -> int:
    """Number of pairs of faces that cross: see `crossing_faces`."""
    return len(crossing_faces(mesh))


def crossing_faces(mesh: TriangleMesh) -> Int[np.ndarray, "n 2"]:
    """Pairs of faces of which an edge of one pierces the inside of the other.

    Edges that share a vertex with the other face do not count, nor does mere touching; two faces in general position
    that cross always have such an edge.
    """
    found = [np.zeros((0, 2), np.int64)]
    for pairs in _candidates(mesh):
        crossing = np.zeros(len(pairs), bool)
        for one, two in ((pairs[:, 0], pairs[:, 1]), (pairs[:, 1], pairs[:, 0])):
            for k in range(3):
                edge = mesh.faces[one][:, [k, (k + 1) % 3]]
                other = mesh.faces[two]
                apart = (edge[:, :, None] != other[:, None]).all((1, 2))
                crossing[apart] |= _pierces(mesh.vertices[edge[apart]], mesh.vertices[other[apart]])
        found.append(pairs[crossing])
    return np.concatenate(found)


def _pierces(segment: np.ndarray, triangle: np.ndarray) -> np.ndarray:
    """Whether segments [n, 2, 3] pass through the inside of triangles [n, 3, 3], by signs of tetrahedra's volumes."""
    p, q = segment[:, 0], segment[:, 1]
    a, b, c = triangle.transpose(1, 0, 2)

    def volume(u: np.ndarray, v: np.ndarray, w: np.ndarray, x: np.ndarray) -> np.ndarray:
        return ((v - u) * np.cross(w - u, x - u)).sum(1)

    sides = volume(p, a, b, c) * volume(q, a, b, c) < 0.0
    turns = np.sign([volume(p, q, a, b), volume(p, q, b, c), volume(p, q, c, a)])
    return sides & (turns[0] != 0) & (turns[0] == turns[1]) & (turns[1] == turns[2])


def _candidates(mesh: TriangleMesh) -> Iterator[Int[np.ndarray, "n 2"]]:
    """Pairs of faces whose boxes overlap, each once, in pieces."""
    low, high = mesh.corners.min(1), mesh.corners.max(1)
    cell = max(2.0 * float(np.median((high - low).max(1))), 1e-12)
    first = np.floor((low - mesh.bounds[0]) / cell).astype(np.int64)
    last = np.floor((high - mesh.bounds[0]) / cell).astype(np.int64)
    face, key = _cells_of_boxes(first, last)
    order = np.argsort(key, kind="stable")
    face, key = face[order], key[order]
    _, start, count = np.unique(key, return_index=True, return_counts=True)
    # Entry i of a cell pairs with every later entry of the same cell.
    later = np.repeat(start + count, count) - np.arange(len(face)) - 1
    begin = 0
    while begin < len(face):
        end = begin + max(1, int(np.searchsorted(np.cumsum(later[begin:]), CHUNK_PAIRS)))
        n = later[begin:end]
        i = np.repeat(np.arange(begin, min(end, len(face))), n)
        j = i + 1 + np.arange(len(i)) - np.repeat(np.cumsum(n) - n, n)
        one, two = np.minimum(face[i], face[j]), np.maximum(face[i], face[j])
        overlap = ((low[one] <= high[two]) & (low[two] <= high[one])).all(1)
        # Two boxes may share several cells: the pair belongs to the cell of the lower corner of their common box.
        corner = np.floor((np.maximum(low[one], low[two]) - mesh.bounds[0]) / cell).astype(np.int64)
        keep = overlap & (_key(corner) == key[i])
        yield np.stack([one[keep], two[keep]], axis=1)
        begin = end


def _cells_of_boxes(first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every cell that each box touches: the box's number and the cell's key."""
    extent = last - first + 1
    count = extent.prod(1)
    box = np.repeat(np.arange(len(first)), count)
    local = np.arange(len(box)) - np.repeat(np.cumsum(count) - count, count)
    _, ny, nz = extent[box].T
    offset = np.stack([local // (ny * nz), local // nz % ny, local % nz], axis=1)
    return box, _key(first[box] + offset)


def _key(cell: np.ndarray) -> np.ndarray:
    return (cell[:, 0] << 42) + (cell[:, 1] << 21) + cell[:, 2]
