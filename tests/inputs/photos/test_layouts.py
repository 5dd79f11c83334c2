"""Layouts with poses: known points land where the test's own projection puts them, in photographs and in our views."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nerf2mesh.inputs import InputConfig, load_observations
from nerf2mesh.inputs.photos import read_capture
from nerf2mesh.inputs.photos.capture import Capture, Lens
from nerf2mesh.types import Camera, Observations
from tests.inputs.photos import scene

DISTORTED = (-0.12, 0.05, 0.002, -0.003)
WITH_K3 = (*DISTORTED, 0.02)


def _known(distortion: tuple[float, ...] = ()) -> list[scene.Known]:
    return scene.cameras(distortion=distortion)


def _read(path: Path) -> Capture:
    return read_capture(InputConfig(kind="photos", image=str(path)))


def _assert_projects(capture: Capture, known: list[scene.Known]) -> None:
    points = scene.surface_points()
    assert len(capture.shots) == len(known)
    for shot, camera in zip(capture.shots, known):
        pixels, shown = shot.project(points)
        assert shown.all()
        np.testing.assert_allclose(pixels, camera.project(points), atol=1e-5)


@pytest.mark.parametrize("distortion", [(), WITH_K3])
def test_transforms_json_projects_as_written(tmp_path: Path, distortion: tuple[float, ...]) -> None:
    known = _known(distortion)
    _assert_projects(_read(scene.write_transforms(tmp_path, known)), known)


@pytest.mark.parametrize("distortion", [(), DISTORTED])
def test_colmap_text_projects_as_written(tmp_path: Path, distortion: tuple[float, ...]) -> None:
    known = _known(distortion)
    _assert_projects(_read(scene.write_colmap(tmp_path, known)), known)


def test_colmap_binary_projects_as_the_text(tmp_path: Path) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    known = _known(DISTORTED)
    folder = scene.write_colmap(tmp_path, known)
    model = folder / "sparse" / "0"
    pycolmap.Reconstruction(str(model)).write_binary(str(model))
    for file in [*model.glob("*.txt"), model / "rigs.bin", model / "frames.bin"]:  # older models have no rigs
        file.unlink()
    _assert_projects(_read(folder), known)


def test_dtu_projects_as_written(tmp_path: Path) -> None:
    known = _known()
    capture = _read(scene.write_dtu(tmp_path, known))
    _assert_projects(capture, known)
    low, high = capture.box or (np.zeros(3), np.zeros(3))
    np.testing.assert_allclose(low, scene.MIDDLE - scene.SIZE)
    np.testing.assert_allclose(high, scene.MIDDLE + scene.SIZE)


def test_nerf_synthetic_projects_as_written(tmp_path: Path) -> None:
    known = []
    for c in scene.cameras():
        f = c.K[0, 0]
        K = np.array([[f, 0, c.width / 2], [0, f, c.height / 2], [0, 0, 1]])
        known.append(scene.Known(K, c.R, c.t, c.width, c.height))
    _assert_projects(_read(scene.write_synthetic(tmp_path, known)), known)


def test_instant_ngp_dialect(tmp_path: Path) -> None:
    """Intrinsics for all frames, field of view in radians along y too, a box by aabb_scale, names with backslashes."""
    known = _known(DISTORTED)
    path = scene.write_transforms(tmp_path, known)
    data, c = json.loads(path.read_text()), known[0]
    frames = [
        {"file_path": frame["file_path"].replace("/", "\\"), "transform_matrix": frame["transform_matrix"]}
        for frame in data["frames"]
    ]
    angles = {f"camera_angle_{a}": 2 * np.arctan(0.5 * s / f) for a, s, f in zip("xy", (96, 72), np.diag(c.K))}
    distortion = dict(zip(("k1", "k2", "p1", "p2"), DISTORTED))
    center = {"cx": c.K[0, 2], "cy": c.K[1, 2], "w": 96, "h": 72}
    path.write_text(json.dumps({**angles, **distortion, **center, "aabb_scale": 2, "frames": frames}))
    capture = _read(path)
    _assert_projects(capture, known)
    assert capture.box is not None
    np.testing.assert_allclose(capture.box[1] - capture.box[0], 2 / 0.33)
    np.testing.assert_allclose(capture.box[1] + capture.box[0], 0.0, atol=1e-12)


@pytest.mark.parametrize("factors", [(), WITH_K3, (0.1, -0.02, 0.001, 0.002, 0.01, 0.05, 0.01, 0.002)])
def test_lens_agrees_with_opencv(factors: tuple[float, ...]) -> None:
    import cv2

    points = np.random.default_rng(0).uniform([-0.6, -0.4, 1.0], [0.6, 0.4, 2.0], (200, 3))
    lens = Lens(640, 480, (500.0, 510.0), (321.0, 238.0), factors)
    K = np.array([[500.0, 0, 321.0], [0, 510.0, 238.0], [0, 0, 1]])
    expected = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K, np.array(factors or (0.0,) * 4))[0][:, 0]
    np.testing.assert_allclose(lens.project(points)[0], expected, atol=1e-8)


def test_fisheye_agrees_with_opencv() -> None:
    import cv2

    points = np.random.default_rng(0).uniform([-1.5, -1.5, 0.5], [1.5, 1.5, 2.0], (200, 3))
    factors = (0.05, -0.01, 0.003, -0.001)
    K = np.array([[300.0, 0, 321.0], [0, 310.0, 238.0], [0, 0, 1]])
    expected = cv2.fisheye.projectPoints(points[:, None], np.zeros(3), np.zeros(3), K, np.array(factors))[0][:, 0]
    lens = Lens(640, 480, (300.0, 310.0), (321.0, 238.0), factors, fisheye=True)
    pixels, shown = lens.project(points)
    np.testing.assert_allclose(pixels[shown], expected[shown], atol=1e-8)
    assert shown.all()


def test_a_lens_does_not_show_what_its_polynomial_folds_back() -> None:
    """r (1 - 0.3 r^2) grows up to r = 1 / sqrt(0.9) = 1.054; beyond, two directions would share a pixel."""
    lens = Lens(100, 100, (50.0, 50.0), (50.0, 50.0), (-0.3, 0.0, 0.0, 0.0))
    shown = lens.project(np.array([[1.04, 0, 1], [1.07, 0, 1], [0, 0, -1.0]]))[1]
    assert shown.tolist() == [True, False, False]


# ---- the views ----


def _views(path: Path, **settings: object) -> Observations:
    return load_observations(InputConfig(kind="photos", image=str(path), foreground="alpha", **settings))


def _in_object_axes(observations: Observations, points: np.ndarray) -> np.ndarray:
    matrix = np.array(observations.notes["photos"]["object_from_world"])
    return points @ matrix[:3, :3].T + matrix[:3, 3]


@pytest.mark.parametrize(
    "write, distortion",
    [(scene.write_transforms, WITH_K3), (scene.write_colmap, DISTORTED)],
    ids=["transforms", "colmap"],
)
def test_views_show_the_scene_where_their_cameras_say(
    tmp_path: Path, write: Callable[[Path, list[scene.Known]], Path], distortion: tuple[float, ...]
) -> None:
    """Through undistortion, turn and crop: each view against the balls, traced along the view camera's own rays."""
    known = scene.cameras(4, 240, 180, distortion=distortion)
    observations = _views(write(tmp_path, known))
    matrix = np.linalg.inv(np.array(observations.notes["photos"]["object_from_world"]))
    scale = np.cbrt(np.linalg.det(matrix[:3, :3]))
    for view in observations.views:
        to_world = view.camera.camera_to_world.double().numpy()
        rotation = matrix[:3, :3] / scale @ to_world[:3, :3] @ np.diag([1.0, -1.0, -1.0])
        center = matrix[:3, :3] @ to_world[:3, 3] + matrix[:3, 3]
        side, focal = view.camera.width_px, float(view.camera.focal_px[0])
        K = np.array([[focal, 0, side / 2], [0, focal, side / 2], [0, 0, 1]])
        expected = scene.Known(K, rotation.T, -rotation.T @ center, side, side).picture().astype(np.float32) / 255
        premultiplied = view.image[..., :3] * view.image[..., 3:]
        error = np.abs(premultiplied.numpy() - expected[..., :3] * expected[..., 3:])
        assert error.mean() < 0.01  # edges are hard in the reference
        alpha = np.abs(view.image[..., 3].numpy() - expected[..., 3])
        assert (alpha > 0.75).mean() < 2e-3 and alpha.mean() < 0.012


def test_the_object_stands_around_the_origin(tmp_path: Path) -> None:
    """The balls' box, known from their centers and radii, is put around the origin, its longest side 1.6."""
    observations = _views(scene.write_transforms(tmp_path, scene.cameras(12, 160, 120)))
    matrix = np.array(observations.notes["photos"]["object_from_world"])
    centers = _in_object_axes(observations, scene.MIDDLE + scene.SIZE * scene.CENTERS)
    radii = scene.SIZE * scene.RADII * np.cbrt(np.linalg.det(matrix[:3, :3]))
    low, high = (centers - radii[:, None]).min(0), (centers + radii[:, None]).max(0)
    assert np.abs(low + high).max() < 0.12
    assert 1.35 < (high - low).max() < 1.65
    assert observations.notes["photos"]["box"] == "masks"
    reference = observations.views[0].camera
    assert abs(float(reference.azimuth_deg)) < 2.0
    assert all(view.camera.width_px == view.camera.height_px == reference.width_px for view in observations.views)


def test_the_front_may_stay_the_files(tmp_path: Path) -> None:
    known = scene.cameras(6, start_deg=25.0)
    path = scene.write_transforms(tmp_path, known)
    config = InputConfig(kind="photos", image=str(path))
    config.photos.keep_front = True
    matrix = np.array(load_observations(config).notes["photos"]["object_from_world"])
    np.testing.assert_allclose(matrix[:3, :3] / np.cbrt(np.linalg.det(matrix[:3, :3])), np.eye(3), atol=1e-9)


def test_up_comes_from_level_cameras(tmp_path: Path) -> None:
    """COLMAP's world may lie any way; a tilted copy of the capture gives the same views."""
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_euler("xyz", [50, -70, 130], degrees=True).as_matrix()
    known = scene.cameras(6)
    tilted = [scene.Known(c.K, c.R @ turn.T, c.t, c.width, c.height) for c in known]
    write = scene.write_colmap
    write(tmp_path / "level", known)
    scene_folder = tmp_path / "tilted"
    write(scene_folder, known)
    images = ["# Image list"]
    for i, c in enumerate(tilted, start=1):
        pose = " ".join(repr(float(v)) for v in (*scene.quaternion(c.R), *c.t))
        images += [f"{i} {pose} {i} {i - 1:03d}.png", ""]
    (scene_folder / "sparse" / "0" / "images.txt").write_text("\n".join(images) + "\n")
    level, other = _views(tmp_path / "level"), _views(scene_folder)
    for a, b in zip(level.views, other.views):
        torch.testing.assert_close(a.camera.camera_to_world, b.camera.camera_to_world, atol=1e-4, rtol=0)
        assert float((a.image - b.image).abs().mean()) < 1e-3


def test_beyond_the_photograph_is_unknown(tmp_path: Path) -> None:
    """A long focal length cuts the object off: those pixels are neither object nor background."""
    known = scene.cameras(6, focal=2.6)
    observations = _views(scene.write_transforms(tmp_path, known))
    unknown = [view for view in observations.views if view.known is not None and not bool(view.known.all())]
    assert len(unknown) == len(observations.views)
    points = torch.from_numpy(_in_object_axes(observations, scene.surface_points(400))).float()
    for view, camera in zip(observations.views, known):
        there = camera.project(scene.surface_points(400))
        inside = ((there > 1.5) & (there < [camera.width - 1.5, camera.height - 1.5])).all(1)
        pixels = Camera.project(view.camera, points)[0].floor().long()
        within = ((pixels >= 0) & (pixels < view.camera.width_px)).all(1).numpy()
        shown = view.known[pixels[within, 1], pixels[within, 0]].numpy()
        outside = ((there < -1.5) | (there > [camera.width + 1.5, camera.height + 1.5])).any(1)
        assert shown[inside[within]].all() and not shown[outside[within]].any()


def test_masks_are_files_beside_the_pictures(tmp_path: Path) -> None:
    """Opaque pictures with a busy background; mask_path decides."""
    known = scene.cameras(5)
    path = scene.write_transforms(tmp_path, known)
    data = json.loads(path.read_text())
    (tmp_path / "masks").mkdir()
    rng = np.random.default_rng(0)
    for frame, camera in zip(data["frames"], known):
        rgba = camera.picture()
        noise = rng.integers(0, 255, (*rgba.shape[:2], 3)).astype(np.uint8)
        rgb = np.where(rgba[..., 3:] > 0, rgba[..., :3], noise)
        Image.fromarray(rgb).save(tmp_path / frame["file_path"])
        frame["mask_path"] = frame["file_path"].replace("images", "masks")
        Image.fromarray(rgba[..., 3]).save(tmp_path / frame["mask_path"])
    expected = _views(scene.write_transforms(tmp_path / "alpha", known))
    path.write_text(json.dumps(data))
    found = load_observations(InputConfig(kind="photos", image=str(path)))
    for a, b in zip(found.views, expected.views):
        assert float((a.image[..., 3] - b.image[..., 3]).abs().mean()) < 0.01
