"""Photographs without poses: pycolmap finds the cameras of a textured object up to a similarity; videos and EXIF."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nerf2mesh.inputs import InputConfig, PhotosConfig, load_observations
from nerf2mesh.inputs.photos import motion, read_capture
from nerf2mesh.inputs.photos.files import Unposed, exif_focal_px, find_source, read_unposed, video_frames
from nerf2mesh.inputs.picture import Picture, read_picture
from tests.inputs.photos import scene


def textured(known: scene.Known, cells: np.ndarray) -> np.ndarray:
    """uint8 RGBA [h, w, 4] of one ball of radius 0.9 whose surface has a color for each small cell of space."""
    origin, d = known.rays()
    center, radius = scene.MIDDLE, 0.9 * scene.SIZE
    b = d @ (origin - center)
    inside = b**2 - ((origin - center) @ (origin - center) - radius**2)
    hit = inside > 0
    point = (origin + (-b - np.sqrt(np.maximum(inside, 0)))[..., None] * d - center) / radius
    cell = np.clip(((point + 1) / 2 * 14).astype(int), 0, 13)
    color = cells[cell[..., 0], cell[..., 1], cell[..., 2]]
    return np.where(hit[..., None], np.concatenate([color, np.full_like(color[..., :1], 255)], -1), 0).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("unposed")
    cells = np.random.default_rng(0).integers(0, 256, (14, 14, 14, 3))
    for i, camera in enumerate(_known()):
        Image.fromarray(textured(camera, cells), "RGBA").save(path / f"p{i:02d}.png")
    return path


def _known() -> list[scene.Known]:
    """A fifth of a turn in small steps, square pixels, centered."""
    cameras = scene.cameras(40, 240, 200, off_axis=0.0, focal=1.4, lift_deg=8.0)[:8]
    found = []
    for c in cameras:
        K = np.array([[c.K[0, 0], 0, 120], [0, c.K[0, 0], 100], [0, 0, 1]])
        found.append(scene.Known(K, c.R, c.t, c.width, c.height))
    return found


@pytest.mark.slow
def test_poses_of_a_textured_ball(folder: Path, tmp_path: Path) -> None:
    """Camera centers agree with the truth after the best similarity; a second reading takes the cache's numbers."""
    pytest.importorskip("pycolmap")
    config = InputConfig(kind="photos", image=str(folder), photos=PhotosConfig(cache_dir=str(tmp_path)))
    capture = read_capture(config)
    assert capture.facts["registered_share"] == 1.0
    truth = np.stack([-c.R.T @ c.t for c in _known()])
    found = np.stack([shot.position for shot in capture.shots])
    a, b = found - found.mean(0), truth - truth.mean(0)
    left, values, right = np.linalg.svd(a.T @ b)
    turn = left @ np.diag([1, 1, np.sign(np.linalg.det(left @ right))]) @ right
    scale = values.sum() / (a**2).sum()
    error = np.linalg.norm(scale * a @ turn - b, axis=1)
    assert error.max() < 0.03 * np.linalg.norm(truth - scene.MIDDLE, axis=1).mean()
    for shot, camera in zip(capture.shots, _known()):
        axis = shot.axis @ turn
        assert np.rad2deg(np.arccos(np.clip(axis @ camera.R[2], -1, 1))) < 2.0
    again = read_capture(config)
    assert all((one.pose == other.pose).all() for one, other in zip(capture.shots, again.shots))
    observations = load_observations(replace(config, foreground="alpha"))
    assert observations.notes["photos"]["registered"] == 8 and len(observations.views) == 8


def test_too_few_placed_are_refused_with_numbers(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pycolmap")
    monkeypatch.setattr(motion, "_reconstruct", lambda *_: None)
    config = InputConfig(kind="photos", image=str(folder), photos=PhotosConfig(cache_dir=str(tmp_path)))
    with pytest.raises(ValueError, match=r"place at least 4 of 8 photographs, got 0; .*turntable=true"):
        load_observations(config)


def test_without_pycolmap_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pycolmap", None)
    with pytest.raises(ValueError, match=r"pip install 'nerf2mesh\[photos\]'"):
        load_observations(InputConfig(kind="photos", image=str(folder)))


def test_a_signal_still_reaches_the_run() -> None:
    """In a process of its own: the package's handler would abort it with a stack trace."""
    pytest.importorskip("pycolmap")
    script = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))\n"
        "from nerf2mesh.inputs.photos.colmap import import_pycolmap\n"
        "import_pycolmap()\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100)
    assert done.returncode == 75 and "Aborted" not in done.stderr


def test_a_list_and_a_pattern_name_the_same_pictures(folder: Path) -> None:
    files = [str(folder / f"p{i:02d}.png") for i in range(8)]
    listed = find_source(InputConfig(kind="photos", images=files))
    pattern = find_source(InputConfig(kind="photos", image=f"glob({folder}/p*.png)"))
    assert listed.files == pattern.files == find_source(InputConfig(kind="photos", image=str(folder))).files
    assert [item.picture.path for item in read_unposed(listed, 3)] == [files[0], files[4], files[7]]


def _video(path: Path, frames: list[np.ndarray]) -> Path:
    import imageio

    with imageio.get_writer(path, fps=10, macro_block_size=16) as writer:
        for frame in frames:
            writer.append_data(frame)
    return path


def test_the_sharpest_frames_of_a_video_are_taken(tmp_path: Path) -> None:
    """Of each stretch of three frames one is sharp."""
    import cv2

    rng = np.random.default_rng(0)
    frames = []
    for i in range(12):
        frame = np.kron(rng.integers(0, 256, (8, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        frame[:, :, 1] = 20 * i
        frames.append(frame if i % 3 == 1 else cv2.GaussianBlur(frame, (0, 0), 6))
    found = video_frames(_video(tmp_path / "walk.mp4", frames), 4)
    greens = [float(item.picture.rgba[..., 1].mean()) for item in found]
    np.testing.assert_allclose(greens, [20 * i for i in (1, 4, 7, 10)], atol=8)


def test_a_video_of_one_frame_is_refused(tmp_path: Path) -> None:
    path = _video(tmp_path / "still.mp4", [np.full((64, 64, 3), 90, np.uint8)])
    with pytest.raises(ValueError, match="expected at least two frames, got 1"):
        load_observations(InputConfig(kind="photos", image=str(path)))
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(ValueError, match="that OpenCV reads"):
        load_observations(InputConfig(kind="photos", image=str(tmp_path / "broken.mp4")))


def test_focal_length_from_exif(tmp_path: Path) -> None:
    """28 mm on film of 36 mm: 28 / 36 of the longer side, also of a picture stored on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0xA405] = 28
    path = tmp_path / "phone.jpg"
    Image.new("RGB", (360, 270), (90, 120, 60)).save(path, exif=exif)
    picture = read_picture(path)
    assert picture.rgba.shape[:2] == (360, 270)
    assert exif_focal_px(path, picture) == pytest.approx(280.0)
    Image.new("RGB", (360, 270)).save(tmp_path / "plain.jpg")
    assert exif_focal_px(tmp_path / "plain.jpg", read_picture(tmp_path / "plain.jpg")) is None


def test_poses_are_of_the_rows_that_the_file_holds(tmp_path: Path) -> None:
    """EXIF says the picture lies on its side; the cameras were found for the pixels as they are stored."""
    known = scene.cameras(4)
    path = scene.write_transforms(tmp_path, known)
    plain = load_observations(InputConfig(kind="photos", image=str(path)))
    exif = Image.Exif()
    exif[0x0112] = 6
    for file in (tmp_path / "images").iterdir():
        Image.open(file).save(file, exif=exif)
    turned = load_observations(InputConfig(kind="photos", image=str(path)))
    for one, other in zip(plain.views, turned.views):
        assert float((one.image - other.image).abs().max()) == 0.0


def test_pictures_of_one_size_share_a_lens() -> None:
    def item(shape: tuple[int, int, int], focal: float | None) -> Unposed:
        picture = Picture(np.zeros(shape, np.uint8), False, "x", "PNG", (shape[1], shape[0]), "0")
        return Unposed(picture, "x", focal)

    items = [item((4, 6, 4), None), item((6, 4, 4), None), item((4, 6, 4), None), item((4, 6, 4), 9.0)]
    assert [len(group) for group in motion._same_lens(items)] == [2, 1, 1]
