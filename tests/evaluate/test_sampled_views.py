"""Sampling against a prior that knows the answer, and the command on a tiny network."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path

import pytest
import torch
import trimesh
from torch import Tensor

from benchmarks import sampled_views as command
from nerf2mesh.evaluate.protocols.sampled_views import (
    Sampling,
    SceneViews,
    given_frames,
    object_views,
    sample_views,
    scene_views,
    score_pictures,
)
from nerf2mesh.objects.folder import ObjectFolder
from nerf2mesh.priors.builtin.network import DenoiserConfig, encode_rgba
from nerf2mesh.priors.builtin.prior import BuiltinPrior
from nerf2mesh.priors.builtin.weight_files import export_network
from nerf2mesh.procedural.dataset import VALIDATION_SEED
from nerf2mesh.procedural.grammar import RADIUS
from nerf2mesh.types import Camera

TINY = DenoiserConfig(image_size=16, patch=1, channels=8, volume_size=8, volume_channels=8, deep_channels=8, n_deep=1)


class Oracle(BuiltinPrior):
    """Predicts the velocity of known pictures; without its condition that of others."""

    def __init__(self, pictures: Tensor, others: Tensor) -> None:
        super().__init__(TINY.build(), precision="float32")
        self.pictures, self.others = pictures, others

    def predict(self, noisy: Tensor, t: Tensor, cameras: Camera, condition: object, *, branch: str = "conditional"):
        level = self.level(t)
        x0 = self.encode(self.pictures if branch == "conditional" else self.others)
        return (level.alpha * noisy - x0) / level.sigma


@pytest.fixture(scope="module")
def views() -> SceneViews:
    return scene_views(range(VALIDATION_SEED, VALIDATION_SEED + 2), 16)


@pytest.mark.parametrize("steps", [1, 7])
def test_a_perfect_prior_gives_the_truth(views: SceneViews, steps: int) -> None:
    prior = Oracle(views.truth, views.truth)
    given = given_frames(prior, views, 2)
    assert given.images.shape == (2, 2, 4, 16, 16)
    assert torch.equal(given.images, encode_rgba(views.given[:, :2].movedim(-1, -3)))
    pictures = sample_views(prior, given, views.cameras, Sampling(steps=steps))
    assert torch.allclose(pictures, views.truth, atol=1e-4)
    assert float(score_pictures(pictures, views.truth).psnr.min()) > 60


def test_guidance_leaves_the_unconditional_answer_behind(views: SceneViews) -> None:
    """At guidance 0 the answer is the unconditional one, at 1 the conditional one."""
    other = torch.full_like(views.truth, 0.5)
    prior = Oracle(views.truth, other)
    given = given_frames(prior, views, 1)
    none, one = (sample_views(prior, given, views.cameras, Sampling(steps=4, guidance=g)) for g in (0.0, 1.0))
    assert torch.allclose(none, other, atol=1e-4) and torch.allclose(one, views.truth, atol=1e-4)


def test_cameras_of_the_pictures(views: SceneViews) -> None:
    assert torch.allclose(views.cameras.azimuth_deg[0] % 360, torch.tensor([90.0, 180.0, 270.0]), atol=1e-3)
    assert torch.allclose(views.given_cameras.azimuth_deg[1], torch.tensor([0.0, 135.0, -135.0]), atol=1e-3)
    assert (views.truth[..., :3] <= views.truth[..., 3:] + 1e-6).all()


def test_command_on_weights_of_any_size(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "mean_training_views", partial(command.mean_training_views, n=16))
    torch.manual_seed(0)
    export_network(TINY.build(), {}, tmp_path / "tiny.safetensors")
    out = tmp_path / "found.json"
    options = ["--n", "3", "--steps", "2", "--weights", str(tmp_path / "tiny.safetensors"), "--out", str(out)]
    assert command.main([*options, "--precision", "float32", "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    found = json.loads(out.read_text())
    assert found["size_px"] == 16 and found["n"] == 3 and found["weights"]["name"] == "tiny.safetensors"
    kinds = [(row["method"], row["given"]) for row in found["rows"]]
    assert kinds == [("mean training picture", 0), ("copied input", 1), *(("sampled", k) for k in (1, 2, 3))]
    copied, sampled = found["rows"][1]["psnr"][0], found["rows"][2]["psnr"][0]
    assert sampled < copied and "| sampled" in printed  # random weights know nothing
    assert command.main(["--weights", str(tmp_path / "none.safetensors")]) == 2


def test_views_of_a_folder_of_objects(tmp_path: Path) -> None:
    """A ball is a disk of the closed form's size in all six; a box that lies along the side axis is wide in front."""
    trimesh.creation.icosphere(subdivisions=4).export(tmp_path / "a_ball.obj")
    trimesh.creation.box((2.0, 0.5, 0.5)).export(tmp_path / "b_box.obj")
    folder = ObjectFolder(tmp_path)
    entries = sorted(folder.entries, key=lambda entry: entry.path.name)
    views = list(object_views(folder, entries, 32, batch=1))
    covered = torch.cat([torch.cat([v.given, v.truth], dim=1) for v in views])[..., 3].sum((-2, -1))
    camera = views[0].cameras
    focal, distance = float(camera.focal_px.flatten()[0]), float(camera.position.norm(dim=-1).flatten()[0])
    disk = math.pi * (focal * RADIUS) ** 2 / (distance**2 - RADIUS**2)
    assert torch.allclose(covered[0], torch.full((6,), disk), rtol=0.02)
    front, side = covered[1, 0], covered[1, 3]
    assert front > 1.5 * side
    assert torch.equal(views[0].cameras.azimuth_deg, views[1].cameras.azimuth_deg)
