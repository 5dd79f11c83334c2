"""Two to five photographs without poses: who says where they were taken, and what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from nerf2mesh import cli, load_config
from nerf2mesh.inputs import InputConfig, awaits_azimuths, load_unplaced
from nerf2mesh.priors.builtin.placement import Placement
from nerf2mesh.run import placing
from nerf2mesh.types import View
from tests.tiny_run import TINY


def _photographs(folder: Path, n: int) -> list[str]:
    """n cut-outs of an egg, with a dot that wanders."""
    folder.mkdir(exist_ok=True)
    names = []
    for k in range(n):
        picture = Image.new("RGBA", (80, 80), (0, 0, 0, 0))
        pen = ImageDraw.Draw(picture)
        pen.ellipse((20, 8, 60, 72), fill=(200, 120, 40, 255))
        pen.ellipse((26 + 5 * k, 30, 32 + 5 * k, 36), fill=(20, 20, 120, 255))
        names.append(str(folder / f"{k}.png"))
        picture.save(names[-1])
    return names


@pytest.fixture
def guess(monkeypatch: pytest.MonkeyPatch) -> list[Placement]:
    """What the prior's guess is taken to be: change its only entry."""
    said = [Placement([0.0, 71.25], 0.9)]

    def placed(prior: object, views: tuple[View, ...]) -> Placement:
        assert [round(float(view.camera.azimuth_deg)) for view in views] == [0] * len(views)
        return said[0]

    monkeypatch.setattr(placing, "placed_views", placed)
    return said


def _observed(files: list[str], *settings: str):
    return placing.observe(load_config(["input=photos", f"input.image=[{','.join(files)}]", *settings]))


def test_the_guess_turns_the_cameras_and_is_reported(tmp_path: Path, guess: list[Placement]) -> None:
    found = _observed(_photographs(tmp_path, 2), "input.azimuth_deg=20", "input.elevations_deg=[5,15]")
    assert [float(view.camera.azimuth_deg) for view in found.views] == pytest.approx([20.0, 91.25], abs=1e-3)
    assert [float(view.camera.elevation_deg) for view in found.views] == pytest.approx([5.0, 15.0], abs=1e-3)
    facts = found.notes["photos"]
    assert facts["layout"] == "placed by the prior" and facts["azimuths"] == "20, 91.25 degrees"
    assert facts["confidence"] == 0.9 and found.notes["warnings"] == []


def test_the_users_word_wins(tmp_path: Path, guess: list[Placement]) -> None:
    found = _observed(_photographs(tmp_path, 2), "input.azimuths_deg=[0,-90]")
    assert [float(view.camera.azimuth_deg) for view in found.views] == pytest.approx([0.0, -90.0], abs=1e-3)
    assert found.notes["photos"]["layout"] == "told"


def test_an_unsure_guess_is_refused_unless_it_is_asked_for(tmp_path: Path, guess: list[Placement]) -> None:
    guess[0] = Placement([0.0, -120.0], 0.3)
    files = _photographs(tmp_path, 2)
    with pytest.raises(
        ValueError, match=r"^input\.azimuths_deg: expected from where .* guess \[0,-120\] .* 0\.30; say"
    ):
        _observed(files)
    found = _observed(files, "input.photos.poses=prior")
    assert [float(view.camera.azimuth_deg) for view in found.views] == pytest.approx([0.0, -120.0], abs=1e-3)
    assert any("confidence of 0.30" in warning for warning in found.notes["warnings"])


@pytest.mark.parametrize(
    ("n", "poses", "few"), [(2, "auto", True), (5, "auto", True), (6, "auto", False), (3, "motion", False)]
)
def test_which_photographs_the_prior_places(tmp_path: Path, n: int, poses: str, few: bool) -> None:
    config = InputConfig(kind="photos", image=str(tmp_path))
    _photographs(tmp_path, n)
    config.photos.poses = poses
    assert awaits_azimuths(config) is few


def test_six_photographs_are_too_many_for_the_prior(tmp_path: Path) -> None:
    config = InputConfig(kind="photos", images=_photographs(tmp_path, 6))
    config.photos.poses = "prior"
    with pytest.raises(ValueError, match=r"^input\.photos\.poses: expected 2 to 5 photographs for prior, got 6 photo"):
        awaits_azimuths(config)


def test_other_numbers_of_elevations_are_refused(tmp_path: Path) -> None:
    config = InputConfig(kind="photos", images=_photographs(tmp_path, 3), elevations_deg=[1.0, 2.0])
    with pytest.raises(
        ValueError, match=r"^input\.elevations_deg: expected angles for 3 photographs, got 2 elevations"
    ):
        load_unplaced(config)


def test_auto_elevations_are_each_pictures_own(tmp_path: Path) -> None:
    found = load_unplaced(InputConfig(kind="photos", images=_photographs(tmp_path, 2), elevation_deg="auto"))
    angles = [float(view.camera.elevation_deg) for view in found.views]
    assert found.notes["photos"]["elevations_deg"] == pytest.approx(np.round(angles, 1), abs=0.06)
    assert all(-30.0 <= angle <= 90.0 for angle in angles)


def _command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["nerf2mesh", *arguments])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0)


def test_a_run_from_two_photographs_to_the_files(
    tmp_path: Path, guess: list[Placement], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    files, out = _photographs(tmp_path / "shots", 2), tmp_path / "out"
    command = (
        "input=photos",
        f"input.image=[{','.join(files)}]",
        *TINY,
        "lora=none",
        "distill.weight=0",
        f"output_dir={out}",
    )
    guess[0] = Placement([0.0, 71.25], 0.2)
    assert _command(monkeypatch, *command) == 2 and not out.exists()
    assert capfd.readouterr().err.strip().splitlines()[-1].startswith("error: input.azimuths_deg: expected from where")
    assert _command(monkeypatch, *command, "input.photos.poses=prior") == 0
    about = json.loads((out / "provenance.json").read_text())["inputs"]["photographs"]
    assert about["azimuths_deg"] == [0.0, 71.25] and about["confidence"] == 0.2
    assert '<td class="value">0, 71.25 degrees</td>' in (out / "report.html").read_text()
