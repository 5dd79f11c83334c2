"""Engineering drawings of twenty known parts: the solid, its size, what is ignored, and contradicting views."""

from __future__ import annotations

from pathlib import Path

import manifold3d
import numpy as np
import pytest
import trimesh

pytest.importorskip("shapely", reason="needs the plans extra")

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.drawing import read_drawing
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


def test_the_command_writes_the_part_in_metres(tmp_path: Path) -> None:
    path, folder = draw.write_dxf(PARTS[2], tmp_path / "part.dxf"), tmp_path / "run"
    words = ("report.quiet=true", "report.turntable_frames=2", f"output_dir={folder}")
    done = _command("input=drawing", f"input.image={path}", *words)
    assert done.code == 0, done.stderr
    mesh = trimesh.load(folder / "mesh.glb", force="mesh")
    mesh.merge_vertices(merge_norm=True)
    d, w, h = PARTS[2].size
    assert mesh.is_watertight and 1000 * np.ptp(mesh.bounds, axis=0) == pytest.approx([w, h, d], rel=1e-4)
