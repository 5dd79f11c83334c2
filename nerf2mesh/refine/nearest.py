"""Nearest points of a mesh: those of the triangles around the nearest of many samples, exact on each triangle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import KDTree

from nerf2mesh.evaluate.metrics.surface import Surface, closest_on_triangle
from nerf2mesh.mesh import TriangleMesh

SAMPLES = 60_000
AROUND = 4


@dataclass(frozen=True)
class Found:
    """For each query: the triangle [N], barycentric weights [N, 3], the point [N, 3] and its distance [N]."""

    face: np.ndarray
    weights: np.ndarray
    point: np.ndarray
    distance: np.ndarray


class NearestPoints:
    """The triangles around a query are those of its nearest samples, which lie closer together than the mesh's detail;
    corners of triangles are samples too, so that small ones are found."""

    def __init__(self, mesh: TriangleMesh, samples: int = SAMPLES) -> None:
        self.mesh = mesh
        self._corners = torch.from_numpy(mesh.corners)
        points, face = Surface.of(mesh).sample(samples)
        middle = mesh.corners.mean(1)
        self.samples = points.numpy()
        self._tree = KDTree(np.concatenate([points.numpy(), middle]))
        self._face = np.concatenate([face.numpy(), np.arange(mesh.n_faces)])

    def __call__(self, points: np.ndarray) -> Found:
        """Of points [N, 3]."""
        faces = self._face[self._tree.query(points, k=AROUND)[1]]
        queries = torch.from_numpy(np.ascontiguousarray(points, np.float64))
        best = np.full(len(points), np.inf)
        face, nearest = faces[:, 0].copy(), np.zeros((len(points), 3))
        for k in range(AROUND):
            candidate = closest_on_triangle(queries, self._corners[faces[:, k]])
            squared = (candidate - queries).square().sum(-1).numpy()
            better = squared < best
            best[better], face[better], nearest[better] = squared[better], faces[better, k], candidate.numpy()[better]
        return Found(face, barycentric(nearest, self.mesh.corners[face]), nearest, np.sqrt(best))

    def sample_distance(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The distance [N] to the nearest sample and its triangle [N]: quick, and as exact as the samples are dense."""
        distance, index = self._tree.query(points)
        return distance, self._face[index]


def barycentric(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Weights [N, 3] of points in triangles [N, 3, 3]; a third each where a triangle has no area."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    p = points - corners[:, 0]
    aa, ab, bb, pa, pb = (a * a).sum(1), (a * b).sum(1), (b * b).sum(1), (p * a).sum(1), (p * b).sum(1)
    area = aa * bb - ab * ab
    flat = area <= 1e-30
    area = np.where(flat, 1.0, area)
    v, w = (bb * pa - ab * pb) / area, (aa * pb - ab * pa) / area
    weights = np.clip(np.stack([1.0 - v - w, v, w], axis=1), 0.0, 1.0)
    weights /= np.maximum(weights.sum(1, keepdims=True), 1e-12)
    return np.where(flat[:, None], 1.0 / 3.0, weights)


def surface_colors(mesh: TriangleMesh, face: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """sRGB [N, 3] of a mesh at places of its triangles: bilinear in its texture, else of its vertices, else grey."""
    if mesh.texture is not None and mesh.uv is not None:
        from nerf2mesh.mesh.texture.texture_fit import bilinear_taps

        height, width = mesh.texture.shape[:2]
        uv = (mesh.uv[face] * weights[..., None]).sum(1)
        texel, share = bilinear_taps(uv, height, width)
        colors = mesh.texture[..., :3].reshape(-1, 3)[texel] / 255.0
        return (colors * share[..., None]).sum(1)
    if mesh.vertex_colors is not None:
        return (mesh.vertex_colors[mesh.faces[face]] * weights[..., None]).sum(1)
    return np.full((len(face), 3), 0.8)
