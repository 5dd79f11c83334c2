"""A clip through the usual door: a mesh that moves, in the run folder, the same on a repeat."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nerf2mesh
from nerf2mesh.run.result import Result
from nerf2mesh.run.rigging import rigged
from tests.inputs.test_frames import moving, write
from tests.mesh.moving import Read
from tests.tiny_run import TINY

SETTINGS = ["input=frames", *TINY, "input.size_px=48", "motion.sweeps=1", "report.quiet=true"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("clip") / "clip.png", moving(4), duration=50)


@pytest.fixture(scope="module")
def made(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    folder = tmp_path_factory.mktemp("run") / "run"
    result = nerf2mesh.fit(clip, overrides=[*SETTINGS, "mesh.formats=[glb,usdz]"], output_dir=folder)
    return result, folder


def test_one_topology_and_the_times_of_the_clip(made: tuple[Result, Path]) -> None:
    result, folder = made
    assert result.mesh is not None and result.track is not None
    np.testing.assert_allclose(result.track.times_s, [0.0, 0.05, 0.1, 0.15], atol=1e-9)
    assert result.track.positions.shape == (4, result.mesh.n_vertices, 3)
    np.testing.assert_allclose(result.track.positions[0], result.mesh.vertices, atol=1e-7)
    file = Read(folder / "mesh.glb")
    assert len(file.tree["meshes"][0]["primitives"][0]["targets"]) == 3
    assert (folder / "mesh.usdz").is_file()


def test_it_goes_where_the_disc_goes(made: tuple[Result, Path]) -> None:
    """4 px a frame to the right, which is +Y; see test_frames for the size of a pixel."""
    result, folder = made
    assert result.track is not None
    per_px = 2.0 * 3.2 * np.tan(np.radians(20.0)) / (32.0 / 0.7)
    middle = 0.5 * (result.track.positions.min(1) + result.track.positions.max(1))
    np.testing.assert_allclose((middle - middle[0])[:, 1], 4.0 * per_px * np.arange(4), atol=0.12)
    np.testing.assert_allclose((middle - middle[0])[:, [0, 2]], 0.0, atol=0.12)
    measured = json.loads((folder / "metrics.json").read_text())
    assert measured["frames, mean silhouette IoU"]["value"] > measured["frames, mean silhouette IoU"]["baseline"] + 0.1
    assert measured["frames, flicker"]["value"] < 0.05


def test_the_field_moves_along(made: tuple[Result, Path]) -> None:
    """Its silhouette's middle goes as far as the mesh's, as long as it stays in the box."""
    result, _ = made
    assert result.track is not None
    camera = nerf2mesh.Camera.orbit(0.0, 10.0, width_px=40)
    middles = []
    for time in (0.0, 0.05):
        opacity = result.render_at(camera, time).opacity.numpy()
        middles.append((opacity.sum(0) @ np.arange(40)) / opacity.sum())
    went = (result.track.positions[1] - result.track.positions[0])[:, 1].mean() / 3.2 * float(camera.focal_px[0])
    assert middles[1] - middles[0] == pytest.approx(went, rel=0.2)


def test_with_a_rig_the_files_have_a_skeleton_that_moves(made: tuple[Result, Path], tmp_path: Path) -> None:
    """mesh.rig=auto: a disc that wanders gets a spine; its root goes the same way, and GLB and USDZ hold no morphs."""
    config = replace(made[0].config, mesh=replace(made[0].config.mesh, rig="auto"))
    result = replace(made[0], config=config, facts={}, metrics={})
    said = rigged(result)
    assert result.rig is not None and result.rig_clip is not None and result.track is not None
    assert any("spine" in line for line in said)
    frames, measured = result.facts["rig"]["frames"], result.metrics["frames, skeleton's mean residual"]
    assert 0.0 < frames["mean_residual"] < 0.3 * frames["still_mean_residual"]
    assert isinstance(measured, dict) and measured["value"] == pytest.approx(frames["mean_residual"], abs=1e-5)
    written = result.save(tmp_path, ["glb", "usdz", "obj"])
    tree = Read(tmp_path / "mesh.glb").tree
    assert "targets" not in tree["meshes"][0]["primitives"][0] and len(tree["skins"]) == 1
    assert [animation["name"] for animation in tree["animations"]] == ["frames"]
    times = Read(tmp_path / "mesh.glb").rows(tree["animations"][0]["samplers"][0]["input"])[:, 0]
    np.testing.assert_allclose(times, result.track.times_s, atol=1e-6)
    layer = (tmp_path / "mesh.usdz").read_bytes()
    assert b'def SkelAnimation "frames"' in layer and b"points.timeSamples" not in layer
    assert len(written) == 3 and len(list((tmp_path / "mesh_frames").glob("*.obj"))) == 4
    assert (tmp_path / "rig.json").is_file()


@pytest.mark.slow
def test_a_repeat_is_equal_bit_for_bit(clip: Path, made: tuple[Result, Path], tmp_path: Path) -> None:
    """Also of the file, though it lies in another folder."""
    again = nerf2mesh.fit(clip, overrides=[*SETTINGS, "mesh.formats=[glb,usdz]"], output_dir=tmp_path / "run")
    result, folder = made
    assert again.track is not None and result.track is not None
    np.testing.assert_array_equal(again.track.positions, result.track.positions)
    assert (folder / "mesh.usdz").read_bytes() == (tmp_path / "run" / "mesh.usdz").read_bytes()


def test_other_frames_do_not_go_on_in_the_folder(made: tuple[Result, Path], tmp_path: Path) -> None:
    other = write(tmp_path / "clip.png", moving(5), duration=50)
    with pytest.raises(ValueError, match="output_dir"):
        nerf2mesh.fit(other, overrides=[*SETTINGS, "mesh.formats=[glb,usdz]"], output_dir=made[1])
