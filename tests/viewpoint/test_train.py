"""The viewpoint network's training: views framed as inputs are, the loss by its definition, what the weights say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nerf2mesh.inputs.viewpoint.network import ELEVATIONS_DEG, FILL, FOVS_DEG, ViewpointConfig, bin_centers
from nerf2mesh.inputs.viewpoint.weights import read_network, read_training
from nerf2mesh.objects.config import AugmentConfig, ObjectDataConfig
from nerf2mesh.objects.mesh import read_object
from nerf2mesh.objects.views import framed
from nerf2mesh.types import Camera
from nerf2mesh.viewpoint.config import ViewpointTrainConfig
from nerf2mesh.viewpoint.stream import mesh_views, procedural_views
from nerf2mesh.viewpoint.train import ViewpointTraining, errors, soft_bins, tensors, train_viewpoint, viewpoint_loss
from tests.objects.files import one_tetrahedron

TINY = ViewpointConfig(size_px=32, channels=[8, 8, 8, 8])
PLAIN = AugmentConfig(tumble_share=0.0, look_share=0.0, cutout_share=0.0, pattern_share=0.0, hue_share=0.0)


def test_a_framed_camera_shows_the_box_in_the_middle() -> None:
    points = np.random.default_rng(0).uniform(-0.8, 0.5, (200, 3))
    camera = framed(Camera.orbit(torch.tensor([20.0]), torch.tensor([35.0]), width_px=64), points, FILL)
    pixels, _ = camera.project(torch.from_numpy(points).float())
    low, high = pixels[0].amin(0), pixels[0].amax(0)
    assert torch.allclose(0.5 * (low + high), torch.full((2,), 32.0), atol=1e-3)
    assert float((high - low).max()) == pytest.approx(64 * FILL, abs=1e-3)


def test_views_of_a_mesh_have_the_asked_angles_and_frame(tmp_path: Path) -> None:
    mesh = read_object(one_tetrahedron(tmp_path / "meshes") / "a.obj")
    config = ViewpointTrainConfig(
        data=ObjectDataConfig(augment=PLAIN), elevation_deg=(20.0, 30.0), fov_deg=(30.0, 40.0), roll_deg=0.0
    )
    views = mesh_views(mesh, np.random.default_rng(3), config, 5)
    assert len(views) == 5
    for picture, elevation, fov in views:
        assert 20.0 <= elevation <= 30.0 and 30.0 <= fov <= 40.0
        rows, columns = np.nonzero(picture[..., 3] > 127)
        longer = max(np.ptp(rows), np.ptp(columns)) + 1
        assert picture.shape == (64, 64, 4) and longer == pytest.approx(64 * FILL, abs=2.5)


def test_procedural_scenes_are_upright_and_framed() -> None:
    config = ViewpointTrainConfig(network=TINY)
    views = procedural_views(7, 3, config)
    assert 2 <= len(views) <= 6 and len(views) % 2 == 0
    for picture, elevation, fov in views:
        rows, columns = np.nonzero(picture[..., 3] > 127)
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(32 * FILL, abs=3.0)
        assert -20.0 <= elevation <= 75.0 and 15.0 <= fov <= 60.0


def test_the_loss_is_cross_entropy_with_a_gaussian_over_bins() -> None:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(3, ELEVATIONS_DEG[2], generator=rng), torch.randn(3, FOVS_DEG[2], generator=rng)
    elevation, fov = torch.tensor([0.0, 33.0, 70.0]), torch.tensor([20.0, 40.0, 55.0])
    total = 0.0
    for answer, angle, bins, weight in zip(
        logits, (elevation, fov), (ELEVATIONS_DEG, FOVS_DEG), (1.0, 0.3), strict=True
    ):
        width = (bins[1] - bins[0]) / bins[2]
        density = np.exp(-0.5 * ((bin_centers(bins).numpy() - angle.numpy()[:, None]) / width) ** 2)
        density /= density.sum(1, keepdims=True)
        x = answer.double().numpy()
        total += weight * -(density * (x - np.log(np.exp(x).sum(1, keepdims=True)))).sum(1).mean()
    assert float(viewpoint_loss(logits, elevation, fov)) == pytest.approx(total, rel=1e-5)
    assert torch.allclose(soft_bins(elevation, ELEVATIONS_DEG).sum(1), torch.ones(3))


def test_steps_learn_to_tell_a_flat_box_from_a_tall_one() -> None:
    torch.manual_seed(0)
    run = ViewpointTraining(ViewpointTrainConfig(network=TINY, learning_rate=1e-2, minutes=5.0, ema_decay=0.8), [])
    views = []
    for k in range(24):
        picture = np.zeros((32, 32, 4), np.uint8)
        half = 4 if k % 2 else 12
        picture[16 - half : 16 + half, 3:29] = (90 + 5 * k, 120, 160, 255)
        views.append((picture, 0.0 if k % 2 else 60.0, 40.0))
    for _ in range(40):
        run.step(*tensors(views))
    found = errors(run.average, *tensors(views))
    assert found["elevation_error_deg"] < 5.0


def test_a_training_leaves_weights_that_say_where_they_come_from(tmp_path: Path) -> None:
    meshes = one_tetrahedron(tmp_path / "meshes")
    config = ViewpointTrainConfig(
        data=ObjectDataConfig(meshes=str(meshes), augment=PLAIN), network=TINY, minutes=0.01, n_scenes=2,
        n_check=4, batch=8, seed=3, output_dir=str(tmp_path / "out"),
    )  # fmt: skip
    path = train_viewpoint(config)
    about = read_training(path)
    assert read_network(path).config == TINY
    assert about["meshes"] == [{"licence": "CC0-1.0", "source": "drawn", "credit": "nobody", "files": 1}]
    assert about["config"]["seed"] == 3 and about["step"] >= 1 and about["views"] >= 8
    assert str(tmp_path) not in json.dumps(about)


def test_without_meshes_and_scenes_there_is_nothing_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^data\.meshes: expected a folder or n_scenes above 0, got neither"):
        train_viewpoint(ViewpointTrainConfig(n_scenes=0, output_dir=str(tmp_path)))
    with pytest.raises(ValueError, match=r"^fov_deg: expected \[low, high\]"):
        ViewpointTrainConfig(fov_deg=(50.0, 20.0))
