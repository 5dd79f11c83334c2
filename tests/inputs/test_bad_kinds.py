"""What cannot be, of every kind of input, through the command: one line, exit code 2, and no run folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import imageio
import numpy as np
import pytest
from PIL import Image, ImageDraw

pytest.importorskip("shapely", reason="needs the plans extra")

from tests.inputs import drawn_parts, drawn_plans
from tests.inputs.maps_of_a_ball import SIZE_PX, seen_ball
from tests.inputs.photos import scene
from tests.test_bad_input import _command, _refused

PART = drawn_parts.twenty_parts()[1]
Case = Callable[[Path], tuple[list[str], list[str]]]
"""Writes the files into a folder; the command's words, and words of its answer."""


def other_part(folder: Path) -> tuple[list[str], list[str]]:
    path = drawn_parts.write_dxf(PART, folder / "part.dxf", stretch={"top": 1.04})
    return ["input=drawing", f"input.image={path}"], ["views of one part", "4.0% more"]


def other_part_of_a_fit(folder: Path) -> tuple[list[str], list[str]]:
    path = drawn_parts.write_dxf(PART, folder / "part.dxf", stretch={"right": 1.07})
    return ["experiment=drawing", f"input.image={path}"], ["views of one part", "7.0% more"]


def swapped_angle(folder: Path) -> tuple[list[str], list[str]]:
    path = drawn_parts.write_dxf(PART, folder / "part.dxf", angle="first")
    words = ["input=drawing", f"input.image={path}", "input.angle=third"]
    return words, ["input.angle: expected first", "swapped"]


def no_closed_outline(folder: Path) -> tuple[list[str], list[str]]:
    import ezdxf

    document = ezdxf.new("R2010")
    for k in range(3):
        document.modelspace().add_line((0, 10 * k), (50, 10 * k + 3))
    document.saveas(folder / "lines.dxf")
    return ["input=drawing", f"input.image={folder / 'lines.dxf'}"], ["expected closed outlines", "3 lines"]


def photographs_of_two_objects(folder: Path) -> tuple[list[str], list[str]]:
    """Each picture shows a disc at another place: no solid has these silhouettes."""
    path = scene.write_transforms(folder, scene.cameras(8))
    y, x = np.mgrid[0:72, 0:96]
    for i in range(8):
        place = np.array([[15, 15], [80, 15], [15, 58], [80, 58]])[i % 4]
        disc = (x - place[0]) ** 2 + (y - place[1]) ** 2 < 60
        rgba = np.where(disc[..., None], 200, 0).repeat(4, -1).astype(np.uint8)
        Image.fromarray(rgba).save(folder / "images" / f"{i:03d}.png")
    return ["input=photos", f"input.image={path}", "input.foreground=alpha"], ["common solid"]


def figures_of_two_heights(folder: Path) -> tuple[list[str], list[str]]:
    page = Image.new("RGB", (600, 400), "white")
    pen = ImageDraw.Draw(page)
    pen.ellipse((60, 40, 220, 360), fill=(180, 60, 40))
    pen.rectangle((360, 150, 560, 250), fill=(180, 60, 40))
    page.save(folder / "sheet.png")
    return ["input=sheet", f"input.image={folder / 'sheet.png'}"], ["figures of one height", "101 to 321 px"]


def open_walls(folder: Path) -> tuple[list[str], list[str]]:
    plan = drawn_plans.two_rooms()
    plan.bare = [plan.openings[1]]
    path = drawn_plans.write_svg(plan, folder / "flat.svg", 10.0)
    return ["input=plan", f"input.image={path}", "input.mm_per_px=10"], ["expected closed walls", "x 2.5"]


def transforms_without_files(folder: Path) -> tuple[list[str], list[str]]:
    frame = {"file_path": "images/0001.jpg", "transform_matrix": np.eye(4).tolist()}
    (folder / "transforms.json").write_text(json.dumps({"fl_x": 100.0, "frames": [frame]}))
    return ["input=photos", f"input.image={folder / 'transforms.json'}"], ["0001.jpg"]


def video_of_one_frame(folder: Path) -> tuple[list[str], list[str]]:
    with imageio.get_writer(folder / "still.mp4", fps=10, macro_block_size=16) as writer:
        writer.append_data(np.full((64, 64, 3), 90, np.uint8))
    return ["input=photos", f"input.image={folder / 'still.mp4'}"], ["expected at least two frames, got 1"]


def video_of_nothing(folder: Path) -> tuple[list[str], list[str]]:
    (folder / "junk.mp4").write_bytes(b"no video")
    return ["input=photos", f"input.image={folder / 'junk.mp4'}"], ["expected a video that OpenCV reads"]


def front_and_back_of_two_objects(folder: Path) -> tuple[list[str], list[str]]:
    """One file each, of other aspects: made one height, a tall thing and a wide one share little."""
    for name, box in (("tall", (130, 20, 170, 380)), ("wide", (20, 150, 280, 250))):
        page = Image.new("RGB", (300, 400), "white")
        ImageDraw.Draw(page).ellipse(box, fill=(180, 60, 40))
        page.save(folder / f"{name}.png")
    files = f"[{folder / 'tall.png'},{folder / 'wide.png'}]"
    return ["input=sheet", f"input.image={files}", "input.views=[front,back]"], ["mirror image of front"]


def _ball(folder: Path) -> Path:
    return Path(seen_ball().save_picture(folder / "ball.png"))


def depth_of_another_size(folder: Path) -> tuple[list[str], list[str]]:
    np.save(folder / "z.npy", np.ones((SIZE_PX // 2, SIZE_PX), np.float32))
    return [f"input.image={_ball(folder)}", f"input.depth={folder / 'z.npy'}"], ["input.depth", f"{SIZE_PX}"]


def nan_in_a_depth_map(folder: Path) -> tuple[list[str], list[str]]:
    np.save(folder / "z.npy", np.full((SIZE_PX, SIZE_PX), np.nan, np.float32))
    return [f"input.image={_ball(folder)}", f"input.depth={folder / 'z.npy'}"], ["input.depth", "NaN"]


def nan_in_an_exr(folder: Path) -> tuple[list[str], list[str]]:
    OpenEXR = pytest.importorskip("OpenEXR", reason="needs the maps extra")
    values = np.full((SIZE_PX, SIZE_PX), np.nan, np.float32)
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, {"Z": values}) as file:
        file.write(str(folder / "z.exr"))
    return [f"input.image={_ball(folder)}", f"input.depth={folder / 'z.exr'}"], ["input.depth", "NaN"]


CASES = [
    *(other_part, other_part_of_a_fit, swapped_angle, no_closed_outline, photographs_of_two_objects),
    *(figures_of_two_heights, open_walls, transforms_without_files, video_of_one_frame),
    *(video_of_nothing, front_and_back_of_two_objects),
    *(depth_of_another_size, nan_in_a_depth_map, nan_in_an_exr),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_one_line_and_no_run_folder(case: Case, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words, said = case(tmp_path)
    run = tmp_path / "run"
    capfd.readouterr()
    _refused(_command(*words, f"output_dir={run}"), *said)
    assert capfd.readouterr().err == ""  # of libraries that write past Python
    left = [file.name for file in run.iterdir()] if run.exists() else []
    assert left == (["open_walls.png"] if case is open_walls else [])
