"""Outlines of pixels as people drew them: straight edges, sharp corners, level lines level.

The steps of a traced outline are first cut to chords (Douglas and Peucker 1973). Each chord's line is then fitted anew
to all steps along it, and corners are where neighboring lines meet: what blurs a corner does not move it.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from shapely.geometry import LinearRing, Polygon

TOLERANCE = 0.8
"""In pixels: how far a chord may leave the steps."""
SHORT = 5.0
"""In pixels: a shorter chord between two others is a blurred corner."""
LEVEL_DEG = 1.0
PARALLEL = np.sin(np.deg2rad(4.0))
REACH = 2.5
"""In pixels: how far a corner may move from the chords' own."""


def straightened(polygon: Polygon) -> Polygon:
    """A polygon along pixels' edges, in pixels, with its edges fitted; as it was where that would fold it."""
    rings = [_straight_ring(ring) for ring in (polygon.exterior, *polygon.interiors)]
    made = Polygon(rings[0], [ring for ring in rings[1:] if len(ring) > 2])
    if made.is_valid and made.area > 0:
        return made
    plain = polygon.simplify(TOLERANCE)
    return plain if isinstance(plain, Polygon) and plain.is_valid else polygon


def _straight_ring(ring: LinearRing) -> Float[np.ndarray, "n 2"]:
    raw = np.asarray(ring.coords)[:-1]
    start = int(np.argmax(((raw - raw.mean(0)) ** 2).sum(1)))  # a corner, not the middle of an edge
    raw = np.roll(raw, -start, axis=0)
    corners = np.asarray(LinearRing(raw).simplify(TOLERANCE).coords)[:-1]
    where = {(x, y): k for k, (x, y) in enumerate(raw.tolist())}
    index = sorted(where[x, y] for x, y in corners.tolist())
    if len(index) < 4:
        return raw[index] if len(index) == 3 else raw
    ends = [*index[1:], len(raw)]
    closed = np.concatenate([raw, raw[:1]])
    edges = [closed[a : b + 1] for a, b in zip(index, ends)]
    edges = _without_blurred(edges)
    lines = [_fitted(edge) for edge in edges]
    return _without_flat(_corners(edges, lines))


def _without_flat(ring: np.ndarray) -> Float[np.ndarray, "n 2"]:
    """Corners that turn by nothing are left out."""
    kept = [ring[k] for k in range(len(ring)) if _bulge(ring[k - 1], ring[k], ring[(k + 1) % len(ring)]) > 0.2]
    return np.asarray(kept) if len(kept) > 2 else ring


def _bulge(before: np.ndarray, at: np.ndarray, after: np.ndarray) -> float:
    """Distance of a corner from the line through its neighbors."""
    way = after - before
    length = float(np.hypot(*way))
    return abs(way[0] * (at - before)[1] - way[1] * (at - before)[0]) / length if length > 1e-9 else 1e9


def _without_blurred(edges: list[np.ndarray]) -> list[np.ndarray]:
    """Short chords between two longer ones that turn are left out."""
    length = np.array([np.hypot(*(edge[-1] - edge[0])) for edge in edges])
    kept = []
    for k, edge in enumerate(edges):
        before, after = edges[k - 1], edges[(k + 1) % len(edges)]
        a, b = before[-1] - before[0], after[-1] - after[0]
        turn = abs(a[0] * b[1] - a[1] * b[0]) / max(np.hypot(*a) * np.hypot(*b), 1e-9)
        longer = min(length[k - 1], length[(k + 1) % len(edges)]) > SHORT
        if not (length[k] < SHORT and longer and turn > 0.5):
            kept.append(edge)
    return kept if len(kept) >= 3 else edges


def _fitted(edge: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A point and the unit direction of the line that fits an edge's steps best, away from its blurred ends."""
    way = edge[-1] - edge[0]
    length = max(float(np.hypot(*way)), 1e-9)
    way = way / length
    n = max(9, int(4 * length))
    steps = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(edge, axis=0).T))])
    at = np.linspace(0.0, steps[-1], n)
    points = np.stack([np.interp(at, steps, edge[:, k]) for k in (0, 1)], axis=1)
    along = (points - edge[0]) @ way
    trim = min(1.5, 0.25 * length)
    inner = points[(along >= trim) & (along <= length - trim)]
    inner = inner if len(inner) > 2 else points
    middle = inner.mean(0)
    if length > 2 * SHORT:
        _, _, axes = np.linalg.svd(inner - middle, full_matrices=False)
        way = axes[0] * np.sign(axes[0] @ way)
    angle = np.rad2deg(np.arctan2(way[1], way[0]))
    level = round(angle / 90.0) * 90.0
    if abs(angle - level) < max(LEVEL_DEG, np.rad2deg(0.8 / length)):
        way = np.round([np.cos(np.deg2rad(level)), np.sin(np.deg2rad(level))])
    return middle, way


def _corners(edges: list[np.ndarray], lines: list[tuple[np.ndarray, np.ndarray]]) -> Float[np.ndarray, "n 2"]:
    """Where neighboring lines meet; of lines that run on into each other, the chords' corner on both."""
    found = []
    for k, (edge, (point, way)) in enumerate(zip(edges, lines)):
        before, (other, along) = edges[k - 1], lines[k - 1]
        corner = (before[-1] + edge[0]) / 2
        turn = along[0] * way[1] - along[1] * way[0]
        if abs(turn) > PARALLEL:
            step = ((point - other)[0] * way[1] - (point - other)[1] * way[0]) / turn
            met = other + step * along
            if np.hypot(*(met - corner)) <= max(REACH, np.hypot(*(edge[0] - before[-1]))):
                found.append(met)
                continue
        found.append((_onto(corner, point, way) + _onto(corner, other, along)) / 2)
    return np.asarray(found)


def _onto(at: np.ndarray, point: np.ndarray, way: np.ndarray) -> np.ndarray:
    return point + ((at - point) @ way) * way
