"""Rounds of refinement from end to end at the smallest size, and what has to fail before the first step."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import nerf2mesh
from nerf2mesh import cli
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.mesh.shapes import icosphere
from nerf2mesh.mesh.texture.bake import texel_points
from nerf2mesh.optimize import LoopState, Problem
from nerf2mesh.optimize.views import GivenPixels
from nerf2mesh.refine.config import RefineConfig
from nerf2mesh.refine.render_command import render_source
from nerf2mesh.refine.round import begin
from nerf2mesh.refine.source import load_source
from nerf2mesh.rights.inspect_file import read_record
from nerf2mesh.run.fit import run_fit
from nerf2mesh.run.refining import START
from nerf2mesh.types import Observations
from tests.refine.shapes import ball, saved
from tests.tiny_run import TINY

FAST = (
    *TINY,
    *("experiment=refine", "optimize.steps=3", "optimize.rays=64", "optimize.preview_every=10"),
    *("refine.start.point_steps=20", "refine.start.points=256", "refine.start.ray_steps=10", "refine.start.rays=128"),
    *("refine.start.views=6", "refine.start.size_px=32", "refine.views=4", "refine.size_px=32"),
    *("report.turntable_frames=0", "report.html=false", "report.quiet=true"),
)
ALONE = ("distill.weight=0.0", "distill.n_views=1")
"""The paint-over alone, without the prior."""
GREEN = (30, 200, 60)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ball.glb, its rendering view.png, the paint-over paint.png (green above) and mask.png."""
    folder = tmp_path_factory.mktemp("refine")
    saved(ball(), folder / "ball.glb")
    render_source(folder / "ball.glb", folder / "view.png", azimuth_deg=20.0, elevation_deg=25.0, size_px=96)
    pixels = np.array(Image.open(folder / "view.png"))
    pixels[:44, :, :3] = GREEN
    Image.fromarray(pixels).save(folder / "paint.png")
    mask = np.zeros((96, 96), np.uint8)
    mask[:44] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    for name in ("paint", "mask"):
        (folder / f"{name}.json").write_text((folder / "view.json").read_text())
    return folder


def _round(place: Path, output: Path | None, *more: str, source: str | Path | None = None) -> nerf2mesh.Result:
    start = source or place / "ball.glb"
    return nerf2mesh.fit(overrides=[f"start_from={start}", *FAST, *more], output_dir=output)


def test_recolored_mesh_keeps_everything_outside_the_mask(place: Path, tmp_path: Path) -> None:
    asked = (f"refine.paint={place}/paint.png", f"refine.mask={place}/mask.png", "refine.keep_topology=true", *ALONE)
    result = _round(place, tmp_path / "green", *asked)
    before, after = (load_source(path).mesh for path in (place / "ball.glb", tmp_path / "green"))
    assert np.array_equal(before.vertices, after.vertices) and np.array_equal(before.uv, after.uv)
    texels, low = _texels(before), texel_points(before, 128, 256).points[:, 2] < -0.1
    assert np.array_equal(_texels(after)[low], texels[low])
    green = np.abs(_texels(after).astype(int) - GREEN).max(1) <= 6
    assert 0.05 < green.mean() < 0.6
    assert result.metrics["outside moved"]["value"] == 0.0
    assert result.metrics["outside color PSNR"]["value"] > 38.0
    assert result.metrics["paint-over PSNR"]["value"] > 20.0


def _texels(mesh: TriangleMesh) -> np.ndarray:
    return mesh.texture[texel_points(mesh, 128, 256).covered][:, :3]


def test_rounds_name_their_parents(place: Path, tmp_path: Path) -> None:
    paint = f"refine.paint={place}/paint.png"
    _round(place, tmp_path / "one", *ALONE, paint, "refine.box=[-1,-1,0.1,1,1,1]")
    _round(place, tmp_path / "two", *ALONE, paint, "refine.sphere=[0,0,0.6,0.4]", source=tmp_path / "one")
    first, second = (json.loads((tmp_path / name / "provenance.json").read_text()) for name in ("one", "two"))
    assert first["parent"]["name"] == "ball.glb" and second["parent"]["name"] == "one"
    assert second["parent"]["sha256"] == load_source(tmp_path / "one").sha256
    rounds = read_record(tmp_path / "two" / "mesh.glb")[3]["people"]["refinement"]
    assert [(row["parent"], row["region"], row["painted"]) for row in rounds] == [
        ("ball.glb", "box", True),
        ("one", "sphere", True),
    ]
    assert str(tmp_path) not in (tmp_path / "two" / "provenance.json").read_text()


@pytest.mark.slow
def test_reshaped_mesh_keeps_vertices_outside_the_box(place: Path) -> None:
    asked = ("refine.box=[-1,-1,0.3,1,1,1]", "refine.change=shape", "refine.keep_topology=true", *ALONE)
    result = _round(place, None, f"refine.paint={place}/paint.png", *asked)
    before, found = load_source(place / "ball.glb").mesh, result.mesh
    below = before.vertices[:, 2] < 0.3
    assert np.array_equal(found.vertices[: before.n_vertices][below], before.vertices[below])
    corners = before.vertices[before.faces][:, :, 2].max(1) < 0.2
    assert {tuple(row) for row in before.faces[corners]} <= {tuple(row) for row in found.faces}


@pytest.mark.slow
def test_remade_mesh_lies_on_the_source_outside_the_box(place: Path) -> None:
    finer = ("mesh.smooth_radius=0.03", "refine.start.point_steps=150", "refine.start.points=1024")
    asked = ("refine.box=[-1,-1,0.3,1,1,1]", "input.prompt=red", "distill.n_views=1", "optimize.lr_encoding=0.001")
    result = _round(place, None, *finer, *asked)
    low = result.mesh.vertices[result.mesh.vertices[:, 2] < 0.25]
    off = np.abs(np.linalg.norm(low, axis=1) - 0.6)
    near = off < 0.05  # at this size the field is hollow, and has a skin inside
    assert near.sum() > 50 and (off[near] < 0.004).mean() > 0.9


def test_file_keeps_the_frame_of_a_large_mesh(place: Path, tmp_path: Path) -> None:
    large = replace(ball(), vertices=ball().vertices * 50.0 + [10.0, 20.0, 30.0])
    saved(large, tmp_path / "large.glb")
    render_source(tmp_path / "large.glb", tmp_path / "paint.png", size_px=64)
    asked = (
        f"refine.paint={tmp_path}/paint.png",
        "refine.box=[-100,-100,45,100,100,100]",
        "refine.keep_topology=true",
        *ALONE,
    )
    _round(place, tmp_path / "run", *asked, source=tmp_path / "large.glb")
    again = load_source(tmp_path / "run")
    own = again.placement.out_of_box(again.mesh.vertices)
    assert np.abs(np.linalg.norm(own - [10, 20, 30], axis=1) - 30).max() < 1e-4


class Killing:
    """A watch that ends the run without notice after step 3, one step after a checkpoint."""

    def step(self, state: LoopState, problem: Problem) -> None:
        if state.step == 3:
            raise InterruptedError

    def keep(self, state: LoopState, folder: Path) -> None: ...
    def finishing(self) -> None: ...
    def finished(self) -> None: ...


@pytest.mark.slow
def test_killed_round_goes_on(place: Path, tmp_path: Path) -> None:
    asked = (f"refine.paint={place}/paint.png", f"refine.mask={place}/mask.png", *ALONE)
    asked = (*asked, "optimize.steps=4", "optimize.checkpoint_every=2")
    whole = _round(place, tmp_path / "whole", *asked)
    cut = nerf2mesh.load_config([f"start_from={place}/ball.glb", *FAST, *asked, f"output_dir={tmp_path}/cut"])
    with pytest.raises(InterruptedError):
        run_fit(cut, watch=Killing())
    assert (tmp_path / "cut" / START).read_bytes() == (tmp_path / "whole" / START).read_bytes()
    again = _round(place, tmp_path / "cut", *asked)
    assert "continued from step 2" in again.warnings
    assert np.array_equal(again.mesh.texture, whole.mesh.texture)


def _error(*arguments: str) -> tuple[int, str]:
    err = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()), redirect_stderr(err):
        patch.setattr("sys.argv", ["nerf2mesh", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
    lines = [line for line in err.getvalue().splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, err.getvalue()
    return int(left.value.code or 0), lines[0].removeprefix("error: ")


def _small_mask(place: Path) -> list[str]:
    Image.new("L", (50, 96), 255).save(place / "narrow.png")
    return [f"refine.mask={place}/narrow.png", f"refine.camera={place}/view.json"]


def _black_mask(place: Path) -> list[str]:
    Image.new("L", (96, 96), 0).save(place / "black.png")
    return [f"refine.mask={place}/black.png", f"refine.camera={place}/view.json"]


def _opaque(place: Path) -> list[str]:
    Image.open(place / "paint.png").convert("RGB").save(place / "opaque.png")
    return [f"refine.paint={place}/opaque.png", f"refine.camera={place}/view.json"]


def _plain(place: Path) -> list[str]:
    mesh = replace(ball(), uv=None, texture=None)
    return [f"start_from={saved(mesh, place / 'plain.glb')}", "refine.keep_topology=true", "refine.box=[-1,-1,0,1,1,1]"]


WRONG: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "mask of another size": (_small_mask, "refine.mask: expected 96 x 96 px as its camera has, got 50 x 96 px"),
    "empty mask": (_black_mask, "refine.mask: expected a region painted white"),
    "opaque paint-over": (_opaque, "refine.paint: expected the transparency"),
    "no uv to keep": (_plain, "refine.keep_topology: expected a mesh with one texture"),
    "region beside the mesh": (lambda _: ["refine.box=[2,2,2,3,3,3]"], "refine.box: expected a region that holds some"),
    "unknown group": (lambda _: ["refine.vertex_group=hat"], "refine.vertex_group: expected a group of ball.glb"),
    "no camera": (lambda p: [f"refine.paint={p}/ball.glb"], "refine.camera: expected the camera of the picture"),
    "no source": (
        lambda p: [f"start_from={p}/none.glb"],
        "start_from: expected a run folder",
    ),
    "picture beside a region": (
        lambda p: [f"input.image={p}/view.png", "refine.box=[-1,-1,0,1,1,1]"],
        "input.image: expected none beside refine.box",
    ),
    "nothing that steers": (
        lambda _: ["refine.box=[-1,-1,0,1,1,1]", "distill.weight=0"],
        "refine.paint: expected a paint-over",
    ),
    "sheet beside a round": (
        lambda _: ["input=plan", "input.image=plan.svg"],
        "start_from: expected a picture, words or nothing beside it, got input=plan",
    ),
    "lit material": (
        lambda _: ["field.material=lambert", "refine.box=[-1,-1,0,1,1,1]"],
        "field.material: expected emissive in a round of refinement",
    ),
    "unseen region": (
        lambda p: [f"refine.paint={p}/paint.png", "refine.sphere=[-0.3,0,-0.5,0.1]", "refine.change=color"],
        "refine.paint: expected a picture that shows the region",
    ),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_what_is_wrong_ends_before_the_first_step(place: Path, tmp_path: Path, name: str) -> None:
    arguments, line = WRONG[name]
    given = [f"start_from={place}/ball.glb", *FAST, f"output_dir={tmp_path}/run", *arguments(place)]
    if any(item.startswith("start_from=") for item in given[1:]):
        given = given[1:]
    code, said = _error(*given)
    assert code == 2 and said.startswith(line)
    assert not (tmp_path / "run" / "checkpoints" / "start.safetensors").exists()


def test_settings_of_a_round_want_a_source() -> None:
    code, said = _error("refine.box=[-1,-1,0,1,1,1]", *TINY)
    assert code == 2 and said.startswith("refine.box: expected a run folder or a mesh to start from")


def test_part_that_is_painted_away_leaves_a_view_of_the_rest(tmp_path: Path) -> None:
    """Two balls; what is in the box vanishes from the paint-over whole, or in part."""
    low, high = (icosphere(2, radius) for radius in (0.4, 0.15))
    up = np.array([0.0, 0.0, 1.0])
    vertices = np.concatenate([low.vertices - 0.3 * up, high.vertices + 0.5 * up])
    mesh = TriangleMesh(vertices, np.concatenate([low.faces, high.faces + low.n_vertices]))
    source = saved(mesh, tmp_path / "balls.glb")
    render_source(source, tmp_path / "paint.png", azimuth_deg=0.0, elevation_deg=0.0, size_px=96)
    pixels = np.array(Image.open(tmp_path / "paint.png"))
    rows = np.flatnonzero((pixels[..., 3] > 0).any(1))
    upper = slice(rows[0], rows[np.flatnonzero(np.diff(rows) > 1)[0]] + 1)
    seen = {}
    for name, gone in (("whole", upper), ("part", slice(upper.start, (upper.start + upper.stop) // 2))):
        painted = pixels.copy()
        painted[gone, :, 3] = 0
        Image.fromarray(painted).save(tmp_path / "paint.png")
        config = RefineConfig(paint=str(tmp_path / "paint.png"), box=[-0.3, -0.3, 0.3, 0.3, 0.3, 0.7], change="shape")
        view = begin(str(source), config, steered=False).painted
        rays, targets, _ = GivenPixels(Observations((view,)), torch.device("cpu")).draw(64, torch.Generator())
        assert len(rays.origins) == 64 and float(targets[:, 3].max()) > 0.9
        seen[name] = view.known
    assert seen["whole"] is None and 0 < int(seen["part"].sum()) < 96 * 96 / 2
