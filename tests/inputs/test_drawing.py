"""Engineering drawings of twenty known parts: the solid, its size, what is ignored, and contradicting views."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import manifold3d
import numpy as np
import pytest
import torch
import trimesh

pytest.importorskip("shapely", reason="needs the plans extra")

import ezdxf
import shapely
import shapely.ops
from shapely.geometry import Polygon

from benchmarks.drawings import measured
from nerf2mesh.fields import FieldConfig, HashGridField, bound_of
from nerf2mesh.inputs import load_observations
from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.drawing import read_drawing
from nerf2mesh.mesh import MeshConfig, extract_mesh
from nerf2mesh.mesh.solid.hull import hull_parts
from nerf2mesh.mesh.triangle_mesh import TriangleMesh
from tests.inputs import drawn_parts as draw
from tests.test_bad_input import _command

PARTS = draw.twenty_parts()


def _solid(mesh: TriangleMesh) -> manifold3d.Manifold:
    return manifold3d.Manifold(manifold3d.Mesh64(mesh.vertices.copy(), mesh.faces.astype(np.uint64)))


def _iou(config: InputConfig, part: draw.Part) -> tuple[float, np.ndarray]:
    """Volume IoU with the known solid, exactly by booleans, and the errors of the size as shares."""
    (found,) = hull_parts(read_drawing(config))
    assert found.mesh.is_watertight
    mesh, truth = _solid(found.mesh).scale((1000.0,) * 3), part.solid()
    size = np.ptp(found.mesh.bounds, axis=0) * 1000.0
    return (mesh ^ truth).volume() / (mesh + truth).volume(), np.abs(size / part.size - 1.0)


EXACT = [k for k in range(20) if k % 3]
"""Parts that the fast tests read from lines; the others they read from pictures. The slow ones do it the other way."""


@pytest.mark.parametrize("k", [k if k in EXACT else pytest.param(k, marks=pytest.mark.slow) for k in range(20)])
def test_part_from_a_dxf(k: int, tmp_path: Path) -> None:
    path = draw.write_dxf(PARTS[k], tmp_path / "part.dxf")
    iou, errors = _iou(InputConfig(kind="drawing", image=str(path)), PARTS[k])
    assert iou > 0.999 and errors.max() < 1e-4


@pytest.mark.parametrize("k", [pytest.param(k, marks=pytest.mark.slow) if k in EXACT else k for k in range(20)])
def test_part_from_a_png(k: int, tmp_path: Path) -> None:
    path = draw.write_png(PARTS[k], tmp_path / "part.png", 0.25)
    iou, errors = _iou(InputConfig(kind="drawing", image=str(path), mm_per_px=0.25), PARTS[k])
    assert iou > 0.95 and errors.max() < 0.005


STEPPED = draw.stepped_parts()


@pytest.mark.parametrize("k", range(len(STEPPED)))
def test_inner_lines_say_what_no_silhouette_does(k: int, tmp_path: Path) -> None:
    """Blind holes, a counterbore, bosses and a pocket from behind; the silhouettes alone give the larger hull."""
    part = STEPPED[k]
    path = draw.write_dxf(part, tmp_path / "part.dxf")
    read = _iou(InputConfig(kind="drawing", image=str(path)), part)[0]
    outlines = _iou(InputConfig(kind="drawing", image=str(path), inner_lines=False), part)[0]
    hull, solid = draw.hull(part), part.solid()
    assert read > 0.999 and outlines == pytest.approx(solid.volume() / hull.volume(), abs=1e-3) and outlines < 0.96


@pytest.mark.parametrize("k", [2, 4, 7])
def test_inner_lines_are_read_from_pictures(k: int, tmp_path: Path) -> None:
    path = draw.write_png(STEPPED[k], tmp_path / "part.png", 0.25)
    assert _iou(InputConfig(kind="drawing", image=str(path), mm_per_px=0.25), STEPPED[k])[0] > 0.99


def test_steps_that_a_drawing_leaves_out_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bosses that the view onto them does not show: to take them away would cost the silhouettes from the side."""
    monkeypatch.setattr(draw, "inner_lines", lambda part, view: [])
    part = STEPPED[4]
    read = _iou(InputConfig(kind="drawing", image=str(draw.write_dxf(part, tmp_path / "a.dxf"))), part)[0]
    assert read == pytest.approx(part.solid().volume() / draw.hull(part).volume(), abs=1e-3)


@pytest.mark.parametrize("top", [20.0, 30.0])
def test_a_boss_in_a_pocket_stays(top: float, tmp_path: Path) -> None:
    """Lower than the surface around, and flush with it."""
    part = draw.Part((80.0, 100.0, 60.0), pockets=[("top", (70.0, 50.0), 30.0)])
    path, middles = draw.write_dxf(part, tmp_path / "part.dxf"), draw.layout(part)
    document = ezdxf.readfile(path)
    space = document.modelspace()
    ring = draw.ring_of(0.0, 0.0, 10.0) + middles["top"]
    space.add_lwpolyline(ring.tolist(), close=True, dxfattribs={"layer": "OUTLINE"})
    for view, half in (("front", 35.0), ("right", 25.0)):
        for wide, high in ((half, 30.0), (10.0, top)):
            line = np.array([(-wide, high), (-wide, 0), (wide, 0), (wide, high)] + [(-wide, high)] * (high < 30.0))
            space.add_lwpolyline((line + middles[view]).tolist(), dxfattribs={"layer": "HIDDEN"})
    document.saveas(path)
    (found,) = hull_parts(read_drawing(InputConfig(kind="drawing", image=str(path))))
    mesh = _solid(found.mesh).scale((1000.0,) * 3)
    truth = part.solid() + manifold3d.Manifold.cylinder(top, 10.0, circular_segments=96)
    assert (mesh ^ truth).volume() / (mesh + truth).volume() > 0.999


@pytest.mark.parametrize("k", [0, 6])
def test_dashes_may_be_lines_of_their_own(k: int, tmp_path: Path) -> None:
    """Hidden lines taken apart into dashes of 3 mm, gaps of 1.5 mm; a blind hole, a pocket from behind."""
    path = draw.write_dxf(STEPPED[k], tmp_path / "part.dxf")
    document = ezdxf.readfile(path)
    space = document.modelspace()
    for whole in list(space.query('LWPOLYLINE[layer=="HIDDEN"]')):
        line = shapely.LineString([point[:2] for point in whole.get_points()])
        count = round(line.length / 4.5)
        for n in range(count + 1):
            ends = np.array([n, n + 2 / 3]) * line.length / (count + 2 / 3)
            dash = list(shapely.ops.substring(line, *ends).coords)
            for a, b in pairwise(dash):
                space.add_line(a, b, dxfattribs={"layer": "HIDDEN", "linetype": "CONTINUOUS"})
        space.delete_entity(whole)
    document.saveas(path)
    assert _iou(InputConfig(kind="drawing", image=str(path)), STEPPED[k])[0] > 0.999


def test_two_views_with_a_stated_angle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The view from the top is larger than the front view, and the angle says which is which."""
    layout = draw.layout
    monkeypatch.setattr(draw, "layout", lambda *a: {k: v for k, v in layout(*a).items() if k != "right"})
    path = draw.write_dxf(STEPPED[0], tmp_path / "part.dxf")
    assert _iou(InputConfig(kind="drawing", image=str(path), angle="third"), STEPPED[0])[0] > 0.999
    said = [read_drawing(InputConfig(kind="drawing", image=str(path), angle=a)).warnings for a in ("auto", "third")]
    assert "say input.angle=third" in " ".join(said[0]) and not said[1]


PICTURED = [
    draw.Part((80.0, 100.0, 60.0), blind=[("top", -5.0, 20.0, 10.0, 30.0), ("top", 5.0, -20.0, 10.0, 45.0)]),
    draw.Part(
        (80.0, 100.0, 50.0), base=("top", 20.0), bosses=[(u, v, 9.0) for u in (-38.0, 38.0) for v in (-28.0, 28.0)]
    ),
]
"""Blind holes whose hidden lines overlap in the front view, and four bosses."""


@pytest.mark.parametrize("k", [0, 1])
def test_pictures_of_parts_that_repeat(k: int, tmp_path: Path) -> None:
    path = draw.write_png(PICTURED[k], tmp_path / "part.png", 0.25)
    assert _iou(InputConfig(kind="drawing", image=str(path), mm_per_px=0.25), PICTURED[k])[0] > 0.992


def test_a_fit_is_bound_by_pockets_too(tmp_path: Path) -> None:
    """The bound of a counterbored block, against the solid by manifold3d."""
    part = STEPPED[2]
    path = draw.write_dxf(part, tmp_path / "part.dxf")
    seen = load_observations(InputConfig(kind="drawing", image=str(path), fit=True, size_px=256))
    bound = bound_of(seen.views)
    assert bound is not None
    where = torch.rand(3000, 3, generator=torch.Generator().manual_seed(0)) * 1.9 - 0.95
    unit_mm = 1000.0 * seen.notes["metres_per_unit"]
    shape = part.solid().to_mesh64()
    truth = trimesh.Trimesh(np.asarray(shape.vert_properties)[:, :3], np.asarray(shape.tri_verts), process=False)
    inside, depth = truth.contains(where.numpy() * unit_mm), bound.depth(where).numpy()
    clear = np.abs(depth) > 0.01
    assert np.array_equal(depth[clear] > 0, inside[clear]) and clear.mean() > 0.9 and 500 < inside.sum() < 2000


def test_a_circle_without_hidden_lines_is_no_hole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A boss and a hole look alike in one view."""
    part = draw.Part((60.0, 80.0, 50.0), {}, [("front", 0.0, 0.0, 12.0)])
    drilled = _iou(InputConfig(kind="drawing", image=str(draw.write_dxf(part, tmp_path / "a.dxf"))), part)[0]
    monkeypatch.setattr(draw, "hidden_lines", lambda part, view: [])
    block = draw.Part(part.size)
    whole = _iou(InputConfig(kind="drawing", image=str(draw.write_dxf(part, tmp_path / "b.dxf"))), block)[0]
    assert drilled > 0.999 and whole > 0.999


def test_drawings_that_contradict_themselves(tmp_path: Path) -> None:
    part = PARTS[1]
    swapped = draw.write_dxf(part, tmp_path / "first.dxf", angle="first")
    with pytest.raises(ValueError, match=r"input\.angle: expected first .* got third: .* swapped"):
        read_drawing(InputConfig(kind="drawing", image=str(swapped), angle="third"))
    wide = draw.write_dxf(part, tmp_path / "wide.dxf", stretch={"top": 1.04})
    with pytest.raises(
        ValueError, match=r"a width of .* mm in the front view and of .* mm in the top view .*4\.0% more"
    ):
        read_drawing(InputConfig(kind="drawing", image=str(wide)))
    lone = draw.write_dxf(part, tmp_path / "lone.dxf", stretch={"top": 0.01, "right": 0.01})
    with pytest.raises(ValueError, match="expected a front view with another"):
        read_drawing(InputConfig(kind="drawing", image=str(lone)))


def test_outlines_of_many_corners_come_back_from_pixels(tmp_path: Path) -> None:
    """An ellipse of 32 corners; its sharp rim lies within 0.5 % of the size."""
    part = PARTS[5]
    path = draw.write_png(part, tmp_path / "part.png", 0.25)
    found = hull_parts(read_drawing(InputConfig(kind="drawing", image=str(path), mm_per_px=0.25)))[0].mesh
    figures = measured(TriangleMesh(found.vertices * 1000.0, found.faces), part.solid(), part.size)
    assert figures["edge_error"] < 0.005 and figures["crease_error"] < 0.005 and figures["iou"] > 0.98


@pytest.mark.slow
def test_a_solid_field_within_the_bound_is_the_hull_with_its_edges(tmp_path: Path) -> None:
    """Where the field leaves all solid, marching cubes with sharpening gives the hull, in its real size."""
    part = PARTS[0]
    path = draw.write_dxf(part, tmp_path / "part.dxf")
    seen = load_observations(InputConfig(kind="drawing", image=str(path), fit=True))
    field = HashGridField(FieldConfig(n_levels=2, log2_table_size=8, blob="gaussian", blob_scale=3.0, blob_width=1e3))
    field.bound = bound_of(seen.views)
    config = MeshConfig(resolution=64, smooth_radius=0.0, sharpen=True, target_faces=0, threshold=10.0, texture=False)
    mesh, _ = extract_mesh(field, config=config)
    unit_mm = 1000.0 * seen.notes["metres_per_unit"]
    figures = measured(TriangleMesh(mesh.vertices * unit_mm, mesh.faces), part.solid(), part.size)
    assert figures["iou"] > 0.999 and figures["edge_error"] < 0.005 and figures["size_error"] < 0.005


def test_a_fit_stays_within_the_hull_and_is_in_metres(tmp_path: Path) -> None:
    part, folder = PARTS[2], tmp_path / "run"
    words = ("experiment=drawing", "preset=tiny", f"input.image={draw.write_dxf(part, tmp_path / 'part.dxf')}")
    more = (
        "distill.weight=0",
        "optimize.steps=2",
        "mesh.resolution=40",
        "mesh.threshold=10",
        "mesh.texture=false",
        "input.size_px=256",
        "mesh.sharpen=true",
        "mesh.smooth_radius=0",
    )
    done = _command(*words, *more, "report.quiet=true", "report.turntable_frames=0", f"output_dir={folder}")
    assert done.code == 0, done.stderr
    mesh = trimesh.load(folder / "mesh.glb", force="mesh")
    d, w, h = part.size
    assert 1000 * np.ptp(mesh.bounds, axis=0) == pytest.approx([w, h, d], rel=0.005)
    x, y, z = mesh.vertices.T * 1000.0
    corners = np.stack([z, x, y], axis=1)  # to the world's axes
    for view, (across, up, sign) in draw.AXES.items():
        outline = Polygon(max(draw.silhouette(part, view), key=lambda ring: Polygon(ring).area))
        flip = [sign if axis == 0 else 1.0 for axis in (across, up)]
        seen = corners[:, [across, up]] * flip
        assert shapely.contains_xy(outline.buffer(0.003 * max(part.size)), seen[:, 0], seen[:, 1]).all()


def test_only_drawings_are_fitted_within_their_hull() -> None:
    with pytest.raises(ValueError, match=r"input\.fit: expected false with input=plan, got true"):
        InputConfig(kind="plan", fit=True)


def test_the_command_writes_the_part_in_metres(tmp_path: Path) -> None:
    path, folder = draw.write_dxf(PARTS[2], tmp_path / "part.dxf"), tmp_path / "run"
    words = ("report.quiet=true", "report.turntable_frames=2", f"output_dir={folder}")
    done = _command("input=drawing", f"input.image={path}", *words)
    assert done.code == 0, done.stderr
    mesh = trimesh.load(folder / "mesh.glb", force="mesh")
    mesh.merge_vertices(merge_norm=True)
    d, w, h = PARTS[2].size
    assert mesh.is_watertight and 1000 * np.ptp(mesh.bounds, axis=0) == pytest.approx([w, h, d], rel=1e-4)
