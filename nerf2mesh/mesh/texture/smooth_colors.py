"""Smooths a mesh's colors below the scale that the prior can see.

On the sides that no picture shows, a field is steered by a prior that sees views of a few dozen pixels. Detail within
such a pixel is noise of the optimization that no view could correct.

Letters: c0 [V, 3] the colors at the vertices (of a texture: means over the texels around each); M the lumped areas, L
the cotangent Laplacian. One implicit step of heat flow (Desbrun et al. 1999) over the time r^2 / 2,
    (M + r^2 / 2 L) c = M c0,
blurs like a Gaussian of standard deviation r along the surface and keeps the mean color. Texels then read c linearly
within their face.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nerf2mesh.mesh.texture.bake import texel_points, with_texels
from nerf2mesh.mesh.triangle_mesh import TriangleMesh

MAX_COTANGENT = 10.0


def smooth_colors(mesh: TriangleMesh, radius: float) -> TriangleMesh:
    """The mesh with its texture, or else its vertex colors, blurred by `radius` world units.

    A texture stays as it is where the radius is less than half of the mean edge: vertices could not carry the colors.
    """
    edges, _ = mesh.edges
    length = np.linalg.norm(mesh.vertices[edges[:, 0]] - mesh.vertices[edges[:, 1]], axis=1).mean()
    if mesh.texture is None or mesh.uv is None:
        if mesh.vertex_colors is None:
            return mesh
        blurred = heat_step(mesh, mesh.vertex_colors, radius)
        return replace(mesh, vertex_colors=np.clip(blurred, 0.0, 1.0).astype(mesh.vertex_colors.dtype))
    if radius < 0.5 * length:
        return mesh
    where = texel_points(mesh, mesh.texture.shape[0])
    corner, before = mesh.faces[where.face], mesh.texture[where.covered][:, :3] / 255.0
    blurred = heat_step(mesh, _vertex_means(before, corner, where.weights, mesh.n_vertices), radius)
    return with_texels(mesh, where, (blurred[corner] * where.weights[..., None]).sum(1))


def _vertex_means(values: np.ndarray, corner: np.ndarray, weights: np.ndarray, n: int) -> np.ndarray:
    """Means [n, c] at the vertices of values [N, c] that lie in faces with vertices `corner` [N, 3]."""
    index, share = corner.reshape(-1), weights.reshape(-1)
    total = np.bincount(index, share, minlength=n)
    columns = [np.bincount(index, share * np.repeat(column, 3), minlength=n) for column in values.T]
    mean = np.stack(columns, axis=1) / np.maximum(total, 1e-12)[:, None]
    mean[total == 0] = values.mean(0)
    return mean


def heat_step(mesh: TriangleMesh, values: np.ndarray, radius: float) -> np.ndarray:
    """Values [V, c] at the vertices after the module's formula."""
    from scipy.sparse import coo_matrix, diags
    from scipy.sparse.linalg import splu

    corners, n, ends, shares = mesh.corners, mesh.n_vertices, [], []
    for k in range(3):
        one, two = (corners[:, (k + j) % 3] - corners[:, k] for j in (1, 2))
        cotangent = (one * two).sum(1) / np.maximum(2.0 * mesh.face_areas, 1e-12)
        ends.append(mesh.faces[:, [(k + 1) % 3, (k + 2) % 3]])
        shares.append(0.5 * np.clip(cotangent, 0.0, MAX_COTANGENT))
    ends, shares = np.concatenate(ends), np.concatenate(shares)
    links = coo_matrix((shares, (ends[:, 0], ends[:, 1])), shape=(n, n))
    links = (links + links.T).tocsr()
    laplacian = diags(np.asarray(links.sum(1)).reshape(-1)) - links
    area = np.bincount(mesh.faces.reshape(-1), np.repeat(mesh.face_areas / 3.0, 3), minlength=n) + 1e-12
    return splu((diags(area) + 0.5 * radius**2 * laplacian).tocsc()).solve(area[:, None] * values)
