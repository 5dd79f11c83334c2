"""The map over directions: its colors against published ones, its places against the angles, odd entries left out."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import torch
from PIL import Image

from nerf2mesh.evaluate.metrics.regions import cielab
from nerf2mesh.report import SPREAD, write_report
from nerf2mesh.report.directions import _srgb, color_of, direction_map, is_map, spread_section

AZIMUTH = [0.0, 90.0, 180.0, 270.0]
ELEVATION = [-15.0, 20.0, 55.0]
ROWS = [[0.1, 0.2, 0.3, 0.2], [0.0, 0.2, 0.4, 0.2], [0.1, 0.3, 0.9, 0.3]]
ENTRY = {"value": 0.25, "azimuth_deg": AZIMUTH, "elevation_deg": ELEVATION, "spread": ROWS, "given_deg": [[0.0, 20.0]]}


@pytest.mark.parametrize(
    ("lab", "srgb"),
    [
        ((1.0, 0.0, 0.0), [255, 255, 255]),
        ((0.62796, 0.22486, 0.12585), [255, 0, 0]),
        ((0.86644, -0.23389, 0.17950), [0, 255, 0]),
        ((0.45201, -0.03246, -0.31153), [0, 0, 255]),
    ],
)
def test_oklab_of_the_primaries_as_css_color_4_has_them(lab: tuple[float, ...], srgb: list[int]) -> None:
    assert _srgb(torch.tensor(lab, dtype=torch.float64).numpy()) == srgb


def test_lightness_falls_all_the_way_in_near_even_steps() -> None:
    colors = [color_of(k / 20) for k in range(21)]
    srgb = torch.tensor([[int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)] for color in colors])
    steps = -cielab(srgb)[:, 0].diff()
    assert float(steps.min()) > 2.0 and float(steps.max()) < 7.0
    assert color_of(-1.0) == colors[0] and color_of(2.0) == colors[-1]


def test_each_direction_has_its_cell_and_the_given_view_its_circle() -> None:
    drawn = ElementTree.fromstring(direction_map(AZIMUTH, ELEVATION, ROWS, [(90.0, 20.0), (-90.0, 99.0)]))
    cells = {rect.findtext("title"): rect.attrib for rect in drawn.iter("rect") if rect.find("title") is not None}
    assert len(cells) == 12
    darkest = cells["azimuth 180, elevation 55 degrees: 0.9"]
    assert darkest["fill"] == color_of(1.0) and cells["azimuth 0, elevation 20 degrees: 0"]["fill"] == color_of(0.0)
    place = {name: (float(cell["x"]), float(cell["y"])) for name, cell in cells.items()}
    assert place["azimuth 180, elevation 55 degrees: 0.9"][1] < place["azimuth 180, elevation -15 degrees: 0.3"][1]
    assert place["azimuth 0, elevation 20 degrees: 0"][0] < place["azimuth 90, elevation 20 degrees: 0.2"][0]
    circles = [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in drawn.iter("circle")]
    for circle, cell in (
        (circles[0], "azimuth 90, elevation 20 degrees: 0.2"),
        (circles[2], "azimuth 270, elevation 55 degrees: 0.3"),
    ):
        box = cells[cell]
        middle = [float(box[at]) + float(box[size]) / 2 for at, size in (("x", "width"), ("y", "height"))]
        assert circle == pytest.approx(middle, abs=0.2)


def test_equal_values_are_drawn_in_one_color() -> None:
    drawn = ElementTree.fromstring(direction_map(AZIMUTH, [0.0], [[0.3] * 4]))
    assert {r.attrib["fill"] for r in drawn.iter("rect") if r.find("title") is not None} == {color_of(0.0)}


@pytest.mark.parametrize(
    "change",
    [
        {"spread": ROWS[:2]},
        {"spread": [[0.1], *ROWS[1:]]},
        {"spread": [[math.nan, 0.0, 0.0, 0.0], *ROWS[1:]]},
        {"azimuth_deg": []},
        {"elevation_deg": "high"},
        {"given_deg": [["<b>", 0.0]]},
        {"given_deg": [[1.0]]},
    ],
)
def test_what_is_no_map_is_not_drawn(change: dict) -> None:
    assert is_map(ENTRY) and not is_map(ENTRY | change) and spread_section(ENTRY | change, "") == ""


def test_the_report_shows_map_and_guesses_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({SPREAD: ENTRY}))
    Image.new("RGB", (24, 8), (9, 9, 9)).save(tmp_path / "confidence.png")
    text = write_report(tmp_path).read_text()
    assert text.count("<circle") == 2 and "0.25" in text
    assert "Guesses of the least sure direction: azimuth 180, elevation 55 degrees" in text
    (tmp_path / "confidence.png").write_bytes(b"no picture")
    assert "Guesses of the least sure direction" not in write_report(tmp_path).read_text()
    (tmp_path / "metrics.json").write_text(json.dumps({SPREAD: ENTRY | {"spread": [[1]]}}))
    text = write_report(tmp_path).read_text()
    assert "expected a map as" in text and "<svg" not in text
