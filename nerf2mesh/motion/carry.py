"""From a finished mesh and a clip to the track of its vertices.

A mesh of many faces is followed by a coarse one, and goes along with it.

Letters
    A fine vertex at rest Y near the coarse vertices X_j, which are at x_j, turned by R_j, comes to
    sum_j w_j (x_j + R_j (Y - X_j)), the w_j falling with the distance, of sum 1 (Sumner, Schmid and Pauly 2007,
    "Embedded deformation for shape manipulation", equation 4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import KDTree

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.surface.simplify import simplify
from nerf2mesh.mesh.track import VertexTrack
from nerf2mesh.motion.body import Body
from nerf2mesh.motion.config import MotionConfig
from nerf2mesh.motion.follow import at_rest, followed
from nerf2mesh.motion.sight import frames_of, silhouette_iou
from nerf2mesh.refine.source import same_place
from nerf2mesh.types import Clip

COARSE_FACES = 4000
NEAREST = 6
Told = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Carried:
    """mesh: with its outline brought to that of the first frame, which is where the track begins. silhouettes: IoU with
    the mask of each frame, at its camera. still: the same of a mesh that does not move."""

    mesh: TriangleMesh
    track: VertexTrack
    silhouettes: list[float]
    still: list[float]


def carry(mesh: TriangleMesh, clip: Clip, config: MotionConfig, told: Told = lambda _: None) -> Carried:
    """The mesh of the first frame, carried through all frames; told: called with the share that is done."""
    first, place = same_place(mesh)
    whole = TriangleMesh(mesh.vertices[first], place[mesh.faces])
    coarse = simplify(whole, COARSE_FACES)[0] if mesh.n_faces > 1.5 * COARSE_FACES else whole
    frames = frames_of(clip)
    before = Body.of(coarse)
    rest = at_rest(before, frames[0])
    fine = whole.vertices + _along(before, rest, whole.vertices) - _along(before, before.rest, whole.vertices)
    body = Body.of(TriangleMesh(rest, coarse.faces))
    places = followed(body, frames, config, told)
    if coarse is whole:
        moved = places
    else:
        moved = np.stack([_along(body, now, fine) for now in places])
        moved += fine - moved[0]
    positions = moved[:, place].astype(np.float32)
    made = replace(mesh, vertices=positions[0].astype(np.float64), vertex_normals=None)
    made = replace(made, vertex_normals=TriangleMesh(moved[0].astype(np.float32), whole.faces).normals[place])
    own = [silhouette_iou(TriangleMesh(now, mesh.faces), frame) for now, frame in zip(positions, frames)]
    still = [silhouette_iou(made, frame) for frame in frames]
    return Carried(made, VertexTrack(clip.times_s, positions), own, still)


def remeasured(made: Carried, track: VertexTrack, clip: Clip) -> Carried:
    """The same with another track of its mesh."""
    frames = frames_of(clip)
    own = [silhouette_iou(TriangleMesh(now, made.mesh.faces), frame) for now, frame in zip(track.positions, frames)]
    return replace(made, track=track, silhouettes=own)


def _along(body: Body, now: np.ndarray, fine: np.ndarray) -> np.ndarray:
    """Places [m, 3] of the points `fine`, given at the body's rest, where the body is at `now`; as they are where they
    are the body's own vertices."""
    if len(fine) == len(body.rest):
        return now
    far, near = (np.asarray(part) for part in KDTree(body.rest).query(fine, NEAREST))
    weight = np.maximum(1.0 - far / (far[:, -1:] * 1.001 + 1e-12), 1e-6) ** 2
    weight /= weight.sum(1, keepdims=True)
    turned = body.rotations(now, 1)
    way = np.einsum("mkab,mkb->mka", turned[near], fine[:, None] - body.rest[near])
    return (weight[..., None] * (now[near] + way)).sum(1)
