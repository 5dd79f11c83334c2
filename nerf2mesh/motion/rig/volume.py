"""The inside of a mesh as voxels: what is solid, how deep it lies, and distances and paths that stay inside.

Letters
    Voxel (i, j, k) has its center at `origin` + `cell` (i, j, k), world units, axes x, y, z of the world (+Z up, front
    +X). `solid` holds the voxels inside; they are numbered 0 .. N - 1 in the order of `np.nonzero`. Two solid voxels
    that touch, if only in a corner, are joined by an edge of their distance; pieces that touch nowhere are joined by
    one edge at the place where they are nearest, so that every distance is finite.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from nerf2mesh.mesh import TriangleMesh

COARSE, FINEST, MOST_VOXELS = 40, 112, 36_000
PAD = 2
LEAST_PIECE = 4
"""Smaller pieces, in voxels, are left out: they are what a thin sheet leaves."""


@dataclass(frozen=True, eq=False)
class Solid:
    """The voxels inside a mesh; see the module for letters."""

    solid: Bool[np.ndarray, "i j k"]
    origin: Float[np.ndarray, "3"]
    cell: float

    @cached_property
    def index(self) -> Int[np.ndarray, "n 3"]:
        """Grid place of every solid voxel."""
        return np.argwhere(self.solid)

    @cached_property
    def number(self) -> Int[np.ndarray, "i j k"]:
        """Number of each solid voxel, -1 outside."""
        number = np.full(self.solid.shape, -1)
        number[self.solid] = np.arange(int(self.solid.sum()))
        return number

    @cached_property
    def centers(self) -> Float[np.ndarray, "n 3"]:
        """World positions of the solid voxels."""
        return self.origin + self.cell * self.index

    @cached_property
    def depth(self) -> Float[np.ndarray, " n"]:
        """Distance of each solid voxel's center from the outside, world units."""
        from scipy.ndimage import distance_transform_edt

        away = np.asarray(distance_transform_edt(self.solid))
        return (away[self.solid] - 0.5) * self.cell

    @cached_property
    def edges(self) -> tuple[Int[np.ndarray, "e 2"], Float[np.ndarray, " e"]]:
        """Pairs of joined voxels and their distances, world units."""
        found, lengths = [], []
        for offset in half_neighbors():
            here, there = shifted_views(self.number, offset)
            both = (here >= 0) & (there >= 0)
            found.append(np.stack([here[both], there[both]], axis=1))
            lengths.append(np.full(int(both.sum()), self.cell * float(np.linalg.norm(offset))))
        pairs, length = np.concatenate(found), np.concatenate(lengths)
        bridges = _bridges(self.centers, pairs)
        spans = np.linalg.norm(self.centers[bridges[:, 0]] - self.centers[bridges[:, 1]], axis=1)
        return np.concatenate([pairs, bridges]), np.concatenate([length, spans])

    @cached_property
    def graph(self) -> Any:
        """The symmetric sparse matrix [N, N] of edge lengths."""
        return self._matrix(self.edges[1])

    def _matrix(self, lengths: np.ndarray) -> Any:
        from scipy.sparse import coo_matrix

        (a, b), n = self.edges[0].T, len(self.index)
        both = (np.r_[a, b], np.r_[b, a])
        return coo_matrix((np.r_[lengths, lengths], both), shape=(n, n)).tocsr()

    def nearest(self, point: np.ndarray, among: np.ndarray | None = None) -> int:
        """The number of the solid voxel nearest to a world point; among: a mask [N] of those to choose from."""
        away = np.linalg.norm(self.centers - point, axis=1)
        return int(np.argmin(away if among is None else np.where(among, away, np.inf)))

    def inner(self, point: np.ndarray, margin: float = 0.5, within: np.ndarray | None = None) -> np.ndarray:
        """The point itself where its voxel is solid and not at the surface, else a near one that lies deeper.

        Minimizes distance - margin * depth over the voxels, so that a joint leaves the surface for the middle of the
        limb but no further. within: a mask [N] of the voxels to choose from.
        """
        score = np.linalg.norm(self.centers - point, axis=1) - margin * self.depth
        best = int(np.argmin(score if within is None else np.where(within, score, np.inf)))
        place = np.round((point - self.origin) / self.cell).astype(int)
        if (place >= 0).all() and (place < self.solid.shape).all():
            number = self.number[tuple(place)]
            deep = number >= 0 and self.depth[number] >= min(1.5 * self.cell, 0.6 * self.depth[best])
            if deep and (within is None or within[number]):
                return point
        return self.centers[best]

    def distances(self, sources: np.ndarray) -> Float[np.ndarray, " n"]:
        """Length of the shortest way inside from any of the voxels `sources` to each voxel, world units."""
        from scipy.sparse.csgraph import dijkstra

        return np.asarray(dijkstra(self.graph, directed=False, indices=sources, min_only=True))

    def middle_path(self, start: int, end: int) -> Int[np.ndarray, " p"]:
        """Voxels on the way from `start` to `end` that keeps to the middle: edges cost length / depth^1.5."""
        from scipy.sparse.csgraph import dijkstra

        shallow = 1.0 / np.maximum(self.depth[self.edges[0]].mean(1), 0.5 * self.cell) ** 1.5
        matrix = self._matrix(self.edges[1] * shallow)
        _, before = dijkstra(matrix, directed=False, indices=end, return_predecessors=True)
        path = [start]
        while path[-1] != end:
            path.append(int(before[path[-1]]))
        return np.array(path)


def solid_of(mesh: TriangleMesh, most_voxels: int = MOST_VOXELS) -> Solid:
    """The inside of a mesh at the finest grid, up to FINEST voxels a side, with about `most_voxels` solid ones.

    Outside is what a flood from the border reaches. Where the mesh is not closed, as under a skirt, what the surface
    hides from at least five of the six sides is inside too. Of the voxels that the surface passes through, those are
    solid whose center lies behind the nearest face.

    Raises:
        ValueError: nothing is enclosed.
    """
    closed = mesh.welded().is_watertight
    coarse = _voxels(mesh, COARSE, closed)
    count = max(int(coarse.solid.sum()), 1)
    n_side = int(np.clip(COARSE * (most_voxels / count) ** (1.0 / 3.0), COARSE, FINEST))
    solid = _voxels(mesh, n_side, closed)
    if not solid.solid.any():
        raise ValueError("mesh: expected a surface that encloses something, got none; close its holes first")
    return solid


def _voxels(mesh: TriangleMesh, n_side: int, closed: bool) -> Solid:
    from scipy.ndimage import generate_binary_structure, label
    from scipy.spatial import KDTree

    cell = float(np.ptp(mesh.bounds, axis=0).max()) / n_side
    origin = mesh.bounds[0] - PAD * cell
    points, normals = surface_points(mesh, 0.5 * cell)
    shape = tuple(np.ceil((mesh.bounds[1] - origin) / cell).astype(int) + PAD + 1)
    surface = np.zeros(shape, bool)
    surface[tuple(np.round((points - origin) / cell).astype(int).T)] = True
    regions = np.asarray(label(~surface)[0])  # type: ignore[index]
    solid = ~surface & (regions != regions[0, 0, 0])
    if not closed:
        solid |= ~surface & (_hidden_sides(surface) >= 5)
    place = np.argwhere(surface)
    center = origin + cell * place
    near = KDTree(points).query(center)[1]
    behind = ((center - points[near]) * normals[near]).sum(1) < 0.0
    solid[tuple(place[behind].T)] = True
    pieces, n = label(solid, generate_binary_structure(3, 3))  # type: ignore[misc]
    sizes = np.bincount(np.asarray(pieces).reshape(-1), minlength=n + 1)
    solid &= (sizes >= LEAST_PIECE)[np.asarray(pieces).astype(np.int64)]
    return Solid(solid, origin, cell)


def _hidden_sides(surface: np.ndarray) -> np.ndarray:
    """From how many of the six sides the surface hides each voxel."""
    hidden = np.zeros(surface.shape, np.int8)
    for axis in range(3):
        hidden += np.maximum.accumulate(surface, axis=axis)
        hidden += np.flip(np.maximum.accumulate(np.flip(surface, axis), axis=axis), axis)
    return hidden


def surface_points(mesh: TriangleMesh, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Points on the faces at most about `spacing` apart [n, 3], and the normals of their faces [n, 3]."""
    corners = mesh.corners
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(1)
    steps = np.maximum(np.ceil(longest / spacing), 1).astype(int)
    points, normals = [], []
    for n in np.unique(steps):
        faces = steps == n
        a, b = np.mgrid[: n + 1, : n + 1]
        grid = np.stack([a, b, n - a - b], axis=-1)[a + b <= n] / n
        points.append(np.einsum("gk,fkd->fgd", grid, corners[faces]).reshape(-1, 3))
        normals.append(np.repeat(mesh.face_normals[faces], len(grid), axis=0))
    return np.concatenate(points), np.concatenate(normals)


def half_neighbors() -> list[tuple[int, int, int]]:
    """13 of the 26 offsets to a voxel's neighbors: one of each opposite pair."""
    around = [(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]
    return [offset for offset in around if offset > (0, 0, 0)]


def shifted_views(volume: np.ndarray, offset: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Two views of a volume, of the voxels and of those `offset` away, where both exist."""
    here = tuple(slice(max(0, -step), size - max(0, step)) for step, size in zip(offset, volume.shape))
    there = tuple(slice(max(0, step), size - max(0, -step)) for step, size in zip(offset, volume.shape))
    return volume[here], volume[there]


def _bridges(centers: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Pairs [b, 2] that join the pieces, each to what is joined already, beginning with the largest."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import KDTree

    n = len(centers)
    joined = coo_matrix((np.ones(len(pairs), np.int8), tuple(pairs.T)), shape=(n, n))
    n_pieces, piece = connected_components(joined, directed=False)
    order = np.argsort(-np.bincount(piece, minlength=n_pieces))
    done, found = np.flatnonzero(piece == order[0]), []
    for k in order[1:]:
        own = np.flatnonzero(piece == k)
        away, near = (np.asarray(part) for part in KDTree(centers[done]).query(centers[own]))
        best = int(np.argmin(away))
        found.append((own[best], done[near[best]]))
        done = np.concatenate([done, own])
    return np.array(found, dtype=np.int64).reshape(-1, 2)
