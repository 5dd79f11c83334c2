"""Figures of a result: what they show is what was logged, given and rendered."""

from __future__ import annotations

import base64
import io
import math
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nerf2mesh
from nerf2mesh.report import read_metrics
from nerf2mesh.run.plots import curve_figure
from tests.tiny_run import PLAIN


def test_figures_of_a_run(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = nerf2mesh.fit(nerf2mesh.demo_picture(), overrides=PLAIN, output_dir=tmp_path / "run")
    logged = read_metrics(tmp_path / "run/metrics.jsonl")
    assert [row["step"] for row in result.history] == [row["step"] for row in logged] == [1, 2, 3, 4]
    made = result.plot(size_px=32)
    assert made.curves is not None and made.views is not None and made.compared is not None
    (line,) = made.curves.axes[0].lines
    assert np.array_equal(line.get_xdata(), [1, 2, 3, 4])
    assert np.allclose(line.get_ydata(), [-10.0 * math.log10(row["loss/color"]) for row in logged])
    assert [len(axis.images) for axis in made.views.axes] == [1] * 8
    view = result.observations.views[0].image
    white = (view[..., :3] * view[..., 3:] + 1.0 - view[..., 3:]).numpy()
    assert np.allclose(made.compared.axes[0].images[0].get_array(), white, atol=1e-6)
    titles = [axis.get_title() for axis in made.compared.axes]
    shown = result.metrics["input view PSNR"]["value"], result.metrics["input view PSNR, mesh"]["value"]
    assert titles == ["input", f"field, {shown[0]:.1f} dB", f"mesh, {shown[1]:.1f} dB"]
    pictures = re.findall(r"base64,([^\"]+)", made._repr_html_())
    assert len(pictures) == 3
    assert all(Image.open(io.BytesIO(base64.b64decode(data))).width > 200 for data in pictures)


def test_curves_with_a_large_range_are_logarithmic() -> None:
    pytest.importorskip("matplotlib")
    rows = [{"step": k, "loss/mask": 10.0**-k, "field/opacity": 0.5} for k in range(1, 6)]
    figure = curve_figure(rows)
    assert figure is not None
    scales = {axis.get_title(): axis.get_yscale() for axis in figure.axes[:2]}
    assert scales == {"loss": "log", "field": "linear"}
    assert curve_figure([]) is None


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ValueError, match=r"^plot: expected the package matplotlib.*nerf2mesh\[notebook\]"):
        curve_figure([{"step": 1, "loss/mask": 1.0}])
