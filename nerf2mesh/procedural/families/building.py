"""Ways to place a part: turned axes, rods between points, blobs."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from nerf2mesh.procedural.parts import Part


def turned(axis: str, angle_deg: float) -> np.ndarray:
    """Part axes (rows) turned about a scene axis by `angle_deg`."""
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    turn = np.eye(3)
    turn[i, i] = turn[j, j] = c
    turn[j, i], turn[i, j] = s, -s
    return turn.T


def random_axes(rng: Generator) -> np.ndarray:
    """A random rotation [3, 3], uniform over all orientations."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else -q


def toward(direction: np.ndarray) -> np.ndarray:
    """Part axes whose z points along `direction`."""
    w = np.asarray(direction, dtype=float) / max(float(np.linalg.norm(direction)), 1e-9)
    helper = np.array([0.0, 1.0, 0.0]) if abs(w[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    u = np.cross(helper, w)
    u /= np.linalg.norm(u)
    return np.stack([u, np.cross(w, u), w])


def limb(start: tuple[float, ...], end: tuple[float, ...], thick: float, **more: object) -> Part:
    """A rounded rod between two points."""
    p, q = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
    half = 0.5 * float(np.linalg.norm(q - p)) + 0.5 * thick
    more = {"corner": 1.0, "edge": 0.95} | more
    return Part(center=tuple(0.5 * (p + q)), size=(thick, thick, half), axes=toward(q - p), **more)  # type: ignore[arg-type]


def blob(center: tuple[float, ...], size: tuple[float, ...], **more: object) -> Part:
    """An ellipsoid with half sizes `size`; `more` are further fields of `Part`."""
    return Part(center=tuple(center), size=tuple(size), ellipsoid=True, **more)  # type: ignore[arg-type]
