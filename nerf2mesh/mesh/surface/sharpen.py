"""Cuts edges whose middle lies off the surface: creases and corners come back that marching cubes chamfers.

Letters
    An edge from p to q with unit normals m and n (the field's gradients there) and middle c. Its new vertex is the
    point x nearest to c on both tangent planes, m . (x - p) = n . (x - q) = 0: on a crease between two flat sides that
    is the crease itself. Elsewhere it is moved along c -> x until it meets the level.
    Every face is cut along its split edges into 2, 3 or 4, so that neighbors agree and the topology stays. A crease
    that passes a face parts one corner from two, so two edges are split and the cut between them is the crease. A face
    whose corners lie on three sides holds a corner of the shape (Sperner's lemma puts one there): its middle piece is
    fanned round the point on all three planes.
Kobbelt et al. 2001, "Feature sensitive surface extraction", intersect tangent planes in the same way, cell by cell.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from nerf2mesh.mesh.access import LevelSet
from nerf2mesh.mesh.extract.project import field_gradient
from nerf2mesh.mesh.surface.intersections import crossing_faces
from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from nerf2mesh.mesh.vectors import unit

DIFFERENCE_CELLS = 0.02
"""Normals are taken this close to the vertex: they must not see across a crease."""
RIM_CELLS = 0.5
"""Vertices this close to the box's faces belong to the lid that closes a cut surface; no edge there is split."""
CREASE_COSINE = 0.9
"""Normals farther apart (26 degrees) along one edge tell of a crease."""
MIN_COSINE = 0.5
SLACK = 1e-3


def sharpen(
    mesh: TriangleMesh, level: LevelSet, cell: float, *, tolerance_cells: float = 0.005, passes: int = 3
) -> tuple[TriangleMesh, dict[str, float]]:
    """The mesh of marching cubes with every edge split whose middle is more than `tolerance_cells` off the level.

    A split is kept only where its vertex is nearer to the level than the middle was and no piece turns over. Returns
    also the number of new vertices and the largest and the mean distance of edges' middles, before and after, in cells.
    `cell`: side of a cell of the extraction, world units.
    """
    n_before, figures, error = mesh.n_vertices, {}, np.zeros(0)
    on_crease = np.zeros(n_before, bool)
    for k in range(passes + 1):
        edges, index = _edges(mesh.faces)
        gradient = field_gradient(level, mesh.vertices, DIFFERENCE_CELLS * cell)
        slope = np.maximum(np.linalg.norm(gradient, axis=1), 1e-12)
        middle, steep = mesh.vertices[edges].mean(1), slope[edges].mean(1)
        value = level(middle).astype(np.float64) / steep / cell
        value[(np.abs(mesh.vertices[edges]).max((1, 2)) > 1.0 - RIM_CELLS * cell)] = 0.0
        error = np.abs(value)
        if not figures:
            figures |= {"mean_before": float(error.mean()), "max_before": float(error.max())}
        normals = -gradient / slope[:, None]
        bent = (normals[edges[:, 0]] * normals[edges[:, 1]]).sum(1) < CREASE_COSINE
        wanted = (error > tolerance_cells) & ~on_crease[edges].all(1) & ~(bent & (k > 0))
        if k == passes or not wanted.any():
            break
        refined, sharp = _split(mesh, level, edges, index, wanted, value, normals, slope, on_crease, cell)
        if refined.n_vertices == mesh.n_vertices:
            break
        mesh, on_crease = refined, np.concatenate([on_crease, sharp])
    figures |= {"mean_after": float(error.mean()), "max_after": float(error.max())}
    return mesh, {"vertices_added": mesh.n_vertices - n_before, **figures}


def _edges(faces: Int[np.ndarray, "f 3"]) -> tuple[Int[np.ndarray, "e 2"], Int[np.ndarray, "f 3"]]:
    """Undirected edges, and for each face the numbers of its edges (0, 1), (1, 2), (2, 0)."""
    half = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    n = int(faces.max()) + 1
    keys, index = np.unique(half[:, 0] * n + half[:, 1], return_inverse=True)
    return np.stack([keys // n, keys % n], axis=1), index.reshape(-1, 3)


def _split(mesh, level, edges, index, wanted, value, normals, slope, on_crease, cell):
    """One pass: the points on the wanted edges, the corners of faces with three, and the faces cut along them.

    Returns the mesh and which of its new vertices lie on a crease: there the gradient belongs to no side, so an edge
    that ends there takes both planes from its other end.
    """
    chosen = np.flatnonzero(wanted)
    ends = edges[chosen]
    start, reach = mesh.vertices[ends].mean(1), np.linalg.norm(np.diff(mesh.vertices[ends], axis=1)[:, 0], axis=1)
    ends = np.where(on_crease[ends], ends[:, ::-1], ends)
    p, q = mesh.vertices[ends].transpose(1, 0, 2)
    m, n = normals[ends].transpose(1, 0, 2)
    step = _to_planes(np.stack([m, n], 1), np.stack([p - start, q - start], 1))
    point, good = _onto(level, start, step, value[chosen] * cell, slope[ends].mean(1), reach, cell)
    position, sharp = np.zeros((len(edges), 3)), np.zeros(len(edges), bool)
    sharp[chosen] = (m * n).sum(1) < CREASE_COSINE
    position[chosen] = point
    is_split = np.zeros(len(edges), bool)
    is_split[chosen[good]] = True
    for _ in range(8):
        faces, parent, vertices = _cut(mesh, level, index, is_split, position, normals, slope, cell)
        wrong = _turned(mesh, vertices, faces, parent, normals)
        if not len(wrong):
            at_crease = (sharp & is_split)[index].any(1) | on_crease[mesh.faces].any(1)
            wrong = _crossing(vertices, faces, parent, at_crease)
        if not len(wrong):
            break
        is_split[index[wrong].reshape(-1)] = False
    else:
        return mesh, np.zeros(0, bool)
    n_tips = len(vertices) - mesh.n_vertices - int(is_split.sum())
    return replace(mesh, vertices=vertices, faces=faces, vertex_normals=None), np.append(
        sharp[is_split], np.ones(n_tips, bool)
    )


def _to_planes(normals: Float[np.ndarray, "n k 3"], points: Float[np.ndarray, "n k 3"]) -> Float[np.ndarray, "n 3"]:
    """The shortest way from the origin to k planes through `points`; slightly damped where they are nearly one."""
    gram = normals @ normals.transpose(0, 2, 1) + 1e-4 * np.eye(normals.shape[1])
    offset = (normals * points).sum(-1)
    return (np.linalg.solve(gram, offset[..., None]) * normals).sum(1)


def _onto(level, start, step, distance, slope, reach, cell) -> tuple[np.ndarray, np.ndarray]:
    """Points on the level along start + t step, 0 < t <= 2, and where there is one within `reach`.

    distance: of `start` from the level, signed, by its value and `slope`.
    """
    length = np.linalg.norm(step, axis=1)
    fine = SLACK * cell
    near, far = np.zeros(len(start)), np.ones(len(start))
    f_near, f_far = distance, level(start + step) / slope
    t, done = np.where(np.abs(f_far) < fine, 1.0, 0.0), np.abs(f_far) < fine
    beyond = ~done & (np.sign(f_far) == np.sign(f_near))
    if beyond.any():
        near[beyond], far[beyond], f_near = 1.0, 2.0, np.where(beyond, f_far, f_near)
        f_far[beyond] = level(start[beyond] + 2.0 * step[beyond]) / slope[beyond]
    bracketed = ~done & (np.sign(f_far) != np.sign(f_near))
    for _ in range(6):
        middle = near + (far - near) * np.clip(f_near / (f_near - f_far + 1e-30), 0.1, 0.9)
        f = np.zeros(len(start))
        f[bracketed] = level(start[bracketed] + middle[bracketed, None] * step[bracketed]) / slope[bracketed]
        same = np.sign(f) == np.sign(f_near)
        near, f_near = np.where(same, middle, near), np.where(same, f, f_near)
        far, f_far = np.where(same, far, middle), np.where(same, f_far, f)
    t = np.where(bracketed, np.where(np.abs(f_near) < np.abs(f_far), near, far), t)
    left = np.where(bracketed, np.minimum(np.abs(f_near), np.abs(f_far)), np.abs(f_far))
    good = (done | bracketed) & (t * length < reach) & (left < 0.5 * np.abs(distance))
    return start + t[:, None] * step, good


def _cut(mesh, level, index, is_split, position, normals, slope, cell):
    """Faces and their parents' numbers after the split, and all vertices."""
    n = mesh.n_vertices
    number = np.full(len(is_split), -1)
    number[is_split] = n + np.arange(int(is_split.sum()))
    vertices = np.concatenate([mesh.vertices, position[is_split]])
    new = number[index]  # [F, 3], -1 where the edge stays
    count = (new >= 0).sum(1)
    pieces, parents = [mesh.faces[count == 0]], [np.flatnonzero(count == 0)]

    def add(rows: np.ndarray, *triangles) -> None:
        for triangle in triangles:
            pieces.append(np.stack(triangle, axis=1))
            parents.append(rows)

    rows = np.flatnonzero(count == 1)
    (a, b, c), (k, _, _) = _rolled(mesh.faces[rows], new[rows], (new[rows] >= 0).argmax(1))
    add(rows, (a, k, c), (k, b, c))
    rows = np.flatnonzero(count == 2)
    (a, b, c), (k, o, _) = _rolled(mesh.faces[rows], new[rows], ((new[rows] < 0).argmax(1) + 1) % 3)
    add(rows, (k, b, o))
    shorter = np.linalg.norm(vertices[a] - vertices[o], axis=1) < np.linalg.norm(vertices[c] - vertices[k], axis=1)
    add(rows, (a, k, np.where(shorter, o, c)), (np.where(shorter, a, k), o, c))
    rows = np.flatnonzero(count == 3)
    (a, b, c), (k, m, o) = mesh.faces[rows].T, new[rows].T
    add(rows, (a, k, o), (k, b, m), (o, m, c))
    tip, has_tip = _tips(mesh, level, rows, vertices[new[rows]], normals, slope, cell)
    add(rows[~has_tip], (k[~has_tip], m[~has_tip], o[~has_tip]))
    apex = len(vertices) + np.arange(int(has_tip.sum()))
    k, m, o = k[has_tip], m[has_tip], o[has_tip]
    add(rows[has_tip], (k, m, apex), (m, o, apex), (o, k, apex))
    return np.concatenate(pieces), np.concatenate(parents), np.concatenate([vertices, tip[has_tip]])


def _rolled(faces: np.ndarray, new: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners and new vertices [3, n] of faces turned so that edge `first` is edge 0."""
    order = (first[:, None] + np.arange(3)) % 3
    return np.take_along_axis(faces, order, 1).T, np.take_along_axis(new, order, 1).T


def _tips(mesh, level, rows, around, normals, slope, cell) -> tuple[np.ndarray, np.ndarray]:
    """For faces with three split edges the point on all three tangent planes, and where it helps."""
    if not len(rows):
        return np.zeros((0, 3)), np.zeros(0, bool)
    corner, start = mesh.faces[rows], around.mean(1)
    steep = slope[corner].mean(1)
    distance = level(start) / steep
    step = _to_planes(normals[corner], mesh.vertices[corner] - start[:, None])
    reach = np.linalg.norm(mesh.corners[rows] - mesh.corners[rows].mean(1, keepdims=True), axis=-1).max(1)
    point, good = _onto(level, start, step, distance, steep, reach, cell)
    return point, good & (np.abs(distance) > 0.01 * cell)


def _crossing(vertices, faces, parent, at_crease) -> np.ndarray:
    """Parents at a crease of which pieces pass through each other, as they can on an acute wedge."""
    near = np.flatnonzero(at_crease[parent])
    if not len(near):
        return near
    return np.unique(parent[near[crossing_faces(TriangleMesh(vertices, faces[near]))]])


def _turned(mesh, vertices, faces, parent, normals) -> np.ndarray:
    """Parents of which a piece looks away from the field's normals at the corners that it kept (where it kept none, at
    all of its parent's): on an acute wedge a piece that folds over looks like the other side."""
    corners = vertices[faces]
    looks = unit(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    kept = faces < mesh.n_vertices
    own = (looks[:, None] * normals[np.where(kept, faces, 0)]).sum(-1)
    every = (looks[:, None] * normals[mesh.faces[parent]]).sum(-1)
    cosine = np.where(kept.any(1), np.where(kept, own, -1.0).max(1), every.max(1))
    pieces = np.bincount(parent, minlength=mesh.n_faces)[parent] > 1
    return np.unique(parent[pieces & (cosine < MIN_COSINE)])
