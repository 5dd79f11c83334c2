"""Tangent frames and tangent-space normal maps, by the conventions of MikkTSpace and glTF.

Letters
    At a face corner: N the vertex normal, T the unit tangent (along growing u), w = +1 or -1 and B = w cross(N, T) the
    bitangent (along growing v, upward). Between corners N and T are interpolated and brought to length one.
    A texel (x, y, z) in [-1, 1]^3, stored as 0.5 + 0.5 times that, is the normal x T + y B + z N: red to the right,
    green up ("OpenGL"), blue out of the surface.
Mikkelsen 2008, "Simulation of wrinkled surfaces revisited", defines the frames: face tangents are projected into the
plane of N, brought to length one, and averaged by corner angle over the corners that share position, normal, uv and w.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, UInt8

from nerf2mesh.mesh.texture.bake import bleed, texel_points
from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.mesh.vectors import unit

MIN_COSINE = 0.2
"""A normal that is farther from the mesh's own (78 degrees) is of another part of the surface and is not used."""


def corner_tangents(mesh: TriangleMesh) -> Float[np.ndarray, "f 3 4"]:
    """(T, w) at every face corner."""
    assert mesh.uv is not None
    uv = mesh.uv.astype(np.float64)
    p, s = mesh.corners, uv
    e1, e2, d1, d2 = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0], s[:, 1] - s[:, 0], s[:, 2] - s[:, 0]
    area = d1[:, 0] * d2[:, 1] - d2[:, 0] * d1[:, 1]
    sign = np.where(area < 0.0, -1.0, 1.0)
    along = (e1 * d2[:, 1:] - e2 * d1[:, 1:]) * sign[:, None]
    normal = mesh.normals[mesh.faces]
    flat = unit(along[:, None] - normal * (along[:, None] * normal).sum(-1, keepdims=True))
    weight = np.stack([_angle(p, k) for k in range(3)], axis=1)
    key = np.concatenate(
        [mesh.faces.reshape(-1, 1), mesh.uv.reshape(-1, 2).view(np.int32), np.repeat(sign, 3)[:, None].astype(int)], 1
    )
    _, group = np.unique(key, axis=0, return_inverse=True)
    weighted = (flat * weight[..., None]).reshape(-1, 3)
    total = np.stack([np.bincount(group.reshape(-1), column) for column in weighted.T], axis=1)
    tangent = unit(total)[group.reshape(-1)].reshape(-1, 3, 3)
    none = np.linalg.norm(tangent, axis=-1, keepdims=True) < 0.5
    tangent = np.where(none, _any_across(normal), tangent)
    return np.concatenate([tangent, np.repeat(sign, 3).reshape(-1, 3, 1)], axis=-1)


def bake_normal_map(
    mesh: TriangleMesh, normals_at: Callable[[np.ndarray], np.ndarray], size: int
) -> UInt8[np.ndarray, "h w 3"]:
    """The normal map [size, size, 3] of a mesh with uv.

    normals_at: world points [n, 3] -> unit outward normals [n, 3] of the true surface there.
    """
    where = texel_points(mesh, size)
    own = where.normals
    tangents = corner_tangents(mesh)[where.face]
    tangent = unit((tangents[..., :3] * where.weights[..., None]).sum(1))
    frame = np.stack([tangent, tangents[:, 0, 3:] * np.cross(own, tangent), own], axis=2)
    wanted = normals_at(where.points)
    wanted = np.where((wanted * own).sum(1, keepdims=True) > MIN_COSINE, wanted, own)
    safe = np.abs(np.linalg.det(frame)) > 1e-3
    texel = np.tile([0.0, 0.0, 1.0], (len(own), 1))
    texel[safe] = unit(np.linalg.solve(frame[safe], wanted[safe, :, None])[..., 0])
    image = np.zeros((size, size, 3), np.uint8)
    image[where.covered] = np.round(127.5 + 127.5 * texel)
    return bleed(image, where.covered)


def _angle(corners: np.ndarray, k: int) -> np.ndarray:
    a, b = unit(corners[:, (k + 1) % 3] - corners[:, k]), unit(corners[:, (k + 2) % 3] - corners[:, k])
    return np.arccos(np.clip((a * b).sum(-1), -1.0, 1.0))


def _any_across(normal: np.ndarray) -> np.ndarray:
    """Some unit vector across each normal, for faces without a uv area."""
    axis = np.eye(3)[np.abs(normal).argmin(-1)]
    return unit(np.cross(normal, axis))
