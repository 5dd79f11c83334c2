"""A mesh as an elastic body: as rigid as possible, along its surface and through its inside.

Letters
    X_i: places at rest, x_i: moved. E = 1/2 sum_ij w_ij |(x_i - x_j) - 1/2 (R_i + R_j) (X_i - X_j)|^2 over links ij;
    R_i the rotation nearest to sum_j w_ij (x_i - x_j) (X_i - X_j)^T (Sorkine and Alexa 2007, "As-rigid-as-possible
    surface modeling"), this sum being averaged over neighbors first, so that the body bends over a wider stretch
    (Levi and Gotsman 2015, "Smooth rotation enhanced as-rigid-as-possible mesh animation"). For fixed R the least x
    solve L x = b. Links are the edges, and one from each vertex to the skin on the other side: those hold the thickness
    and carry what the camera sees to what it does not see.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix, diags, identity
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import SuperLU, splu
from scipy.spatial import KDTree

from nerf2mesh.mesh import TriangleMesh

THROUGH = 0.6
"""Weight of a link through the inside; an edge has 1."""
STRAIGHT = 0.6
"""Cosine between a link through the inside and the inward normal."""
BRIDGE = 0.05
"""Weight of the links that hold a loose piece to the rest."""
NEIGHBORS = 48


@dataclass(frozen=True, eq=False)
class Body:
    """rest [n, 3], faces [m, 3], links [e, 2] (each once) with their weights [e]."""

    rest: np.ndarray
    faces: np.ndarray
    links: np.ndarray
    weights: np.ndarray
    laplacian: csr_matrix
    """L [n, n]."""
    spread: csr_matrix
    """Averages over a vertex and its neighbors, [n, n]."""
    known: dict[tuple[float, float], SuperLU] = field(default_factory=dict)
    """See `factored`."""

    @staticmethod
    def of(mesh: TriangleMesh) -> Body:
        """The body of a mesh whose vertices are each at a place of their own."""
        edges = np.unique(np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
        edges = edges[edges[:, 0] != edges[:, 1]]
        through = _through(mesh)
        bridges = _bridges(mesh.vertices, np.concatenate([edges, through]))
        links = np.concatenate([edges, through, bridges])
        kinds = (len(edges), 1.0), (len(through), THROUGH), (len(bridges), BRIDGE)
        weights = np.concatenate([np.full(count, weight) for count, weight in kinds])
        n = mesh.n_vertices
        both = np.concatenate([links, links[:, ::-1]])
        near = coo_matrix((np.tile(weights, 2), (both[:, 0], both[:, 1])), shape=(n, n)).tocsr()
        degree = np.asarray(near.sum(1)).reshape(-1)
        spread = diags(1.0 / (1.0 + degree)) @ (near + diags(np.ones(n)))
        return Body(mesh.vertices, mesh.faces, links, weights, csr_matrix(diags(degree) - near), csr_matrix(spread))

    def rotations(self, moved: np.ndarray, averaged: int = 2) -> np.ndarray:
        """R [n, 3, 3]; averaged: how many times over the neighbors."""
        i, j = self.links.T
        outer = self.weights[:, None, None] * np.einsum("ea,eb->eab", moved[i] - moved[j], self.rest[i] - self.rest[j])
        total = self._summed(outer.reshape(-1, 9), outer.reshape(-1, 9))
        for _ in range(averaged):
            total = self.spread @ total
        return nearest_rotations(total.reshape(-1, 3, 3))

    def factored(self, stiffness: float, held: float) -> SuperLU:
        """The factors of stiffness L + held 1, kept: of the axis along which no frame says anything."""
        key = (stiffness, held)
        if key not in self.known:
            matrix = stiffness * self.laplacian + held * identity(len(self.rest))
            self.known[key] = splu(matrix.tocsc())
        return self.known[key]

    def pull(self, turned: np.ndarray) -> np.ndarray:
        """b [n, 3]: the right side for rotations [n, 3, 3]."""
        i, j = self.links.T
        edge = self.rest[i] - self.rest[j]
        one = 0.5 * self.weights[:, None] * np.einsum("eab,eb->ea", turned[i] + turned[j], edge)
        return self._summed(one, -one)

    def energy(self, moved: np.ndarray) -> float:
        """E with the best rotations, not averaged, for the mean link: 0 for a rigid motion."""
        turned = self.rotations(moved, 0)
        i, j = self.links.T
        wanted = 0.5 * np.einsum("eab,eb->ea", turned[i] + turned[j], self.rest[i] - self.rest[j])
        return float((self.weights * ((moved[i] - moved[j] - wanted) ** 2).sum(1)).sum() / (2 * len(self.links)))

    def _summed(self, to_first: np.ndarray, to_second: np.ndarray) -> np.ndarray:
        """Sums over the links at each vertex, [n, k]."""
        i, j = self.links.T
        n = len(self.rest)
        columns = range(to_first.shape[1])
        return np.stack(
            [np.bincount(i, to_first[:, k], n) + np.bincount(j, to_second[:, k], n) for k in columns], axis=1
        )


def nearest_rotations(matrices: np.ndarray) -> np.ndarray:
    """[n, 3, 3]: the rotations with the largest trace of R^T M (Kabsch 1976)."""
    u, _, v = np.linalg.svd(matrices)
    flip = np.sign(np.linalg.det(u @ v))
    u[..., 2] *= np.where(flip < 0, -1.0, 1.0)[:, None]
    return u @ v


def _through(mesh: TriangleMesh) -> np.ndarray:
    """Links to the nearest vertex that lies inward and looks the other way [k, 2]."""
    at, normals = mesh.vertices, mesh.normals
    step = float(np.linalg.norm(np.ptp(at, axis=0))) / 60.0
    found: dict[int, int] = {}
    tree = KDTree(at)
    for reach in (2.0, 5.0, 10.0, 16.0, 24.0, 34.0):
        open_ones = np.array([k for k in range(len(at)) if k not in found], int)
        if not len(open_ones):
            break
        probe = at[open_ones] - reach * step * normals[open_ones]
        near = np.asarray(tree.query(probe, min(NEIGHBORS, len(at)))[1]).reshape(len(open_ones), -1)
        way = at[near] - at[open_ones][:, None]
        length = np.linalg.norm(way, axis=2)
        inward = -(way * normals[open_ones][:, None]).sum(2) / np.maximum(length, 1e-12)
        facing = (normals[near] * normals[open_ones][:, None]).sum(2)
        length = np.where((inward > STRAIGHT) & (facing < -0.3), length, np.inf)
        best = length.argmin(1)
        rows = np.arange(len(open_ones))
        good = np.isfinite(length[rows, best])
        found |= dict(zip(open_ones[good].tolist(), near[rows, best][good].tolist()))
    pairs = np.array(sorted({(min(pair), max(pair)) for pair in found.items()}), int)
    return pairs.reshape(-1, 2)


def _bridges(at: np.ndarray, links: np.ndarray) -> np.ndarray:
    """Three links from every loose piece to the nearest vertices of the largest one [k, 2]."""
    n = len(at)
    graph = coo_matrix((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(n, n))
    count, piece = connected_components(graph, directed=False)
    largest = int(np.bincount(piece).argmax())
    core = np.flatnonzero(piece == largest)
    tree, found = KDTree(at[core]), []
    for k in range(count):
        own = np.flatnonzero(piece == k)
        if k != largest and len(own):
            far, near = (np.asarray(part) for part in tree.query(at[own]))
            first = np.argsort(far, kind="stable")[:3]
            found += [(int(own[i]), int(core[near[i]])) for i in first]
    return np.array(found, int).reshape(-1, 2)
