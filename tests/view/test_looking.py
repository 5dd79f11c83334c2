"""Cameras of visitors, channels, copies of fields, and who is painted when."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import nerf2mesh
from nerf2mesh.optimize import LAST
from nerf2mesh.types import Camera, Rendering
from nerf2mesh.view.beside import start_thread
from nerf2mesh.view.copies import FieldCopy, keep_state, kept_states
from nerf2mesh.view.cutter import Cutter
from nerf2mesh.view.painter import IDLE_SHARE, MOVING_S, Painter, Visitor
from nerf2mesh.view.pictures import BEHIND, CHANNELS, axis_depth, channel_picture, opencv_pose, visitor_camera
from tests.tiny_run import TINY


def test_a_visitors_camera_sees_what_ours_sees_from_there() -> None:
    ours = Camera.orbit(35.0, 20.0, distance=3.0, fov_deg=45.0, width_px=40, height_px=30)
    rotation, position = opencv_pose(ours)
    assert np.allclose(rotation[:, 2], -position / np.linalg.norm(position), atol=1e-6)  # z looks at the origin
    theirs = visitor_camera(rotation, position, np.deg2rad(45.0), 40, 30)
    points = torch.rand(20, 3) - 0.5
    for a, b in zip(ours.project(points), theirs.project(points), strict=True):
        assert torch.allclose(a, b, atol=1e-3)


def test_depth_is_along_the_viewing_axis() -> None:
    camera = Camera.orbit(0.0, 0.0, distance=3.0, fov_deg=60.0, width_px=8)
    along = camera.rays().directions @ -camera.camera_to_world[:3, 2]
    wall = Rendering(torch.zeros(8, 8, 3), torch.ones(8, 8), 2.0 / along)  # a plane at distance 2
    wall.opacity[0, 0] = 0.2
    depth = axis_depth(wall, camera)
    assert depth[0, 0] == BEHIND and np.allclose(depth.reshape(-1)[1:], 2.0, atol=1e-5)


@pytest.mark.parametrize("channel", CHANNELS)
def test_channels_are_pictures(channel: str) -> None:
    shown = Rendering(
        torch.full((2, 3, 3), 0.5), torch.ones(2, 3), torch.full((2, 3), 1.5),
        torch.tensor([0.0, 0.0, 1.0]).expand(2, 3, 3), {"n_samples": torch.arange(6).reshape(2, 3)},
    )  # fmt: skip
    picture = channel_picture(shown, channel)
    assert picture.shape == (2, 3, 3) and picture.dtype == np.uint8
    expected = {"color": (128,) * 3, "depth": (255,) * 3, "normals": (128, 128, 255), "opacity": (255,) * 3}
    assert tuple(picture[1, 2]) == expected.get(channel, (255,) * 3)
    assert channel != "samples" or tuple(picture[0, 0]) == (0, 0, 0)


def test_the_depth_channel_goes_from_the_nearest_to_the_farthest_that_is_seen() -> None:
    depth = torch.tensor([[5.0, 5.5, 6.0, 9.0]])
    shown = Rendering(torch.zeros(1, 4, 3), torch.tensor([[1.0, 1.0, 1.0, 0.0]]), depth)
    picture = channel_picture(shown, "depth")[0, :, 0].astype(float) / 255.0
    assert picture == pytest.approx([1.0, 0.575, 0.15, 0.92], abs=0.01)  # the last is the background


def _ball(copy: FieldCopy) -> None:
    """A field that is its blob alone: a ball."""
    with torch.no_grad():
        for parameter in copy.field.parameters():
            parameter.zero_()
    copy.occupancy.fill()


def test_a_kept_state_is_read_back_and_cut_where_the_density_says(tmp_path: Path) -> None:
    config = nerf2mesh.load_config([*TINY, "field.blob_scale=8", "field.blob_width=0.5"])
    first, second = FieldCopy(config), FieldCopy(config)
    _ball(first)
    (tmp_path / "checkpoints").mkdir()
    for step in (200, 5):
        keep_state(tmp_path, first.field, first.occupancy, step)
    (tmp_path / "checkpoints/field_x.safetensors").write_bytes(b"")
    paths = kept_states(tmp_path)
    assert [path.name for path in paths] == ["field_000005.safetensors", "field_000200.safetensors"]
    second.read(paths[1])
    assert second.step == 200
    camera = Camera.orbit(0.0, 0.0, width_px=16)
    assert torch.equal(first.render(camera).opacity, second.render(camera).opacity)
    for density in (1.0, 20.0):
        mesh, used = second.cut(density)
        radius = 0.5 * (1.0 - np.log(density) / 8.0)  # exp(8 (1 - r / 0.5)) is the density
        assert used == density
        assert np.allclose(np.linalg.norm(mesh.vertices, axis=1), radius, atol=0.02)


def test_a_state_of_other_settings_is_refused(tmp_path: Path) -> None:
    small = FieldCopy(nerf2mesh.load_config(list(TINY)))
    (tmp_path / "checkpoints").mkdir()
    path = keep_state(tmp_path, small.field, small.occupancy, 3)
    large = FieldCopy(nerf2mesh.load_config([*TINY, "field.n_levels=6"]))
    with pytest.raises(ValueError, match="field"):
        large.read(path)
    assert large.step == -1 and not (tmp_path / LAST).exists()


def _painter(step: int = 7) -> Painter:
    painter = Painter(SimpleNamespace(step=step))
    painter._speed = 100_000.0
    return painter


def _visitor(number: int, **more: float) -> Visitor:
    return Visitor(SimpleNamespace(client_id=number), **{"moved_at": 0.0, **more})


def test_those_who_move_are_served_before_those_who_rest_and_watch() -> None:
    painter, now = _painter(), 1000.0
    moving, resting = (
        _visitor(1, moved_at=now, drawn_at=now - 1),
        _visitor(2, moved_at=now - 5, drawn_at=now - 1, drawn_px=9),
    )
    painter._visitors = {1: moving, 2: resting}
    job = painter._next(now)
    assert job is not None and job.visitor is moving and job.seconds == MOVING_S
    moving.drawn_at, moving.drawn_px = now + 0.1, 10**6
    job = painter._next(now + 0.2)
    assert job is not None and job.visitor is resting and job.seconds > MOVING_S


def test_idle_visitors_wait_their_share() -> None:
    painter, now = _painter(), 1000.0
    watcher = _visitor(1, moved_at=now - 50, drawn_at=now - 40, drawn_px=10**6, drawn_step=6)
    painter._visitors = {1: watcher}
    job = painter._next(now)
    assert job is not None and job.idle and painter.wants_copy.is_set()

    def work(visitor: Visitor, n_pixels: int) -> None:
        before = time.thread_time()
        while time.thread_time() - before < 0.05:
            pass

    painter._send = work
    painter._paint(job)
    assert painter._idle_after - time.process_time() > 0.05 / IDLE_SHARE - 1.0
    watcher.drawn_step = 6
    assert painter._next(time.monotonic()) is None


def test_a_browser_that_is_gone_harms_nobody() -> None:
    painter = _painter()
    gone = _visitor(1, moved_at=5.0)
    painter._visitors = {1: gone}
    job = painter._next(6.0)
    assert job is not None
    painter._paint(job)  # its client has neither a scene nor a camera
    assert len(painter.failures) == 1
    painter.leave(gone.client)
    painter.leave(gone.client)
    assert painter.n_visitors == 0 and painter._next(7.0) is None


def test_meshes_that_nobody_asked_for_wait_their_share() -> None:
    shown, asked = [], []

    def cut(density: float | None) -> tuple[object, float]:
        asked.append(density)
        before = time.thread_time()
        while time.thread_time() - before < 0.005:
            pass
        return object(), 1.0

    cutter = Cutter(SimpleNamespace(step=1, cut=cut), SimpleNamespace(show_mesh=shown.append), print)

    def wait_for(n: int) -> None:
        end = time.monotonic() + 10.0
        while cutter.n_cut < n and time.monotonic() < end:
            time.sleep(0.005)

    cutter.ask_idly()
    wait_for(1)
    cutter.ask_idly()  # 0.005 s are a quarter of a second of its share
    cutter.ask(3.0)
    wait_for(2)
    assert asked == [None, 3.0] and len(shown) == 2
    while time.process_time() <= cutter._rests_until:
        pass
    cutter.ask_idly()
    wait_for(3)
    cutter.close()
    assert asked == [None, 3.0, None] and cutter.n_cut == 3


@pytest.mark.parametrize(("beside_run", "expected"), [(True, 1), (False, 3)])
def test_who_computes_beside_a_run_has_no_workers_and_takes_none_from_others(beside_run: bool, expected: int) -> None:
    before, counts, started = torch.get_num_threads(), [], threading.Event()
    torch.set_num_threads(3)

    def work() -> None:
        started.wait(10.0)
        counts.append(torch.get_num_threads())

    try:
        thread = start_thread(work, "new", beside_run=beside_run)
        started.set()
        thread.join()
        later = threading.Thread(target=lambda: counts.append(torch.get_num_threads()))
        later.start()
        later.join()
        assert counts == [expected, 3] and torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_the_last_chosen_state_is_painted_and_one_that_cannot_be_read_is_said() -> None:
    read, said = [], []

    def fail(path: Path) -> None:
        read.append(path.name)
        raise ValueError("path: expected a state")

    painter = Painter(SimpleNamespace(step=1, read=fail))
    painter._visitors = {1: _visitor(1, drawn_at=5.0, drawn_px=100)}
    painter.show_state(Path("first"), said.append)
    painter.show_state(Path("second"), said.append)
    painter.start()
    end = time.monotonic() + 10.0
    while not said and time.monotonic() < end:
        time.sleep(0.005)
    painter.stop()
    assert read == ["second"] and said == ["path: expected a state"]
