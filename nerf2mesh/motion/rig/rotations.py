"""Rotations as matrices [..., 3, 3] and quaternions (x, y, z, w), right-handed, angles in degrees."""

from __future__ import annotations

import numpy as np


def about(axis: str, degrees: float | np.ndarray) -> np.ndarray:
    """Rotation matrices [..., 3, 3] about "x", "y" or "z"."""
    angle = np.radians(np.asarray(degrees, np.float64))
    c, s = np.cos(angle), np.sin(angle)
    out = np.zeros((*angle.shape, 3, 3))
    k = "xyz".index(axis)
    a, b = (k + 1) % 3, (k + 2) % 3
    out[..., k, k] = 1.0
    out[..., a, a], out[..., b, b] = c, c
    out[..., b, a], out[..., a, b] = s, -s
    return out


def between(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The smallest rotation [3, 3] that takes one direction into another (Rodrigues); a half turn about any axis."""
    u, v = start / np.linalg.norm(start), end / np.linalg.norm(end)
    axis, cosine = np.cross(u, v), float(u @ v)
    if cosine < -1.0 + 1e-9:
        other = np.eye(3)[int(np.argmin(np.abs(u)))]
        axis = np.cross(u, other)
        axis /= np.linalg.norm(axis)
        return 2.0 * np.outer(axis, axis) - np.eye(3)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + cross + cross @ cross / (1.0 + cosine)


def quaternions(matrices: np.ndarray) -> np.ndarray:
    """Unit quaternions [..., 4] of rotation matrices; along the first axis neighbors have the same sign."""
    from scipy.spatial.transform import Rotation

    flat = Rotation.from_matrix(matrices.reshape(-1, 3, 3)).as_quat().reshape(*matrices.shape[:-2], 4)
    for k in range(1, len(flat)):
        turned = (flat[k] * flat[k - 1]).sum(-1) < 0.0
        flat[k] = np.where(turned[..., None], -flat[k], flat[k])
    return flat
