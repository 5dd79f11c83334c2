"""Training by its effect: the loss falls, the file is read back, its header says whose meshes it has seen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nerf2mesh.inputs.segmentation.network import SegmentationConfig
from nerf2mesh.inputs.segmentation.weights import read_network, read_training
from nerf2mesh.objects.config import ObjectDataConfig
from nerf2mesh.segmentation.config import ForegroundTrainConfig
from nerf2mesh.segmentation.train import _Run, iou, segmentation_loss, train_foreground
from tests.objects.files import one_tetrahedron

TINY = SegmentationConfig(size_px=32, channels=[8, 8, 8, 8], n_deep=1)


def test_loss_against_its_definition() -> None:
    rng = np.random.default_rng(0)
    logits, masks = rng.normal(size=(3, 8, 8)), (rng.random((3, 8, 8)) > 0.5).astype(float)
    p = 1 / (1 + np.exp(-logits))
    entropy = -(masks * np.log(p) + (1 - masks) * np.log(1 - p)).mean()
    share = [((p * m).sum() + 1) / ((p + m - p * m).sum() + 1) for p, m in zip(p, masks)]
    found = segmentation_loss(torch.from_numpy(logits), torch.from_numpy(masks))
    assert float(found) == pytest.approx(entropy + 1 - np.mean(share), abs=1e-12)


def test_steps_learn_to_tell_a_bright_disc_from_a_dark_ground() -> None:
    torch.manual_seed(0)
    run = _Run(ForegroundTrainConfig(network=TINY, learning_rate=1e-2, minutes=5.0, ema_decay=0.8), [])
    y, x = np.mgrid[0:32, 0:32]
    centers = np.random.default_rng(0).uniform(10, 22, (16, 2))
    masks = torch.from_numpy(np.stack([np.hypot(x - a, y - b) < 8 for a, b in centers])).float()
    pictures = (0.2 + 0.6 * masks)[:, None].repeat(1, 3, 1, 1)
    for _ in range(60):
        run.step(pictures[:8], masks[:8])
    assert float(iou(run.average, pictures[8:], masks[8:]).min()) > 0.8


def test_a_training_leaves_weights_that_say_where_they_come_from(tmp_path: Path) -> None:
    meshes = one_tetrahedron(tmp_path / "meshes")
    config = ForegroundTrainConfig(
        data=ObjectDataConfig(meshes=str(meshes)), network=TINY, minutes=0.01, n_scenes=0, n_check=8, seed=3,
        output_dir=str(tmp_path / "out"),
    )  # fmt: skip
    path = train_foreground(config)
    about = read_training(path)
    assert read_network(path).config == TINY
    assert about["meshes"] == [{"licence": "CC0-1.0", "source": "drawn", "credit": "nobody", "files": 1}]
    assert about["config"]["seed"] == 3 and about["step"] >= 1 and about["composites"] >= 8
    assert str(tmp_path) not in json.dumps(about)


@pytest.mark.parametrize("bad", [{"minutes": 0.0}, {"new_share": 1.5}, {"batch": 0}, {"n_scenes": -1}])
def test_settings_have_bounds(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=rf"^{next(iter(bad))}: expected .* got"):
        ForegroundTrainConfig(**bad)
