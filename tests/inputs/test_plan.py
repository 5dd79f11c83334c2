"""Floor plans that the tests draw from known rooms: rooms, areas, openings, names, closed parts, and bad plans."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image, ImageFilter

pytest.importorskip("shapely", reason="needs the plans extra")

from nerf2mesh.api import fit
from nerf2mesh.config import load_config
from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.plan import read_plan
from nerf2mesh.mesh.export.scene import save_scene
from nerf2mesh.mesh.solid.building import building_parts
from tests.inputs import drawn_plans as draw
from tests.test_bad_input import _command, _refused

PLANS = draw.PLANS
PNG = dict.fromkeys(PLANS, 20.0) | {"round": 15.0}
WAYS = [
    *((name, f"png {mm:g}") for name, mm in PNG.items()),
    *((name, kind) for name in PLANS for kind in ("pdf", "svg", "dxf outline")),
    *((name, kind) for name in ("two_rooms", "bay") for kind in ("svg strokes", "dxf hatch", "dxf double")),
]


def _write(plan: draw.Drawn, kind: str, folder: Path) -> InputConfig:
    form, _, style = kind.partition(" ")
    path = folder / f"plan.{form}"
    if form == "png":
        draw.write_png(plan, path, float(style))
        return InputConfig(kind="plan", image=str(path), mm_per_px=float(style))
    if form == "pdf":
        return InputConfig(kind="plan", image=str(draw.write_pdf(plan, path, 100.0)), scale=100.0)
    if form == "svg":
        draw.write_svg(plan, path, 10.0, strokes=style == "strokes")
        return InputConfig(kind="plan", image=str(path), mm_per_px=10.0)
    return InputConfig(kind="plan", image=str(draw.write_dxf(plan, path, style=style)))


SLOW = {
    ("four_rooms", "pdf"),
    ("four_rooms", "svg"),
    ("bay", "pdf"),
    ("bay", "svg"),
    ("round", "pdf"),
    ("two_rooms", "svg"),
    ("slanted", "pdf"),
    ("slanted", "svg"),
    ("six_rooms", "pdf"),
    ("six_rooms", "svg"),
}
"""PDF is read with two_rooms and SVG with round; these plans are read from DXF and from pictures."""


@pytest.mark.parametrize(("name", "kind"), [pytest.param(*w, marks=pytest.mark.slow) if w in SLOW else w for w in WAYS])
def test_rooms_areas_and_openings(name: str, kind: str, tmp_path: Path) -> None:
    truth = PLANS[name]()
    plan = read_plan(_write(truth, kind, tmp_path))
    assert len(plan.rooms) == len(truth.areas_m2)
    assert [room.area_m2 for room in plan.rooms] == pytest.approx(truth.areas_m2, rel=0.02)
    found = sorted((o.kind, *np.round(o.gap.middle, 1), round(o.gap.width, 1)) for o in plan.openings)
    drawn = sorted((o.kind, *np.round(np.mean([o.start, o.stop], 0), 1), round(o.width, 1)) for o in truth.openings)
    assert [row[0] for row in found] == [row[0] for row in drawn]
    assert np.array([row[1:] for row in found]) == pytest.approx(np.array([row[1:] for row in drawn]), abs=0.11)
    assert all(len(set(o.rooms)) == 2 for o in plan.openings)


@pytest.mark.parametrize(("name", "kind"), [("two_rooms", "png 20"), ("round", "dxf outline"), ("bay", "svg")])
def test_parts_are_closed_named_and_in_metres(name: str, kind: str, tmp_path: Path) -> None:
    """Read back by another library; the volumes are areas times heights."""
    truth, config = PLANS[name](), _write(PLANS[name](), kind, tmp_path)
    plan = read_plan(config)
    parts = building_parts(plan, config)
    assert all(part.mesh.is_watertight for part in parts)
    scene = trimesh.load(save_scene(parts, tmp_path / "plan.glb"))
    names = {o.name for o in plan.openings} | {"walls"}
    names |= {f"{kind}_{room.name}" for room in plan.rooms for kind in ("floor", "ceiling")}
    assert set(scene.geometry) == names == set(scene.graph.nodes_geometry)
    for node in scene.geometry.values():
        node.merge_vertices(merge_norm=True, merge_tex=True)
        assert node.is_watertight and node.volume > 0
    floors = [scene.geometry[f"floor_{room.name}"] for room in plan.rooms]
    assert [floor.volume for floor in floors] == pytest.approx([0.1 * area for area in truth.areas_m2], rel=0.02)
    cut = sum(o.gap.region.area * (o.head_m - (o.sill_m if o.kind == "window" else -0.1)) for o in plan.openings)
    assert scene.geometry["walls"].volume == pytest.approx(plan.walls.area * 2.7 - cut, rel=0.002)
    low, high = scene.bounds
    assert (low[1], high[1]) == pytest.approx((-0.1, 2.6), abs=1e-6)
    wide = np.ptp(truth.region().bounds[0::2]), np.ptp(truth.region().bounds[1::2])
    assert (high - low)[[0, 2]] == pytest.approx(wide, abs=0.05)
    middle = np.mean(np.reshape(truth.region().bounds, (2, 2)), axis=0)
    assert (low + high)[[0, 2]] / 2 == pytest.approx([middle[0], -middle[1]], abs=0.03)


def test_each_room_has_a_color_of_its_own(tmp_path: Path) -> None:
    config = _write(draw.four_rooms(), "svg", tmp_path)
    plan = read_plan(config)
    scene = trimesh.load(save_scene(building_parts(plan, config), tmp_path / "plan.glb"))
    colors = {tuple(scene.geometry[f"floor_{room.name}"].visual.material.baseColorFactor) for room in plan.rooms}
    assert len(colors) == 4


def test_rooms_are_called_as_their_labels(tmp_path: Path) -> None:
    for kind in ("dxf outline", "svg"):
        plan = read_plan(_write(draw.four_rooms(), kind, tmp_path))
        assert [room.name for room in plan.rooms] == ["bath", "study", "hall", "living"]
    unnamed = read_plan(_write(draw.four_rooms(), "png 20", tmp_path))
    assert [room.name for room in unnamed.rooms] == ["room_1", "room_2", "room_3", "room_4"]


def test_a_blurred_noisy_scan_on_yellowed_paper(tmp_path: Path) -> None:
    truth = draw.two_rooms()
    config = _write(truth, "png 10", tmp_path)
    clean = Image.open(config.image).filter(ImageFilter.GaussianBlur(1.2))
    noise = np.random.default_rng(0).normal(0.0, 12.0, (*clean.size[::-1], 1))
    paper = np.asarray(clean)[..., None] * np.array([0.95, 0.9, 0.75]) + noise
    Image.fromarray(paper.clip(0, 255).astype(np.uint8)).save(tmp_path / "scan.jpg", quality=80)
    plan = read_plan(InputConfig(kind="plan", image=str(tmp_path / "scan.jpg"), mm_per_px=10.0))
    assert [room.area_m2 for room in plan.rooms] == pytest.approx(truth.areas_m2, rel=0.02)
    assert sorted(o.kind for o in plan.openings) == sorted(o.kind for o in truth.openings)


def test_units_of_a_dxf(tmp_path: Path) -> None:
    truth = draw.two_rooms()
    for unit_mm, code in ((1000.0, 6), (10.0, 5), (25.4, 1)):
        path = draw.write_dxf(truth, tmp_path / "plan.dxf", unit_mm=unit_mm, insunits=code)
        plan = read_plan(InputConfig(kind="plan", image=str(path)))
        assert [room.area_m2 for room in plan.rooms] == pytest.approx(truth.areas_m2, rel=0.001) and not plan.warnings
    path = draw.write_dxf(truth, tmp_path / "plan.dxf", unit_mm=1.0, insunits=0)
    plan = read_plan(InputConfig(kind="plan", image=str(path)))
    assert "taken for millimetres" in plan.warnings[0] and plan.rooms[0].area_m2 == pytest.approx(17.108, rel=0.001)


def test_a_passage_without_a_door(tmp_path: Path) -> None:
    """One room with two parts, which is said; or two rooms and a passage."""
    truth = draw.two_rooms()
    truth.bare = [truth.openings[0]]
    config = _write(truth, "png 20", tmp_path)
    plan = read_plan(config)
    assert len(plan.rooms) == 1 and plan.rooms[0].area_m2 == pytest.approx(sum(truth.areas_m2) + 0.9 * 0.12, rel=0.01)
    assert "open between parts of one room: 0.9" in plan.warnings[0] and "x 5.0" in plan.warnings[0]
    divided = read_plan(InputConfig(kind="plan", image=config.image, mm_per_px=20.0, gaps="passage"))
    assert [room.area_m2 for room in divided.rooms] == pytest.approx(truth.areas_m2, rel=0.02)
    assert sorted(o.kind for o in divided.openings) == ["door", "passage", "window", "window", "window"]


def test_the_command_leaves_a_run_folder(tmp_path: Path) -> None:
    truth = draw.two_rooms()
    path, folder = draw.write_svg(truth, tmp_path / "flat.svg", 10.0), tmp_path / "run"
    words = (
        "input=plan",
        f"input.image={path}",
        "input.mm_per_px=10",
        "report.quiet=true",
        "report.turntable_frames=4",
    )
    done = _command(*words, f"output_dir={folder}")
    assert done.code == 0, done.stderr
    for name in ("mesh.glb", "report.html", "provenance.json", "metrics.json", "rooms.json", "config.yaml"):
        assert (folder / name).is_file()
    table = json.loads((folder / "rooms.json").read_text())
    assert [room["area_m2"] for room in table["rooms"]] == pytest.approx(truth.areas_m2, rel=0.002)
    assert table["rooms"][0]["openings"] == ["window_3", "door_1", "door_2"]
    assert json.loads((folder / "metrics.json").read_text())["rooms"] == 2
    text = (folder / "report.html").read_text()
    assert "<h2>Rooms</h2>" in text and "17.11 m²" in text
    again = _command(*words, f"output_dir={folder}")
    assert again.code == 0, again.stderr
    _refused(_command(*words, "input.wall_height_m=3", f"output_dir={folder}"), "wall_height_m was 2.5, now 3")


def test_fit_returns_the_parts_and_saves_every_format(tmp_path: Path) -> None:
    path = draw.write_svg(draw.two_rooms(), tmp_path / "flat.svg", 10.0)
    result = fit(path, config=load_config(["input=plan", "input.mm_per_px=10", "report=quiet"]))
    assert [part.name for part in result.parts][:3] == ["walls", "floor_kitchen", "ceiling_kitchen"]
    assert result.mesh is not None and result.field is None
    files = result.save(tmp_path / "out", ["glb", "obj", "stl"])
    sizes = [np.ptp(trimesh.load(file, force="mesh").bounds, axis=0).max() for file in files]
    assert sizes == pytest.approx([8.3, 8.3, 8300.0], rel=1e-4)


@pytest.mark.parametrize("kind", ["png 20", "dxf outline"])
def test_open_walls_are_named_and_drawn(kind: str, tmp_path: Path) -> None:
    truth = draw.two_rooms()
    truth.bare = [truth.openings[1]]  # the front door's place, 1 m wide at (2.5, 1.15)
    config, folder = _write(truth, kind, tmp_path), tmp_path / "run"
    scale = [f"input.mm_per_px={config.mm_per_px}"] if config.mm_per_px else []
    done = _command("input=plan", f"input.image={config.image}", f"output_dir={folder}", *scale)
    _refused(done, "a gap of 1.0", "x 2.5", "y 1.1", str(folder / "open_walls.png"))
    shown = np.asarray(Image.open(folder / "open_walls.png").convert("RGB")).astype(int)
    red = (shown[..., 0] > 180) & (shown[..., 1] < 90)
    row, column = np.argwhere(red).mean(0)
    low_x, low_y, high_x, _ = truth.region().bounds
    scale_px = (1000 - 160) / (high_x - low_x)
    assert column == pytest.approx(80 + (2.5 - low_x) * scale_px, abs=8)
    assert shown.shape[0] - row == pytest.approx(80 + (1.15 - low_y) * scale_px, abs=8)


def test_bad_plans_end_with_one_line(tmp_path: Path) -> None:
    import ezdxf

    lines = ezdxf.new()
    for k in range(5):
        lines.modelspace().add_line((k, 0), (k + 3.0, 4.0), dxfattribs={"layer": "WALLS"})
    lines.saveas(tmp_path / "lines.dxf")
    ezdxf.new().saveas(tmp_path / "empty.dxf")
    (tmp_path / "text.dxf").write_text("no drawing")
    (tmp_path / "empty.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="100" height="100"/>')
    (tmp_path / "broken.svg").write_text("<svg")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    Image.new("L", (300, 200), 250).save(tmp_path / "empty.png")
    draw.write_png(draw.two_rooms(), tmp_path / "plan.png", 20.0)
    draw.write_dxf(draw.two_rooms(), tmp_path / "plan.dxf")
    half = draw.Drawn([(np.array([(1.0, 5.0), (1.0, 1.0), (6.0, 1.0)]), 0.2)], [], [], (8.0, 6.0))
    draw.write_png(half, tmp_path / "half.png", 20.0)
    cases: list[tuple[str, dict[str, object], list[str]]] = [
        ("lines.dxf", {}, ["closed outlines", "5 lines", "layer WALLS"]),
        ("empty.dxf", {}, ["empty model space"]),
        ("text.dxf", {}, ["expected a DXF file"]),
        ("empty.svg", {"mm_per_px": 10.0}, ["empty page"]),
        ("broken.svg", {"mm_per_px": 10.0}, ["expected an SVG file"]),
        ("broken.pdf", {"scale": 100.0}, ["expected a PDF"]),
        ("broken.pdf", {}, ["input.scale", "there is no default"]),
        ("empty.svg", {}, ["input.mm_per_px", "there is no default"]),
        ("empty.png", {"mm_per_px": 10.0}, ["empty page"]),
        ("plan.png", {}, ["input.mm_per_px", "there is no default"]),
        ("plan.png", {"mm_per_px": 0.5}, ["input.mm_per_px"]),
        ("half.png", {"mm_per_px": 20.0}, ["at least one room", "open ends at", "x 1.0", "x 6.1"]),
        ("plan.dxf", {"wall_layers": ["Mauern"]}, ["input.wall_layers", "A-WALL", "Mauern"]),
        ("missing.dxf", {}, ["no file"]),
    ]
    for name, settings, said in cases:
        with pytest.raises(ValueError) as refused:
            read_plan(InputConfig(kind="plan", image=str(tmp_path / name), **settings))
        message = str(refused.value)
        assert message.startswith("input.") and "\n" not in message and "; " in message
        for words in said:
            assert words in message, message
