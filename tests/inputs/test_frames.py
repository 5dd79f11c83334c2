"""`input=frames`: what is read of a clip, where its cameras stand, and what is refused, in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nerf2mesh.config import load_config
from nerf2mesh.inputs import load_observations
from nerf2mesh.inputs.frames.cuts import cut_in
from nerf2mesh.inputs.framing import object_box
from nerf2mesh.types import Observations

SIZE = 96
ORANGE, BLUE = (230, 140, 40), (30, 60, 200)


def disc(x: float, y: float, radius: float, color: tuple[int, int, int] = ORANGE, size: int = SIZE) -> Image.Image:
    """RGBA, opaque in the disc alone, where its color falls off to the right."""
    row, column = np.mgrid[:size, :size] + 0.5
    inside = np.hypot(column - x, row - y) < radius
    shade = 1.0 - 0.4 * np.clip((column - x) / radius, -1.0, 1.0)
    pixels = np.zeros((size, size, 4), np.uint8)
    pixels[..., :3] = np.clip(np.array(color) * shade[..., None], 0, 255)
    pixels[..., 3] = 255 * inside
    return Image.fromarray(pixels)


def moving(n: int = 6) -> list[Image.Image]:
    """A disc of radius 16 px that goes 4 px a frame to the right."""
    return [disc(30.0 + 4.0 * k, 50.0, 16.0) for k in range(n)]


def write(path: Path, frames: list[Image.Image], **asked: object) -> Path:
    if path.suffix == ".gif":
        frames = [Image.alpha_composite(Image.new("RGBA", frame.size, "white"), frame) for frame in frames]
    frames[0].save(path, save_all=True, append_images=frames[1:], loop=0, **asked)  # pyright: ignore[reportArgumentType]
    return path


def observed(*overrides: str) -> Observations:
    return load_observations(load_config(["input=frames", "input.size_px=64", *overrides]).input)


def middles(found: Observations) -> np.ndarray:
    """Of the masks, [f, 2] as x and y, in the axes of the first frame's camera at the object's distance."""
    assert found.clip is not None
    camera, rows = found.clip.cameras[0], []
    for alpha in found.clip.images[..., 3].numpy():
        top, bottom, left, right = object_box(alpha)
        middle = np.array([(left + right) / 2, (top + bottom) / 2])
        rows.append((middle - camera.principal_px.numpy()) / camera.focal_px.numpy() * 3.2)
    return np.array(rows)


@pytest.mark.parametrize("ending", ["png", "webp"])
def test_an_animation_keeps_lens_and_scale(tmp_path: Path, ending: str) -> None:
    """The disc fills 0.7 of the first view, whose window is 2 r / 0.7 wide; it then moves 4 px of it a frame."""
    found = observed(f"input.frames={write(tmp_path / f'clip.{ending}', moving(), duration=40, lossless=True)}")
    assert found.clip is not None
    np.testing.assert_allclose(found.clip.times_s, 0.04 * np.arange(6), atol=1e-9)
    per_px = 2.0 * 3.2 * np.tan(np.radians(20.0)) / (32.0 / 0.7)
    wanted = np.stack([4.0 * per_px * np.arange(6), np.zeros(6)], axis=1)
    np.testing.assert_allclose(middles(found), wanted, atol=0.03)
    top, bottom, *_ = object_box(found.views[0].image[..., 3].numpy())
    assert abs((bottom - top) / 64 - 0.7) < 0.04


def test_the_first_view_and_the_first_frame_are_one_picture(tmp_path: Path) -> None:
    """A world point is seen by both cameras at the same place of the disc."""
    found = observed(f"input.frames={write(tmp_path / 'clip.png', moving())}")
    assert found.clip is not None
    point = torch.tensor([[0.0, 0.2, 0.1]])
    places = []
    for view, camera in ((found.views[0].image, found.views[0].camera), (found.clip.images[0], found.clip.cameras[0])):
        top, bottom, left, right = object_box(view[..., 3].numpy())
        x, y = camera.project(point)[0][0].tolist()
        places.append([(x - left) / (right - left), (y - top) / (bottom - top)])
    np.testing.assert_allclose(places[0], places[1], atol=0.03)


def test_folder_gif_video_and_list(tmp_path: Path) -> None:
    """Plain grounds are cut out; numbers in names count by their value; range and step choose."""
    import imageio.v2 as imageio

    folder = tmp_path / "frames"
    folder.mkdir()
    for k, frame in enumerate(moving(12)):
        frame.save(folder / f"f_{k}.png")
    whole = middles(observed(f"input.frames={folder}"))
    assert (np.diff(whole[:, 0]) > 0).all()
    some = observed(f"input.frames={folder}", "input.range=[2,8]", "input.every=3")
    assert some.clip is not None and some.clip.times_s == (0.0, 3 / 12.0, 6 / 12.0)
    listed = observed(f"input.frames=[{folder / 'f_0.png'},{folder / 'f_3.png'}]", "input.fps=4")
    assert listed.clip is not None and listed.clip.times_s == (0.0, 0.25)
    gif = write(tmp_path / "clip.gif", moving(), duration=100)
    np.testing.assert_allclose(middles(observed(f"input.frames={gif}")), whole[:6], atol=0.05)
    opaque = [np.asarray(Image.alpha_composite(Image.new("RGBA", (SIZE, SIZE), "white"), f)) for f in moving(8)]
    imageio.mimwrite(tmp_path / "clip.mp4", [f[..., :3] for f in opaque], fps=10)
    video = observed(f"input.frames={tmp_path / 'clip.mp4'}")
    assert video.clip is not None and len(video.clip.times_s) == 8
    np.testing.assert_allclose(np.diff(video.clip.times_s), 0.1, atol=1e-6)


def test_a_camera_that_goes_around(tmp_path: Path) -> None:
    clip = write(tmp_path / "clip.png", moving(3))
    found = observed(f"input.frames={clip}", "input.azimuths_deg=[0,30,60]")
    assert found.clip is not None
    np.testing.assert_allclose(found.clip.cameras.azimuth_deg, [0.0, 30.0, 60.0], atol=1e-3)
    with pytest.raises(ValueError, match=r"^input.azimuths_deg: expected angles for 3 frames, got 2; "):
        observed(f"input.frames={clip}", "input.azimuths_deg=[0,30]")


def test_a_sheet_of_the_first_frame(tmp_path: Path) -> None:
    """The object is as high in the first frame's view as in the sheet's."""
    page = Image.new("RGBA", (3 * SIZE, SIZE), "white")
    for k, radius in enumerate((16.0, 16.0, 16.0)):
        page.alpha_composite(disc(48.0, 50.0, radius), (k * SIZE, 0))
    page.save(tmp_path / "sheet.png")
    clip = write(tmp_path / "clip.png", moving())
    found = observed(f"input.frames={clip}", f"input.sheet=[{tmp_path / 'sheet.png'}]", "input.fill=0.5")
    assert [round(float(view.camera.azimuth_deg)) % 360 for view in found.views] == [0, 0, 270, 180]
    heights = [np.ptp(object_box(view.image[..., 3].numpy())[:2]) for view in found.views]
    assert max(heights) - min(heights) <= 2 and abs(heights[0] - 32) <= 2


def refused(*overrides: str) -> str:
    with pytest.raises(ValueError, match=r"^input\.[a-z_]+: .*; .*") as caught:
        observed(*overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_one_frame(tmp_path: Path) -> None:
    disc(40.0, 50.0, 16.0).save(tmp_path / "one.png")
    assert "expected at least two frames, got 1" in refused(f"input.frames={tmp_path / 'one.png'}")
    clip = write(tmp_path / "clip.png", moving())
    assert "got 1" in refused(f"input.frames={clip}", "input.range=[4,5]", "input.every=2")


def test_frames_beyond_the_clip(tmp_path: Path) -> None:
    clip = write(tmp_path / "clip.png", moving())
    count = len(moving())
    said = refused(f"input.frames={clip}", f"input.range=[1,{count + 4}]")
    assert said.startswith("input.range: expected frames that ") and f"say input.range=[1,{count - 1}]" in said
    assert observed(f"input.frames={clip}", f"input.range=[1,{count}]", "input.every=3")


def test_frames_of_different_size(tmp_path: Path) -> None:
    for k in range(3):
        disc(40.0, 50.0, 16.0, size=SIZE + 4 * (k == 2)).save(tmp_path / f"{k}.png")
    said = refused(f"input.frames={tmp_path}")
    assert "96 x 96 px, got 100 x 100 px in frame 2" in said


def test_an_empty_mask_in_the_middle(tmp_path: Path) -> None:
    frames = moving(5)
    frames[3] = Image.new("RGBA", (SIZE, SIZE))
    assert "frame 3" in refused(f"input.frames={write(tmp_path / 'clip.png', frames)}")


def test_a_cut_is_found_and_named(tmp_path: Path) -> None:
    frames = [*moving(5), *(disc(60.0 - 4.0 * k, 30.0, 20.0, BLUE) for k in range(4))]
    said = refused(f"input.frames={write(tmp_path / 'clip.png', frames)}")
    assert "a cut before frame 5" in said and "input.range=[0,4]" in said and "input.range=[5,8]" in said


def test_turning_and_flashing_are_no_cut() -> None:
    """Colors that change slowly, and a light that flickers in every frame."""
    turning = [disc(48.0, 48.0, 20.0, (230 - 12 * k, 140, 40 + 12 * k)) for k in range(12)]
    flashing = [disc(48.0, 48.0, 20.0, (230, 140, 40) if k % 2 else (160, 90, 20)) for k in range(12)]
    for clip in (turning, flashing):
        assert cut_in([np.asarray(frame, np.float32) / 255.0 for frame in clip]) is None


def test_settings_that_do_not_fit_each_other(tmp_path: Path) -> None:
    for wrong, said in {
        "input.range=[5]": "input.range: expected",
        "input.range=[5,5]": "input.range: expected",
        "input.image=a.gif": "input.frames: expected none beside input.image",
    }.items():
        with pytest.raises(ValueError, match=said):
            load_config(["input=frames", "input.frames=b.gif", wrong])
    with pytest.raises(ValueError, match=r"input.frames: expected none with input=picture.*say input=frames"):
        load_config(["input.frames=b.gif"])
    assert "got nothing" in refused()
    (tmp_path / "clip.gif").write_bytes(b"GIF89a broken")
    assert "export the clip again" in refused(f"input.frames={tmp_path / 'clip.gif'}")
