"""A track that a skeleton has made gives the skeleton's rotations back; of others the residual is told."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.track import VertexTrack
from nerf2mesh.motion.rig import Fitted, Rig, RigClip, fit_track, own_clips
from nerf2mesh.motion.rig.skeleton import made_skeleton
from nerf2mesh.motion.rig.track_fit import vertex_shares
from nerf2mesh.motion.rig.weights import SkinWeights
from tests.motion.test_rig_files import rigged


@cache
def walking() -> RigClip:
    """The package's walk, into which the figure comes from its bind pose over twelve frames, and walks to the left."""
    clip = next(clip for clip in own_clips(rigged()) if clip.name == "walk")
    n = len(clip.moved)
    share = 0.5 - 0.5 * np.cos(np.pi * np.clip(np.arange(n) / 12.0, 0.0, 1.0))
    angles = Rotation.from_matrix(clip.local.reshape(-1, 3, 3)).as_rotvec().reshape(n, -1, 3) * share[:, None, None]
    local = Rotation.from_rotvec(angles.reshape(-1, 3)).as_matrix().reshape(clip.local.shape)
    return replace(clip, local=local, moved=clip.moved * share[:, None] + share[:, None] * [0.0, 0.3, 0.0])


def track_of(made: Rig, clip: RigClip, noise: float = 0.0) -> VertexTrack:
    posed = np.stack([made.posed(local, moved) for local, moved in zip(clip.local, clip.moved)])
    posed[1:] += noise * np.random.default_rng(0).standard_normal(posed[1:].shape)
    return VertexTrack(tuple(clip.times_s), posed.astype(np.float32))


def degrees_off(made: Rig, found: Fitted, clip: RigClip) -> np.ndarray:
    """[f, joints that move]."""
    between = np.swapaxes(clip.local, -1, -2) @ found.clip.local
    angles = Rotation.from_matrix(between.reshape(-1, 3, 3)).magnitude().reshape(len(clip.moved), -1)
    return np.degrees(angles[:, made.skeleton.moving()])


def test_the_rotations_come_back():
    made, clip = rigged(), walking()
    found = fit_track(made, track_of(made, clip))
    assert np.degrees(Rotation.from_matrix(clip.local.reshape(-1, 3, 3)).magnitude().max()) > 60.0
    assert degrees_off(made, found, clip).max() < 1.0
    assert np.abs(found.clip.moved - clip.moved).max() < 0.002
    assert found.residuals.max() < 0.005 and found.moved.mean() > 0.1
    np.testing.assert_allclose(found.clip.local[0], np.tile(np.eye(3), (len(made.skeleton.names), 1, 1)), atol=1e-12)
    np.testing.assert_allclose(found.clip.times_s, clip.times_s)


def test_noise_is_not_followed():
    """White noise of 0.5 % of the height: the residual is that of the noise, and what the skeleton shows is nearer to
    the truth than the track."""
    made, clip, noise = rigged(), walking(), 0.009
    true, noisy = track_of(made, clip), track_of(made, clip, noise)
    found = fit_track(made, noisy)
    shown = np.stack([made.posed(local, moved) for local, moved in zip(found.clip.local, found.clip.moved)])
    rms = np.sqrt(np.square(shown - true.positions)[1:].sum(-1).mean())
    assert rms < 0.2 * np.sqrt(3.0) * noise
    assert degrees_off(made, found, clip).mean() < 2.0


def test_uneven_times_and_a_bend_by_hand():
    """Two joints, the upper part turns by 10 and 170 degrees; the root moves. The frames' times are the clip's."""
    skeleton = made_skeleton("spine", {"Hips": np.zeros(3), "Spine": np.array([0.0, 0.0, 1.0])}, [])
    corners = np.array([[0.1, 0, 0], [-0.1, 0.1, 0], [-0.1, -0.1, 0.0]])
    vertices = np.concatenate([corners + np.array([0, 0, z]) for z in (0.0, 0.5, 1.5, 2.0)])
    faces = np.array([[3 * k + i for i in range(3)] for k in range(4)])
    joints = np.repeat([[0, 0, 0, 0], [1, 0, 0, 0]], 6, axis=0)
    weights = SkinWeights(joints, np.tile([1.0, 0.0, 0.0, 0.0], (12, 1)))
    made = Rig(TriangleMesh(vertices, faces), skeleton, weights)
    local = np.tile(np.eye(3), (3, 2, 1, 1))
    local[1:, 1] = Rotation.from_rotvec(np.radians([[10.0, 0, 0], [170.0, 0, 0]])).as_matrix()
    clip = RigClip("bend", 1.0, local, np.array([[0, 0, 0], [0.1, 0, 0], [0.1, 0.4, 0]]), (0.0, 0.1, 0.4))
    found = fit_track(made, track_of(made, clip), smooth=0.0)
    assert degrees_off(made, found, clip).max() < 0.1
    np.testing.assert_allclose(found.clip.moved, clip.moved, atol=1e-4)
    assert tuple(found.clip.times_s) == (0.0, 0.1, 0.4) and found.clip.rate == pytest.approx(5.0)


def test_what_a_skeleton_cannot_do_is_in_the_residual():
    """The figure grows by a tenth: rotations change nothing, and the middle stays where the whole is nearest."""
    made = rigged()
    size = np.ptp(made.mesh.bounds, axis=0).max()
    grown = made.mesh.center + 1.1 * (made.mesh.vertices - made.mesh.center)
    found = fit_track(made, VertexTrack((0.0, 1.0), np.stack([made.mesh.vertices, grown]).astype(np.float32)))
    moved = np.linalg.norm(grown - made.mesh.vertices, axis=1) / size
    np.testing.assert_allclose(found.moved[1], moved, atol=1e-6)
    assert 0.5 * moved.mean() < found.residuals[1].mean() <= moved.mean() and found.residuals[0].max() < 1e-6


def test_other_vertices_are_refused():
    made = rigged()
    other = VertexTrack((0.0, 1.0), np.zeros((2, 5, 3), np.float32))
    with pytest.raises(ValueError, match=r"^track: expected positions of the rig's \d+ vertices, got 5; "):
        fit_track(made, other)


def test_shares_are_areas():
    """A unit square of two triangles: the corners on the diagonal have two sixths of it, the others one."""
    square = TriangleMesh(np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1.0, 0]]), np.array([[0, 1, 2], [0, 2, 3]]))
    np.testing.assert_allclose(vertex_shares(square), np.array([2, 1, 2, 1]) / 6.0)
