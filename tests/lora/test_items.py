"""Lines of items.jsonl from strangers: files inside the folder, cameras that can be, licences that are said."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from PIL import Image

from nerf2mesh.lora.train.pairs import load_pairs, read_pairs
from nerf2mesh.types import Camera
from tests.inputs.pictures import disc_rgba

POSE = Camera.orbit(30.0, 10.0, width_px=32).camera_to_world.tolist()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for name, value in (("p.png", 40), ("a.png", 90), ("b.png", 140)):
        disc_rgba((value, value, value), (0, 0, 0)).save(folder / name)
    Image.new("RGB", (32, 32)).save(tmp_path / "outside.png")
    (folder / "link.png").symlink_to("../outside.png")
    os.mkfifo(folder / "pipe.png")
    return folder


def entry(**more: object) -> dict:
    frames = [{"transform_matrix": POSE} for _ in range(2)]
    cameras = {"camera_angle_x": 0.7, "frames": frames}
    return {"picture": "p.png", "views": ["a.png", "b.png"], "licence": "CC0-1.0", "cameras": cameras} | more


def write(folder: Path, lines: list[object]) -> Path:
    (folder / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder


def refused(folder: Path, line: object) -> str:
    with pytest.raises(ValueError, match=r"^data: line 1 of .*items\.jsonl: expected ") as caught:
        read_pairs(write(folder, [line]))
    text = str(caught.value)
    assert text.isprintable() and len(text) < 600, text
    return text


def matrix(**changes: object) -> list:
    """The pose with entries changed, named by row and column: m03=5."""
    rows = [list(row) for row in POSE]
    for name, value in changes.items():
        rows[int(name[1])][int(name[2])] = value
    return rows


def frames(pose: object, **more: object) -> dict:
    return {"cameras": {"camera_angle_x": 0.7, "frames": [{"transform_matrix": pose} | more] * 2}}


@pytest.mark.parametrize(
    "name", ["../outside.png", "link.png", "/etc/passwd", "pipe.png", "", 3, None, ["p.png"], "a\nb", "."]
)
@pytest.mark.parametrize("key", ["picture", "model", "views"])
def test_files_lie_inside_the_folder(name: object, key: str, folder: Path) -> None:
    line = entry(**{key: [name, "b.png"] if key == "views" else name})
    if key == "model":
        del line["views"]
    refused(folder, line)


SCALED = [[2 * value for value in row[:3]] + row[3:] for row in POSE[:3]] + POSE[3:]
MIRRORED = [[-row[0], *row[1:]] for row in POSE[:3]] + POSE[3:]
AWAY = [[-row[0], row[1], -row[2], row[3]] for row in POSE[:3]] + POSE[3:]
CAMERAS = {
    "not a number": (frames(matrix(m03=math.nan)), "expected a number as transform_matrix"),
    "infinite": (frames(matrix(m00=math.inf)), "expected a number as transform_matrix"),
    "text": (frames(matrix(m00="1")), "expected a number as transform_matrix"),
    "huge": (frames(matrix(m03=10**400)), "expected a number as transform_matrix"),
    "too few rows": (frames(POSE[:3]), "expected a transform_matrix of 4 x 4 numbers"),
    "nothing": (frames(None), "expected a transform_matrix of 4 x 4 numbers"),
    "scaled": (frames(SCALED), "expected a rotation"),
    "mirrored": (frames(MIRRORED), "expected a rotation"),
    "zero": (frames([[0.0] * 4] * 3 + [[0, 0, 0, 1]]), "expected a rotation"),
    "away from the object": (frames(AWAY), "looks along its -z at the origin"),
    "at the object": (frames(matrix(m03=0, m13=0, m23=0)), "looks along its -z at the origin"),
    "perspective in the matrix": (frames(matrix(m32=1)), "from camera to world"),
    "no list": ({"cameras": {"camera_angle_x": 0.7, "frames": 3}}, "a list of frames"),
    "no object": ({"cameras": [1]}, "a list of frames"),
    "frames of text": ({"cameras": {"camera_angle_x": 0.7, "frames": ["a", "b"]}}, "expected a camera frame"),
    "no angle": (frames(POSE, camera_angle_x=0), "camera_angle_x in radians"),
    "degrees": (frames(POSE, camera_angle_x=40.0), "camera_angle_x in radians"),
    "a truth value": (frames(POSE, camera_angle_x=True), "expected a number as camera_angle_x"),
    "no scale": (frames(POSE, ortho_scale=-1), "ortho_scale above 0"),
    "the picture's own": ({"picture_camera": {"transform_matrix": AWAY}}, "looks along its -z"),
    "the picture's own, no frame": ({"picture_camera": 3}, "expected a camera frame"),
    "elevation": ({"elevation_deg": 91}, "elevation_deg of -90 to 90"),
    "azimuth": ({"azimuth_deg": "north"}, "expected a number as azimuth_deg"),
    "axes": ({"up": "y", "front": "-y"}, "two axes"),
    "axes that are none": ({"up": ["y"]}, "two axes"),
}


@pytest.mark.parametrize("kind", CAMERAS)
def test_cameras_that_cannot_be_are_refused(kind: str, folder: Path) -> None:
    change, said = CAMERAS[kind]
    assert said in refused(folder, entry(**change))


@pytest.mark.parametrize("licence", [3, ["CC0"], {"name": "CC0"}, True])
def test_licences_are_text(licence: object, folder: Path) -> None:
    assert "expected text as licence" in refused(folder, entry(licence=licence))


@pytest.mark.parametrize("licence", [None, "", "  "])
def test_a_licence_of_nothing_is_none(licence: object, folder: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a licence for each picture, got none for p\.png \(line 1\)"):
        read_pairs(write(folder, [entry(licence=licence)]))


def test_a_source_of_null_is_empty_and_not_a_word(folder: Path) -> None:
    (pair,), _ = read_pairs(write(folder, [entry(source=None)]))
    assert pair.source().source == "" and pair.source().licence == "CC0-1.0"


@pytest.mark.parametrize("text", ["[" * 100_000, "[1]", '"x"', "3", '{"picture": NaN}', "{", "\x00"])
def test_lines_that_are_no_items(text: str, folder: Path) -> None:
    (folder / "items.jsonl").write_text(text + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"^data: line 1 of .*items\.jsonl: expected ") as caught:
        read_pairs(folder)
    assert str(caught.value).isprintable()


def test_other_encodings_are_named(folder: Path) -> None:
    (folder / "items.jsonl").write_bytes('{"picture": "ü"}'.encode("latin-1"))
    with pytest.raises(ValueError, match=r"data: expected UTF-8 in .*items\.jsonl"):
        read_pairs(folder)


def test_what_is_found_while_reading_names_the_line(folder: Path) -> None:
    whole = (folder / "b.png").read_bytes()
    found, _ = read_pairs(write(folder, [entry()]))
    assert load_pairs(found, 16, 2, 0).images.shape == (1, 3, 4, 16, 16)
    (folder / "b.png").write_bytes(whole[:60])
    with pytest.raises(ValueError, match=r"data: line 1 of .*items\.jsonl: input\.image: .*b\.png is damaged"):
        load_pairs(found, 16, 2, 0)
