"""Brings the vertices of a decimated mesh back onto the field's surface, and takes normals from the field."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nerf2mesh.mesh.access import LevelSet
from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.mesh.vectors import unit

MAX_STEP_CELLS = 0.5
MIN_COSINE = 0.5
"""Of 60 degrees: the vertices of a face that turns farther are put back, and a field's normal that differs more from
the mesh's own is not used."""


def project_vertices(
    mesh: TriangleMesh, level: LevelSet, cell: float, *, n_steps: int = 3
) -> tuple[TriangleMesh, dict[str, float]]:
    """Newton steps along the field's gradient (central differences over half a cell), at most half a cell in all.

    A vertex moves only where that brings it closer to the level and turns none of its faces over. Returns the mesh and
    the share of vertices moved and the mean distance, in cells.
    """
    start, points = mesh.vertices, mesh.vertices.copy()
    value = level(points).astype(np.float64)
    for _ in range(n_steps):
        gradient = field_gradient(level, points, 0.5 * cell)
        squared = np.maximum((gradient * gradient).sum(1, keepdims=True), 1e-12)
        target = points - value[:, None] * gradient / squared
        move = target - start
        length = np.linalg.norm(move, axis=1, keepdims=True)
        limit = MAX_STEP_CELLS * cell
        target = np.clip(start + move * np.minimum(1.0, limit / np.maximum(length, 1e-30)), -1.0, 1.0)
        reached = level(target).astype(np.float64)
        better = np.abs(reached) < np.abs(value)
        points[better], value[better] = target[better], reached[better]
    moved = replace(mesh, vertices=undo_turned(mesh, points), vertex_normals=None)
    distance = np.linalg.norm(moved.vertices - start, axis=1)
    return moved, {"share": float((distance > 0).mean()), "mean_cells": float(distance.mean() / cell)}


def field_gradient(level: LevelSet, points: np.ndarray, h: float) -> np.ndarray:
    """Gradient [N, 3] of the level function at points [N, 3] by central differences over +-h world units."""
    taps = np.concatenate([points + sign * h * axis for axis in np.eye(3) for sign in (1, -1)])
    plus, minus = np.moveaxis(level(taps).reshape(3, 2, len(points)), 1, 0)
    return ((plus - minus) / (2.0 * h)).T.astype(np.float64)


def undo_turned(mesh: TriangleMesh, points: np.ndarray) -> np.ndarray:
    """New positions [V, 3] with those vertices put back (in place) whose faces would turn by more than 60 degrees."""
    before = mesh.face_normals
    for _ in range(8):
        cosine = (TriangleMesh(points, mesh.faces).face_normals * before).sum(1)
        turned = np.unique(mesh.faces[cosine < MIN_COSINE])
        if not len(turned):
            return points
        points[turned] = mesh.vertices[turned]
    return mesh.vertices


def surface_normals(mesh: TriangleMesh, level: LevelSet, cell: float) -> np.ndarray:
    """Unit normals [V, 3] of the level set where they agree with the mesh's own, else the mesh's."""
    own = TriangleMesh(mesh.vertices, mesh.faces).normals
    normals = unit(-field_gradient(level, mesh.vertices, 0.5 * cell))
    return np.where((normals * own).sum(1, keepdims=True) > MIN_COSINE, normals, own)
