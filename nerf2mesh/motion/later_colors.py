"""Paints what the first frame hides from the frames that show it later.

Letters, for a surface point: w_k and q_k: weight and color of frame k, looked up where the mesh is then (see
`mesh.texture.given_views`); g: the greatest weight of the given views, which show the first frame; p: the color so far.
    new = p + (1 - g) max_k w_k (q - p),    q = sum_k w_k^4 q_k / sum_k w_k^4.
The fourth power keeps to the few frames that look at the point straight: where the mesh follows a little off, a mean of
many would be blurred.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.texture.bake import texel_points, with_texels
from nerf2mesh.mesh.texture.given_views import PIXELS_PER_POINT, Unlight, look_up, reduced
from nerf2mesh.mesh.track import VertexTrack
from nerf2mesh.mesh.vectors import unit
from nerf2mesh.refine.source import same_place
from nerf2mesh.types import Clip, View

MOST_FRAMES = 24
"""So many frames are looked at, evenly spread."""
POWER = 4


def later_colors(
    mesh: TriangleMesh,
    track: VertexTrack,
    clip: Clip,
    given: Sequence[View],
    usable: Sequence[bool],
    unlight: Unlight | None = None,
) -> tuple[TriangleMesh, float]:
    """The mesh with its texture, or else its vertex colors, completed from the later frames, and the share of its
    texels (or vertices) whose color is now at least half from these.

    mesh: as it is in the first frame, already painted from the views `given`. usable: [f], whether the track is right
    at each frame. unlight: takes the pictures' light out, where the mesh has albedo.
    """
    if mesh.texture is not None and mesh.uv is not None:
        where = texel_points(mesh, mesh.texture.shape[0])
        before = mesh.texture[where.covered][:, :3] / 255.0
        colors, share = _completed(
            mesh, mesh.faces[where.face], where.weights, before, track, clip, given, usable, unlight
        )
        return with_texels(mesh, where, colors), share
    if mesh.vertex_colors is None:
        return mesh, 0.0
    corners, weights = np.arange(mesh.n_vertices)[:, None], np.ones((mesh.n_vertices, 1))
    colors, share = _completed(mesh, corners, weights, mesh.vertex_colors, track, clip, given, usable, unlight)
    return replace(mesh, vertex_colors=colors.astype(mesh.vertex_colors.dtype)), share


def _completed(
    mesh: TriangleMesh,
    corners: np.ndarray,
    weights: np.ndarray,
    before: np.ndarray,
    track: VertexTrack,
    clip: Clip,
    given: Sequence[View],
    usable: Sequence[bool],
    unlight: Unlight | None,
) -> tuple[np.ndarray, float]:
    """Colors [n, 3] and the share; the points are means of the vertices `corners` [n, c] by `weights` [n, c]."""
    first, place = same_place(mesh)
    count = PIXELS_PER_POINT * len(corners)

    def seen_by(vertices: np.ndarray, view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        normals = TriangleMesh(vertices[first], place[mesh.faces]).normals[place]
        now = TriangleMesh(vertices, mesh.faces, vertex_normals=normals)
        points = (vertices[corners] * weights[..., None]).sum(1)
        facing = unit((normals[corners] * weights[..., None]).sum(1))
        return *look_up(now, reduced(view, count), points, facing), facing

    shown, mixed, total, best = np.zeros(len(corners)), np.zeros(before.shape), np.zeros(len(corners)), 0.0
    for view in given:
        shown = np.maximum(shown, seen_by(mesh.vertices, view)[0])
    for k in _looked_at(usable):
        view = View(clip.images[k], clip.cameras[k])
        weight, color, facing = seen_by(track.positions[k].astype(np.float64), view)
        mixed += (weight**POWER)[:, None] * (color if unlight is None else unlight(color, facing))
        total += weight**POWER
        best = np.maximum(best, weight)
    share = (1.0 - shown) * best
    found = mixed / np.maximum(total, 1e-12)[:, None]
    return before + share[:, None] * (found - before), float((share > 0.5).mean())


def _looked_at(usable: Sequence[bool]) -> list[int]:
    """The numbers of the frames that are looked at."""
    later = [k for k in range(1, len(usable)) if usable[k]]
    if len(later) <= MOST_FRAMES:
        return later
    return [later[round(i * (len(later) - 1) / (MOST_FRAMES - 1))] for i in range(MOST_FRAMES)]
