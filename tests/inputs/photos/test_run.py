"""A run over photographs from the command to the files, at tiny size; unknown pixels and several views in the loop."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from nerf2mesh import cli
from nerf2mesh.optimize import GivenPixels
from nerf2mesh.priors.builtin.prior import spread_views
from nerf2mesh.types import Camera, Observations, View
from nerf2mesh.utils.override_text import command_line, written_out
from tests.inputs.photos import scene
from tests.tiny_run import TINY


def _command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["nerf2mesh", *arguments])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with pytest.raises(SystemExit) as left:
        cli.main()
    return int(left.value.code or 0)


def test_the_command_makes_a_mesh_of_photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.write_transforms(tmp_path / "capture", scene.cameras(4))
    out = tmp_path / "out"
    settings = ("input=photos", *TINY, "lora=none", "distill.weight=0", f"output_dir={out}")
    assert _command(monkeypatch, f"input.image={tmp_path / 'capture'}", *settings) == 0
    assert (out / "mesh.glb").stat().st_size > 100
    about = json.loads((out / "provenance.json").read_text())["inputs"]["photographs"]
    assert about["photographs"] == 4 and about["layout"] == "transforms.json" and len(about["sha256"]) == 64
    assert '<th>layout</th><td class="value">transforms.json</td>' in (out / "report.html").read_text()


def test_bad_photographs_end_with_one_line_and_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = scene.write_transforms(tmp_path, scene.cameras(4))
    (tmp_path / "images" / "002.png").unlink()
    assert _command(monkeypatch, "input=photos", f"input.image={path}", f"output_dir={tmp_path / 'out'}") == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: input.image: expected the 4 files") and "002.png" in lines[0]


def test_a_folder_is_one_object_with_photos_and_a_sweep_without(tmp_path: Path) -> None:
    scene.write_pictures(tmp_path, scene.cameras(2))
    asked = f"input.image={tmp_path}"
    assert command_line(["input=photos", asked], takes_picture=True) == ["input=photos", asked]
    assert command_line([asked], takes_picture=True)[0] == "--multirun"
    assert written_out("input.image=[a b.png,c.png]") == 'input.images=["a b.png",c.png]'.replace(
        '"a b.png"', "a b.png"
    )


def _view(value: float, azimuth_deg: float, known: torch.Tensor | None = None) -> View:
    image = torch.full((16, 16, 4), value)
    image[..., 3] = 1.0
    return View(image, Camera.orbit(azimuth_deg, 0.0, width_px=16), known=known)


def test_the_prior_is_shown_the_views_that_are_furthest_apart() -> None:
    """Of eight views in a ring: the first, the one behind it, one at right angles to both; three stay as they are."""
    ring = [_view(0.1 * k, 45.0 * k) for k in range(8)]
    first, second, third = spread_views(ring, 3)
    assert first is ring[0] and second is ring[4]
    assert any(third is side for side in (ring[2], ring[6]))
    assert [id(view) for view in spread_views(ring[:3], 3)] == [id(view) for view in ring[:3]]


def test_rays_mix_the_views_and_leave_unknown_pixels_out() -> None:
    """Each view has its own grey; of one view only the left half is known, and only there is its unknown color not."""
    known = torch.zeros(16, 16, dtype=torch.bool)
    known[:, :8] = True
    half = _view(0.2, 0.0, known)
    half.image[:, 8:, :3] = 0.9
    pixels = GivenPixels(Observations((half, _view(0.4, 90.0), _view(0.6, 180.0))), torch.device("cpu"))
    rays, target, colored = pixels.draw(3000, torch.Generator().manual_seed(0))
    assert colored and rays.origins.shape == (3000, 3)
    greys, counts = target[:, 0].unique(return_counts=True)
    torch.testing.assert_close(greys, torch.tensor([0.2, 0.4, 0.6]))
    assert counts.tolist() == [1000, 1000, 1000]
    of_half = rays.origins[target[:, 0] == greys[0]]
    torch.testing.assert_close(of_half, half.camera.position.expand_as(of_half))
    along = (rays.directions[target[:, 0] == greys[0]] * half.camera.camera_to_world[:3, 0]).sum(-1)
    assert float(along.max()) <= 0.0  # the left half of the picture
