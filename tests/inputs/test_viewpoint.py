"""Elevation and field of view from a picture: the arithmetic of the answer, the settings, what a run is told."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from nerf2mesh import load_config
from nerf2mesh.inputs import InputConfig, load_observations
from nerf2mesh.inputs.viewpoint.network import (
    ELEVATIONS_DEG,
    FILL,
    ViewpointConfig,
    ViewpointNetwork,
    bin_centers,
    median_and_share,
)
from nerf2mesh.inputs.viewpoint.predict import estimated, framed
from nerf2mesh.inputs.viewpoint.told import with_fov
from nerf2mesh.inputs.viewpoint.weights import PACKAGED, read_network, read_training, write_network
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.types import Camera


def test_median_and_confidence_of_a_normal_distribution() -> None:
    means, deviation = torch.tensor([-3.0, 12.5, 41.0]), 12.0
    logits = -0.5 * ((bin_centers(ELEVATIONS_DEG) - means[:, None]) / deviation).square()
    median, share = median_and_share(logits, ELEVATIONS_DEG, 10.0)
    assert torch.allclose(median, means, atol=0.3)
    assert torch.allclose(share, torch.tensor(math.erf(10.0 / deviation / math.sqrt(2))), atol=0.02)


def test_all_weight_in_one_bin_is_that_bin() -> None:
    logits = torch.full((1, ELEVATIONS_DEG[2]), -50.0)
    logits[0, 7] = 50.0
    median, share = median_and_share(logits, ELEVATIONS_DEG, 10.0)
    assert float(median) == pytest.approx(float(bin_centers(ELEVATIONS_DEG)[7]), abs=1e-3)
    assert float(share) == pytest.approx(1.0, abs=1e-6)


def test_the_network_sees_the_object_in_the_middle_whatever_the_picture() -> None:
    picture = np.zeros((90, 200, 4), np.float32)
    picture[10:40, 120:180] = (0.8, 0.4, 0.2, 1.0)
    seen = framed(picture, 64)
    rows, columns = torch.nonzero(seen[3] > 0.5).T
    assert float(columns.max() - columns.min() + 1) == pytest.approx(64 * FILL, abs=1.5)
    assert float(rows.max() + rows.min()) == pytest.approx(63, abs=1.5)
    assert float(columns.max() + columns.min()) == pytest.approx(63, abs=1.5)


def _block() -> TriangleMesh:
    """A table-like block, 2 x 2 x 0.8, every side in a color of its own."""
    x, y, z = 0.6, 0.6, 0.24
    corners = np.array([[i, j, k] for i in (-x, x) for j in (-y, y) for k in (-z, z)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    sides = [(0.8, 0.2, 0.2), (0.7, 0.3, 0.2), (0.2, 0.5, 0.7), (0.2, 0.6, 0.6), (0.3, 0.3, 0.3), (0.9, 0.9, 0.8)]
    vertices = np.concatenate([corners[list(quad)] for quad in quads])
    faces = np.concatenate([[(4 * i, 4 * i + 1, 4 * i + 2), (4 * i, 4 * i + 2, 4 * i + 3)] for i in range(6)])
    return TriangleMesh(vertices, faces, vertex_colors=np.array(sides).repeat(4, axis=0))


def _picture(elevation: float) -> np.ndarray:
    rgba = rasterize_mesh(_block(), Camera.orbit(30.0, elevation, width_px=128), supersample=2).rgba
    return torch.cat([rgba[..., :3] / rgba[..., 3:].clamp_min(1e-6), rgba[..., 3:]], dim=-1).clamp(0, 1).numpy()


def test_the_packaged_network_tells_low_from_high() -> None:
    low, middle, high = (one.elevation_deg for one in estimated([_picture(e) for e in (0.0, 30.0, 60.0)]))
    assert low < 15.0 < middle < 47.0 < high


def test_auto_puts_the_estimate_into_the_camera_and_the_notes(tmp_path: Path) -> None:
    path = tmp_path / "block.png"
    Image.fromarray((_picture(40.0) * 255).round().astype(np.uint8)).save(path)
    found = load_observations(InputConfig(image=str(path), elevation_deg="auto", size_px=64))
    guess = estimated([_picture(40.0)])[0]
    about = found.notes["viewpoint"]
    assert float(found.views[0].camera.elevation_deg) == pytest.approx(guess.elevation_deg, abs=1.5)
    assert about["elevation_deg"] == pytest.approx(guess.elevation_deg, abs=1.5) and 0.0 < about["confidence"] <= 1.0
    assert "fov_deg" not in about
    told = load_observations(InputConfig(image=str(path), elevation_deg=40, size_px=64))
    assert "viewpoint" not in told.notes and float(told.views[0].camera.elevation_deg) == pytest.approx(40.0, abs=1e-3)


def test_another_field_of_view_keeps_the_size_at_the_origin() -> None:
    config = with_fov(InputConfig(distance=3.0), 25.0)
    before = 3.0 * math.tan(math.radians(20.0))
    assert config.distance * math.tan(math.radians(config.fov_deg / 2)) == pytest.approx(before)


@pytest.mark.parametrize("value", ["ten", "151", "nan", "true", "[1]", "null"])
@pytest.mark.parametrize("name", ["elevation_deg", "fov_deg"])
def test_what_is_neither_a_number_nor_auto_is_refused(name: str, value: str) -> None:
    with pytest.raises(
        ValueError, match=rf"^input\.{name}: expected a number from -?\d+ to \d+, or auto, got .*; leave it out"
    ):
        load_config([f"input.{name}={value}"])
    assert load_config([f"input.{name}=auto"]).input.__dict__[name] == "auto"
    assert load_config([f"input.{name}=20"]).input.__dict__[name] == 20.0


def test_files_are_read_back_and_foreign_ones_refused(tmp_path: Path) -> None:
    network = ViewpointNetwork(ViewpointConfig(size_px=32, channels=[4, 4, 4, 4])).eval()
    path = tmp_path / "small.safetensors"
    write_network(network, {"step": 3}, path)
    picture = torch.rand(1, 4, 32, 32)
    assert torch.allclose(read_network(path)(picture)[0], network(picture)[0], atol=0.02)
    assert read_training(path) == {"step": 3}
    save_file({"a": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    (tmp_path / "torn.safetensors").write_bytes(path.read_bytes()[:100])
    for name in ("foreign", "torn", "missing"):
        with pytest.raises(ValueError, match=r"^viewpoint: .*: expected .*, got .*; give a file of"):
            read_network(tmp_path / f"{name}.safetensors")


def test_the_packaged_file_is_small_and_names_its_data() -> None:
    about = read_training(PACKAGED)
    assert PACKAGED.stat().st_size < 500_000
    assert sum(row["files"] for row in about["meshes"]) > 2000 and all(row["licence"] for row in about["meshes"])
