"""Clips that end where they begin are followed from both ends."""

from __future__ import annotations

import numpy as np
import pytest

from nerf2mesh.motion.both_ways import is_closed, is_worse, joined_at
from nerf2mesh.motion.carry import carry
from nerf2mesh.motion.config import MotionConfig
from nerf2mesh.motion.sight import frames_of
from tests.motion.test_follow import bent, egg, filmed

THERE_AND_BACK = [0.0, 0.25, 0.5, 0.75, 0.9, 0.75, 0.5, 0.25]


def test_which_clips_are_closed() -> None:
    mesh = egg(2)
    there_and_back = frames_of(filmed([bent(mesh, turn) for turn in THERE_AND_BACK], mesh, 80))
    there = frames_of(filmed([bent(mesh, 0.2 * k) for k in range(8)], mesh, 80))
    assert is_closed(there_and_back) and not is_closed(there) and not is_closed(there_and_back[:3])


@pytest.mark.parametrize("right_until", [3, 5])
def test_the_ways_are_joined_where_the_one_goes_wrong(right_until: int) -> None:
    """Each way is the truth up to some frame, and stays there."""
    mesh, n = egg(2), 8
    places = [bent(mesh, 0.2 * k) for k in range(n)]
    frames = frames_of(filmed(places, mesh, 80))
    forward = {k: places[min(k, right_until)] for k in range(n)}
    back = {0: places[0]} | {k: places[max(k, right_until)] for k in range(1, n)}
    assert joined_at(forward, back, mesh.faces, frames) in (right_until, right_until + 1)
    assert joined_at({k: places[k] for k in range(n)}, {0: places[0]}, mesh.faces, frames) == n


def test_a_way_back_that_shows_nothing_of_the_frames_is_left() -> None:
    """It lies beside them; the truth is no worse than the truth."""
    mesh, n = egg(2), 6
    places = [bent(mesh, 0.3 * k) for k in range(n)]
    frames = frames_of(filmed(places, mesh, 80))
    forward = dict(enumerate(places))
    assert is_worse(dict.fromkeys(range(n), places[0] + [0.0, 0.5, 0.0]), forward, 3, mesh.faces, frames)
    assert not is_worse(forward, forward, 3, mesh.faces, frames) and not is_worse({}, forward, n, mesh.faces, frames)


def test_a_clip_that_only_seems_closed_is_followed_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = egg(2)
    clip = filmed([bent(mesh, 0.3 * k) for k in range(5)], mesh, 80)
    forward = carry(mesh, clip, MotionConfig(sweeps=1, closed="no"))
    for name in ("is_closed", "is_worse"):
        monkeypatch.setattr(f"nerf2mesh.motion.follow.{name}", lambda *_: True)
    taken = carry(mesh, clip, MotionConfig(sweeps=1))
    assert np.array_equal(taken.track.positions, forward.track.positions)


def test_the_end_of_a_closed_clip_is_near_its_beginning() -> None:
    mesh = egg(2)
    places = [bent(mesh, turn) for turn in THERE_AND_BACK]
    clip = filmed(places, mesh)
    closed, opened = (carry(mesh, clip, MotionConfig(sweeps=1, closed=word)) for word in ("yes", "no"))
    error = [np.linalg.norm(made.track.positions[-1] - places[-1], axis=1).mean() for made in (closed, opened)]
    assert error[0] < 0.9 * error[1] and min(closed.silhouettes) > 0.97
    assert np.array_equal(closed.track.positions, carry(mesh, clip, MotionConfig(sweeps=1)).track.positions)
