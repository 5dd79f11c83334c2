"""What is wrong with a set of photographs is said in one line that names it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nerf2mesh.inputs import InputConfig, load_observations
from tests.inputs.photos import scene


def _said(image: Path | str, **settings: object) -> str:
    with pytest.raises(ValueError) as refused:
        load_observations(InputConfig(kind="photos", image=str(image), **settings))
    text = str(refused.value)
    assert "\n" not in text and ": expected " in text and "got " in text
    return text


def _changed(folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    path = scene.write_transforms(folder, scene.cameras(4))
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    return path


def _pose(data: dict[str, Any], value: object) -> None:
    data["frames"][1]["transform_matrix"] = value


BAD_JSON: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "no frames": (lambda d: d.update(frames=[]), "expected a list"),
    "frame without pose": (lambda d: d["frames"][2].pop("transform_matrix"), "frame 2"),
    "NaN": (lambda d: _pose(d, [[float("nan")] * 4] * 4), "got NaN"),
    "singular": (lambda d: _pose(d, np.diag([1.0, 1.0, 0.0, 1.0]).tolist()), "singular"),
    "mirrored": (lambda d: _pose(d, np.diag([1.0, 1.0, -1.0, 1.0]).tolist()), "mirrored"),
    "sheared": (lambda d: _pose(d, [[1, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "right angles"),
    "shape": (lambda d: _pose(d, [1, 2, 3]), "the shape"),
    "words": (lambda d: _pose(d, "identity"), "pose"),
    "no focal": (lambda d: [f.pop(k) for f in d["frames"] for k in ("fl_x", "fl_y")], "fl_x"),
    "focal 0": (lambda d: d["frames"][0].update(fl_x=0), "above 0"),
    "text for a number": (lambda d: d["frames"][0].update(k1="much"), "a number for k1"),
    "panorama": (lambda d: d.update(camera_model="EQUIRECTANGULAR"), "EQUIRECTANGULAR"),
    "mask missing": (lambda d: d["frames"][0].update(mask_path="masks/none.png"), "masks/none.png"),
    "one frame": (lambda d: d.update(frames=d["frames"][:1]), "at least two"),
    "other aspect": (lambda d: [f.update(w=96, h=200) for f in d["frames"]], "96 x 200"),
}


@pytest.mark.parametrize("kind", BAD_JSON)
def test_transforms_json(tmp_path: Path, kind: str) -> None:
    change, words = BAD_JSON[kind]
    assert words in _said(_changed(tmp_path, change))


def test_not_json(tmp_path: Path) -> None:
    path = tmp_path / "transforms.json"
    path.write_text("{frames")
    assert "expected JSON" in _said(path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    path = scene.write_transforms(tmp_path, scene.cameras(6))
    for number in (1, 4):
        (tmp_path / "images" / f"{number:03d}.png").unlink()
    said = _said(path)
    assert "2 missing" in said and "001.png" in said and "004.png" in said


def test_no_file_and_empty_folder(tmp_path: Path) -> None:
    assert "no " in _said(tmp_path / "nowhere")
    assert "none of them" in _said(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    assert "input=picture" in _said(tmp_path / "notes.txt")
    assert "got nothing" in _said("")


def test_a_view_without_an_object(tmp_path: Path) -> None:
    path = scene.write_transforms(tmp_path, scene.cameras(4))
    Image.new("RGBA", (96, 72)).save(tmp_path / "images" / "002.png")
    said = _said(path, foreground="alpha")
    assert "002.png" in said and "empty mask" in said


def test_cameras_that_look_away(tmp_path: Path) -> None:
    """Each camera is turned about its own center to look straight away from the object."""

    def turn(data: dict[str, Any]) -> None:
        for frame in data["frames"]:
            pose = np.array(frame["transform_matrix"])
            pose[:3, [0, 2]] *= -1.0
            frame["transform_matrix"] = pose.tolist()

    assert "look at one place" in _said(_changed(tmp_path, turn), foreground="none")


def test_cameras_that_all_look_the_same_way(tmp_path: Path) -> None:
    def same(data: dict[str, Any]) -> None:
        for i, frame in enumerate(data["frames"]):
            pose = np.array(data["frames"][0]["transform_matrix"])
            pose[:3, 3] += 0.1 * i * pose[:3, 0]
            frame["transform_matrix"] = pose.tolist()

    assert "look the same way" in _said(_changed(tmp_path, same), foreground="none")


def test_masks_of_different_objects(tmp_path: Path) -> None:
    """Each picture shows a disc at another place: no solid has these silhouettes."""
    path = scene.write_transforms(tmp_path, scene.cameras(8))
    y, x = np.mgrid[0:72, 0:96]
    for i in range(8):
        place = np.array([[15, 15], [80, 15], [15, 58], [80, 58]])[i % 4]
        disc = (x - place[0]) ** 2 + (y - place[1]) ** 2 < 60
        Image.fromarray(np.where(disc[..., None], 200, 0).repeat(4, -1).astype(np.uint8)).save(
            tmp_path / "images" / f"{i:03d}.png"
        )
    assert "common solid" in _said(path, foreground="alpha")


def test_dtu_archives(tmp_path: Path) -> None:
    folder = scene.write_dtu(tmp_path / "scan", scene.cameras(3))
    arrays = dict(np.load(folder / "cameras.npz"))
    np.savez(folder / "cameras.npz", **(arrays | {"world_mat_1": np.zeros((4, 4))}))
    assert "world_mat_1" in _said(folder)
    (folder / "image" / "002.png").unlink()
    assert "got 2 and 3" in _said(folder)
    (folder / "cameras.npz").write_bytes(b"PK no archive")
    assert "archive" in _said(folder)


def test_colmap_models(tmp_path: Path) -> None:
    folder = scene.write_colmap(tmp_path, scene.cameras(3))
    (folder / "images" / "001.png").unlink()
    assert "1 missing (001.png)" in _said(folder)
    (folder / "sparse" / "0" / "cameras.txt").write_text("1 OPENCV nonsense\n")
    assert "cannot read" in _said(folder)


def test_a_box_that_is_not_there(tmp_path: Path) -> None:
    config = InputConfig(kind="photos", image=str(scene.write_transforms(tmp_path, scene.cameras(4))))
    config.photos.box = "points"
    with pytest.raises(ValueError, match=r"input.photos.box: expected one of masks, cameras .* got points"):
        load_observations(config)


def test_settings() -> None:
    from nerf2mesh import load_config

    with pytest.raises(ValueError, match=r"input\.photos\.up"):
        load_config(["input=photos", "input.photos.up=sideways"])
    with pytest.raises(ValueError, match="input=photos"):
        load_config(["input.images=[a.png,b.png]"])
    assert load_config(["input=photos", "input.image=[a.png,b.png]"]).input.images == ["a.png", "b.png"]
