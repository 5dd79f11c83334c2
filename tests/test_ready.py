"""What would fail at the end of a run is refused before its first step."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import nerf2mesh
from nerf2mesh import cli
from nerf2mesh.config import load_config
from nerf2mesh.fields import HashGridField
from nerf2mesh.run import ready
from tests.inputs.pictures import disc_on
from tests.test_fit_arguments import OVERRIDES, ball

Usage = namedtuple("Usage", "total used free")


def test_a_full_disk_and_a_missing_package_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(["preset=tiny"])
    field = HashGridField(config.field, torch.Generator().manual_seed(0))
    ready.check_ready(config, field, None)
    monkeypatch.setattr(ready.shutil, "disk_usage", lambda _: Usage(1, 1, 1 << 40))
    ready.check_ready(config, field, tmp_path)
    monkeypatch.setattr(ready.shutil, "disk_usage", lambda _: Usage(1, 1, 1 << 20))
    with pytest.raises(ValueError, match=r"^output_dir: expected \d+ MB of free disk .* got 1 MB; free some space"):
        ready.check_ready(config, field, tmp_path)
    monkeypatch.setattr(ready, "find_spec", lambda name: None if name in ready.REMESHERS.values() else True)
    with pytest.raises(ValueError, match=r"^mesh\.remesh: expected the package pyinstantmeshes"):
        ready.check_ready(load_config(["preset=tiny", "mesh.remesh=quad"]), field, None)


def test_formats_are_tried_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready.check_formats(("glb", "obj", "ply", "stl", "3mf", "usdz"))
    monkeypatch.setattr("nerf2mesh.mesh.export.threemf.find_spec", lambda name: None if name == "lxml" else True)
    overrides = [*OVERRIDES, "mesh.formats=[stl,3mf]"]
    with pytest.raises(
        ValueError, match=r"^mesh\.formats: cannot write 3mf: expected the package lxml .*nerf2mesh\[print\]"
    ):
        nerf2mesh.fit(observations=ball(), overrides=overrides, output_dir=tmp_path)
    assert not (tmp_path / "metrics.jsonl").exists()


def test_a_package_of_the_last_steps_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "find_spec", lambda name: None if name == "xatlas" else True)
    with pytest.raises(ValueError, match=r"^mesh\.texture: expected the package xatlas, got none"):
        ready.check_ready(load_config(["preset=tiny"]), HashGridField(), None)
    monkeypatch.setattr(ready, "find_spec", lambda name: None if name == "imageio_ffmpeg" else True)
    with pytest.raises(ValueError, match=r"^report\.turntable_frames: expected the package imageio-ffmpeg, got none"):
        ready.check_ready(load_config(["preset=tiny"]), HashGridField(), None)
    ready.check_ready(load_config(["preset=tiny", "report.turntable_frames=0"]), HashGridField(), None)


def test_a_format_that_fails_at_the_end_keeps_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its writer works before the first step and fails after the last: mesh, report and the others are there."""
    picture = tmp_path / "disc.png"
    disc_on((255, 255, 255), (200, 40, 30)).save(picture)
    monkeypatch.setattr(ready, "check_formats", lambda _: None)
    monkeypatch.setattr("nerf2mesh.mesh.export.files.write_usdz", lambda *_: 1 / 0)
    command = [
        "nerf2mesh",
        f"input.image={picture}",
        *OVERRIDES,
        "mesh.formats=[usdz,stl]",
        f"output_dir={tmp_path / 'run'}",
    ]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"mesh.glb", "mesh.stl", "report.html", "metrics.json"} <= names and "mesh.usdz" not in names
    assert (
        "error: formats: expected all files to be written, got errors for 1 (mesh.usdz: division"
        in capsys.readouterr().err
    )


def test_provenance_is_made_before_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def about() -> dict[str, object]:
        raise TypeError("an entry of model_index.json is no list")

    prior = SimpleNamespace(about=about)
    guidance = SimpleNamespace(prior=prior, priors={"prior": prior})
    monkeypatch.setattr("nerf2mesh.run.fit.load_guidance", lambda *_: guidance)
    with pytest.raises(TypeError, match="model_index"):
        nerf2mesh.fit(observations=ball(), overrides=OVERRIDES, output_dir=tmp_path)
    assert not (tmp_path / "metrics.jsonl").exists()
