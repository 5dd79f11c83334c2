"""Warnings of a run reach terminal, warnings.json and result; what the mesh has lost of the field is said."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import nerf2mesh
from nerf2mesh.config import load_config
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.shapes import icosphere
from nerf2mesh.mesh.texture import unwrap
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.run.finish import mesh_losses, other_charts
from nerf2mesh.run.result import Result
from nerf2mesh.run.warned import as_lines, kept, warn
from nerf2mesh.types import Camera, Observations
from tests.test_fit_arguments import OVERRIDES, ball


def test_warnings_of_the_input_reach_the_terminal_the_file_and_the_result(tmp_path: Path) -> None:
    seen = replace(ball(), notes={"warnings": ["the object touches the border"]})
    with pytest.warns(UserWarning, match="touches the border"):
        result = nerf2mesh.fit(observations=seen, overrides=OVERRIDES, output_dir=tmp_path)
    assert "the object touches the border" in result.warnings
    assert json.loads((tmp_path / "warnings.json").read_text("utf-8")) == result.warnings


def test_own_warnings_are_kept_once_and_shown(recwarn: pytest.WarningsRecorder) -> None:
    lines: list[str] = []
    with kept(lines):
        for _ in range(2):
            inside = {"warnings": warnings}
            exec(compile("warnings.warn('of the prior')", nerf2mesh.__file__, "exec"), inside)
        warnings.warn("of another package", stacklevel=1)
    assert lines == ["of the prior"]
    assert {str(item.message) for item in recwarn.list} >= {"of the prior", "of another package"}


def test_the_command_prints_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings(), as_lines():
        warnings.simplefilter("always")
        warnings.showwarning = lambda m, c, f, n, *_: print(warnings.formatwarning(m, c, f, n), end="")
        assert warn(["two  words\nof input"]) == ["two  words\nof input"]
    assert capsys.readouterr().out == "warning: two words of input\n"


def moved(mesh: TriangleMesh, y: float) -> TriangleMesh:
    return TriangleMesh(mesh.vertices + np.array([0.0, y, 0.0]), mesh.faces)


def lost(shown: TriangleMesh, got: TriangleMesh, dropped: float) -> list[str]:
    """The warnings where a field looks like `shown` and its mesh is `got`."""

    class Field:
        def render(self, camera: Camera, **_: object) -> object:
            return rasterize_mesh(shown, camera)

    facts = {"repair": {"found": 3, "cavities": 1, "kept": 1, "dropped_share": dropped}}
    result = Result(got, None, Field(), Observations(), load_config(["preset=tiny"]), facts=facts)  # type: ignore[arg-type]
    return mesh_losses(result)


def test_lost_pieces_and_silhouettes_are_said() -> None:
    one = moved(icosphere(3, 0.3), -0.5)
    two = TriangleMesh(
        np.concatenate([one.vertices, moved(one, 1.0).vertices]),
        np.concatenate([one.faces, one.faces + one.n_vertices]),
    )
    assert lost(two, two, 0.0) == []
    pieces, outline = lost(two, one, 0.5)
    assert pieces.startswith("1 pieces with 50% of the mesh's silhouette were dropped; mesh.keep_components=0")
    assert "disagree by" in outline and 0.4 < float(outline.split("IoU ")[1].split(")")[0]) < 0.6
    assert lost(two, two, 0.04) == []


def test_the_comparison_that_was_made_anyway_is_used() -> None:
    facts = {"repair": {"dropped_share": 0.0}, "bake": {"mask_iou": 0.93}}
    (said,) = mesh_losses(SimpleNamespace(facts=facts))  # type: ignore[arg-type]
    assert "disagree by 7% (IoU 0.93)" in said and torch.is_grad_enabled()


def test_charts_of_another_kind_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """xatlas killed by the system: the run ends with a mesh, and terminal, file and result say that it is another."""
    worker = tmp_path / "worker.py"
    worker.write_text("import os; os.kill(os.getpid(), 9)")
    monkeypatch.setattr(unwrap, "WORKER", worker)
    settings = [*OVERRIDES, "mesh.texture=true", "mesh.texture_size=64"]
    with pytest.warns(UserWarning, match="SIGKILL; the texture's charts were made by box projection"):
        result = nerf2mesh.fit(observations=ball(), overrides=settings, output_dir=tmp_path / "run")
    assert any("not the mesh which xatlas gives" in line for line in result.warnings)
    assert json.loads((tmp_path / "run/warnings.json").read_text("utf-8")) == result.warnings
    assert other_charts({"unwrap": {"method": "box projection", "reason": "the time limit of xatlas is 0"}}) == []
    assert other_charts({"unwrap": None, "lods": [{"unwrap": {"method": "box projection", "reason": "slow"}}]})


def test_a_warning_of_a_run_shows_no_source(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = lambda *parts: print(warnings.formatwarning(*parts[:4]), end="")
        said: list[str] = []
        with kept(said):
            warn(["the picture is small"])
    assert capsys.readouterr().out == "nerf2mesh:1: UserWarning: the picture is small\n"
    assert said == ["the picture is small"]
