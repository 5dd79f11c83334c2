"""What a job draws of a result."""

from __future__ import annotations

from pathlib import Path

from nerf2mesh.evaluate.protocols.scoring import Prediction
from nerf2mesh.mesh.shapes import box
from nerf2mesh.sweep.jobs import TURNTABLES, VIEWS, _sheet
from tests.evaluate.test_results import case  # noqa: F401


def test_a_method_named_by_many_settings_has_pictures(tmp_path: Path, case) -> None:  # noqa: F811
    """Names of files end at 255 bytes; a method is named by all its settings."""
    method = "nerf2mesh " + " ".join(f"optimize.setting_{k}=value/{k}" for k in range(40))
    assert len(method) > 800
    _sheet(tmp_path, method, case, Prediction(mesh=box()))
    assert len(list((tmp_path / VIEWS).glob("*.png"))) == len(list((tmp_path / VIEWS / TURNTABLES).glob("*.jpg"))) == 1
