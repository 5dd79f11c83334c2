"""Decimation to a face budget that never makes an edge of more than two faces.

The native collapse (csrc/cpu/simplify_cpu.cpp) keeps a manifold by construction. Without it fast-simplification serves,
checked afterwards: where it broke an edge, gentler settings are tried, then manifold3d's simplification;
where that fails too the mesh stays as it is.
"""

from __future__ import annotations

import ctypes
from dataclasses import replace
from typing import Any

import numpy as np

from nerf2mesh.kernels._lib import refusal
from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.render.rasterizer import native_library


def simplify(mesh: TriangleMesh, target_faces: int) -> tuple[TriangleMesh, str]:
    """A mesh of at most `target_faces` faces (or as few as its topology allows), and which method made it.

    Positions only: UV and per-vertex data are dropped when the mesh changes. A closed mesh stays closed.
    """
    if mesh.n_faces <= target_faces:
        return mesh, "unchanged"
    library = native_library()
    if library is not None and hasattr(library, "n2m_simplify"):
        return _native(library, mesh, target_faces), "native"
    return _fallback(mesh, target_faces)


def _bare(mesh: TriangleMesh, vertices: np.ndarray, faces: np.ndarray) -> TriangleMesh:
    return replace(mesh, vertices=vertices, faces=faces, vertex_normals=None, vertex_colors=None, uv=None, texture=None)


def _native(library: ctypes.CDLL, mesh: TriangleMesh, target_faces: int) -> TriangleMesh:
    vertices = np.array(mesh.vertices, np.float64, order="C")
    faces = np.array(mesh.faces, np.int32, order="C")
    counts = np.zeros(2, np.int64)
    status = library.n2m_simplify(
        ctypes.c_void_p(vertices.ctypes.data),
        ctypes.c_int64(len(vertices)),
        ctypes.c_void_p(faces.ctypes.data),
        ctypes.c_int64(len(faces)),
        ctypes.c_int64(target_faces),
        ctypes.c_void_p(counts.ctypes.data),
    )
    if status == 3:
        raise MemoryError(f"simplify: no memory for {mesh.n_faces} faces; extract at a lower resolution")
    if status:
        raise refusal(library, "simplify")
    return _bare(mesh, vertices[: counts[0]].copy(), faces[: counts[1]].astype(np.int64))


def _fallback(mesh: TriangleMesh, target_faces: int) -> tuple[TriangleMesh, str]:
    import fast_simplification

    closed = mesh.is_watertight
    points: Any = mesh.vertices.astype(np.float32)
    faces = mesh.faces.astype(np.int32)
    for aggression in (7.0, 4.0, 2.0):
        result = fast_simplification.simplify(points, faces, target_count=target_faces, agg=aggression)
        candidate = _bare(mesh, *result)
        if _is_sound(candidate, closed):
            return candidate, "fast-simplification"
    result = _by_manifold(mesh, target_faces) if closed else mesh
    return result, "unchanged" if result is mesh else "manifold3d"


def _is_sound(mesh: TriangleMesh, closed: bool) -> bool:
    """Also once coinciding vertices are merged, as every reader of an STL will."""
    welded = mesh.welded()
    return welded.edges[1].max(initial=0) <= 2 and welded.is_watertight == closed


def _by_manifold(mesh: TriangleMesh, target_faces: int) -> TriangleMesh:
    """Bisects manifold3d's tolerance for the budget."""
    import manifold3d

    solid = manifold3d.Manifold(manifold3d.Mesh(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32)))
    low, high, best = 0.0, float(np.ptp(mesh.bounds, axis=0).max()) * 0.05, mesh
    tolerance = high
    for _ in range(8):
        result = solid.simplify(tolerance).to_mesh()
        candidate = _bare(mesh, result.vert_properties[:, :3], result.tri_verts)
        if (
            _is_sound(candidate, True)
            and candidate.n_faces < best.n_faces
            and (best is mesh or candidate.n_faces <= target_faces)
        ):
            best = candidate
        if candidate.n_faces > target_faces and tolerance == high:
            break  # its topology does not allow fewer
        low, high = (tolerance, high) if candidate.n_faces > target_faces else (low, tolerance)
        tolerance = 0.5 * (low + high)
    return best
