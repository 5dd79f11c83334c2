"""Doubt ends a run with candidates to choose from; hints and choices settle it; models not here are one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nerf2mesh import cli
from nerf2mesh.inputs import InputConfig, UncertainMask, candidates_in, load_observations
from nerf2mesh.inputs.foreground import find_foreground
from nerf2mesh.inputs.picture import read_picture
from tests.inputs.drawn import ball, busy_ground, iou, picture


def _two_balls() -> tuple[Image.Image, np.ndarray, np.ndarray]:
    """Two alike balls on a busy ground, and the mask of each."""
    pixels, masks = busy_ground(np.random.default_rng(0)).astype(np.uint8), []
    for middle, tint in (((55, 100), (1.0, 0.3, 0.2)), ((147, 100), (0.3, 0.4, 1.0))):
        inside, shade = ball(middle, 36)
        pixels[inside] = (60 + 180 * shade[inside])[:, None] * np.array(tint)
        masks.append(inside)
    return Image.fromarray(pixels), *masks


def _mask(file: Path, **config: object) -> np.ndarray:
    return find_foreground(read_picture(file), InputConfig(image=str(file), **config)).rgba[..., 3] > 0.5


@pytest.fixture
def doubtful(tmp_path: Path) -> Path:
    """A picture of nothing in particular."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(90, 160, (120, 120, 3), np.uint8)).save(tmp_path / "noise.png")
    return tmp_path / "noise.png"


def test_a_run_in_doubt_shows_candidates_and_ends_with_two(
    doubtful: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "out"
    monkeypatch.chdir(tmp_path)
    settings = [f"input.image={doubtful}", "input.foreground_confidence=1.0", "preset=tiny", f"output_dir={out}"]
    monkeypatch.setattr("sys.argv", ["nerf2mesh", *settings])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err.strip()
    assert ended.value.code == 2 and "\n" not in said
    assert "input.foreground=candidate1" in said and "input.box=" in said and "candidates.png" in said
    assert Image.open(out / "candidate1.png").mode == "RGBA" and (out / "candidates.png").is_file()


def test_the_candidates_are_those_that_can_be_chosen(tmp_path: Path) -> None:
    image, _, _ = _two_balls()
    image.save(tmp_path / "a.png")
    config = InputConfig(image=str(tmp_path / "a.png"), foreground_confidence=1.0)
    with pytest.raises(UncertainMask) as doubt:
        load_observations(config)
    for number, mask in enumerate(doubt.value.masks, 1):
        assert iou(_mask(tmp_path / "a.png", foreground=f"candidate{number}"), mask) > 0.97
    with pytest.raises(ValueError, match=r"^input\.image: .*confidence"), candidates_in(tmp_path / "out"):
        load_observations(config)
    shown = np.asarray(Image.open(tmp_path / "out" / "candidate1.png"))
    assert np.array_equal(shown[..., 3] > 127, doubt.value.masks[0])


def test_a_candidate_that_there_is_none_of(tmp_path: Path) -> None:
    picture("vignette")[0].save(tmp_path / "a.png")
    with pytest.raises(UncertainMask) as doubt:
        _mask(tmp_path / "a.png", foreground_confidence=1.0)
    n = len(doubt.value.masks)
    names = [f"candidate{k}" for k in range(n + 1, 4)]
    for name in names:
        with pytest.raises(ValueError, match=rf"^input\.foreground: expected one of {n} candidates .*got {name}; "):
            _mask(tmp_path / "a.png", foreground=name)


@pytest.mark.parametrize("side", [0, 1])
def test_a_box_chooses_one_of_two(side: int, tmp_path: Path) -> None:
    image, *masks = _two_balls()
    image.save(tmp_path / "a.png")
    box = [15.0, 60.0, 95.0, 140.0] if side == 0 else [107.0, 60.0, 187.0, 140.0]
    assert iou(_mask(tmp_path / "a.png", box=box), masks[side]) > 0.9


@pytest.mark.parametrize("side", [0, 1])
def test_points_choose_one_of_two(side: int, tmp_path: Path) -> None:
    image, *masks = _two_balls()
    image.save(tmp_path / "a.png")
    points = [[55, 100, 1 - side], [147, 100, side]]
    assert iou(_mask(tmp_path / "a.png", points=points), masks[side]) > 0.9


def test_hints_are_pixels_of_the_file_also_where_it_is_averaged_down(tmp_path: Path) -> None:
    image, left, _ = _two_balls()
    image.resize((2200, 2200), Image.Resampling.BICUBIC).save(tmp_path / "a.png")
    found = _mask(tmp_path / "a.png", box=[165.0, 660.0, 1045.0, 1540.0])
    truth = np.asarray(Image.fromarray(left).resize(found.shape[::-1]))
    assert found.shape == (1100, 1100) and iou(found, truth) > 0.9


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        ({"box": [0.0, 0.0, 500.0, 50.0]}, r"input\.box: expected .* inside 200 x 200 px"),
        ({"box": [10.0, 10.0, 12.0, 90.0]}, r"input\.box: expected .*at least 8 px"),
        ({"points": [[500, 3, 1]]}, r"input\.points: expected points inside 200 x 200 px, got \[500, 3\]"),
    ],
)
def test_hints_outside_of_the_picture_are_refused(hint: dict[str, object], said: str, tmp_path: Path) -> None:
    picture("busy")[0].save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=f"^{said}"):
        _mask(tmp_path / "a.png", **hint)


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        ({"box": [1.0, 2.0, 3.0]}, r"input\.box: expected \[x0,y0,x1,y1\]"),
        ({"points": [[1, 2]]}, r"input\.points\[0\]: expected a list of 3"),
        ({"points": [[1, 2, 0.5]]}, r"input\.points: expected .* 1 inside and 0 outside"),
    ],
)
def test_malformed_hints_are_refused(hint: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        InputConfig(**hint)


def test_hints_on_the_command_line() -> None:
    from nerf2mesh.config import load_config

    config = load_config(["input.box=[1,2,30,40]", "input.points=[[5,6,1],[7,8.5,0]]"]).input
    assert config.box == [1.0, 2.0, 30.0, 40.0] and config.points == [(5.0, 6.0, 1.0), (7.0, 8.5, 0.0)]


@pytest.mark.parametrize("method", ["rembg", "birefnet"])
def test_models_that_are_not_here_are_one_line_before_anything_else(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "nowhere"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "nowhere"))
    config = InputConfig(image=str(tmp_path / "no.png"), foreground=method, foreground_model=str(tmp_path / "no model"))
    with pytest.raises(ValueError, match=r"^input\.foreground: expected .*input\.foreground=auto") as caught:
        load_observations(config)
    assert "\n" not in str(caught.value)
