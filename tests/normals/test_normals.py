"""The normals network: views whose normals are a ball's own, the loss by its definition, what the weights say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nerf2mesh.inputs.normals.network import FILL, NormalsConfig
from nerf2mesh.inputs.normals.predict import picture_normals
from nerf2mesh.inputs.normals.weights import PACKAGED, read_network, read_training
from nerf2mesh.mesh import TriangleMesh, save_mesh
from nerf2mesh.mesh.shapes import icosphere
from nerf2mesh.mesh.texture.given_normals import with_given_normals
from nerf2mesh.normals.config import NormalsTrainConfig
from nerf2mesh.normals.stream import mesh_views, procedural_views
from nerf2mesh.normals.train import NormalsTraining, mirrored, normals_loss, tensors, train_normals
from nerf2mesh.objects.config import ObjectDataConfig
from nerf2mesh.objects.mesh import read_object
from nerf2mesh.types import Camera, View

TINY = NormalsConfig(size_px=32, channels=[8, 8, 8, 8])


def ball_picture(size: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """A grey ball under a lamp from the upper left, straight RGBA, seen from straight ahead; and its normals."""
    y, x = np.mgrid[1.3 : -1.3 : size * 1j, -1.3 : 1.3 : size * 1j]
    inside = x * x + y * y < 1.0
    normals = np.stack([x, y, np.sqrt(np.clip(1.0 - x * x - y * y, 0.0, None))], axis=-1) * inside[..., None]
    light = np.array([-0.5, 0.6, 0.62])
    color = 0.3 + 0.5 * np.clip(normals @ light, 0.0, None)
    return np.stack([color, color, color, inside * 1.0], axis=-1).astype(np.float32), normals


def angles_deg(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    unit = found / np.linalg.norm(found, axis=-1, keepdims=True).clip(1e-9)
    return np.degrees(np.arccos(np.clip((unit * true).sum(-1), -1.0, 1.0)))


def test_the_packaged_network_knows_a_ball() -> None:
    picture, true = ball_picture()
    found = picture_normals(picture)
    inside = picture[..., 3] > 0.5
    assert float(angles_deg(found, true)[inside].mean()) < 18.0
    assert not found[~inside].any() and np.linalg.norm(found, axis=-1).max() < 1.001


def test_a_mirrored_picture_has_mirrored_normals() -> None:
    picture, _ = ball_picture()
    picture[20:40, 30:80, 3] = 0.0
    one, two = picture_normals(picture), picture_normals(np.ascontiguousarray(picture[:, ::-1]))
    assert np.abs(one - two[:, ::-1] * [-1.0, 1.0, 1.0]).max() < 1e-4


def test_views_of_a_ball_have_the_balls_normals(tmp_path: Path) -> None:
    path = save_mesh(icosphere(4, 0.5), tmp_path / "ball.ply")
    views = mesh_views(read_object(path), np.random.default_rng(0), NormalsTrainConfig(), 3)
    assert len(views) == 3
    pictures, normals = tensors(views)
    y, x = torch.meshgrid(
        *[torch.linspace(1.0, -1.0, 64) / FILL * 63 / 64 * sign for sign in (1.0, -1.0)], indexing="ij"
    )
    z = (1.0 - x * x - y * y).clamp_min(0.0).sqrt()
    true = torch.stack([x, y, z])
    cosine = (F.normalize(normals, dim=1) * true).sum(1)[:, (x * x + y * y < 0.6)]
    assert float(cosine.min()) > 0.95
    assert pictures[:, 3].mean() > 0.4


def test_procedural_views_look_at_the_eye_and_mirror() -> None:
    views = procedural_views(5, 2, NormalsTrainConfig(network=TINY))
    assert len(views) == 4
    _, normals = tensors(views)
    assert float(normals[:, 2].min()) > -0.2
    picture, normal = mirrored(views[0])
    assert (mirrored((picture, normal))[1] == views[0][1]).all()


def test_the_loss_is_least_at_the_mean_normal() -> None:
    alpha = torch.ones(2, 1, 4, 4)
    true = F.normalize(torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(1)), dim=1)
    mean = true.mean(0, keepdim=True).expand_as(true)
    assert float(normals_loss(true, true, alpha)) == 0.0
    assert normals_loss(mean, true, alpha) < normals_loss(F.normalize(mean, dim=1), true, alpha)


def test_training_descends_and_the_file_says_how_it_came_about(tmp_path: Path) -> None:
    run = NormalsTraining(NormalsTrainConfig(network=TINY, learning_rate=1e-2, minutes=5.0, ema_decay=0.8), [])
    batch = tensors(procedural_views(0, 2, run.config))
    run.step(*batch)
    first = run.loss
    for _ in range(12):
        run.loss = 0.0
        run.step(*batch)
    assert run.loss < 0.8 * first
    config = NormalsTrainConfig(network=TINY, n_scenes=2, n_check=2, batch=4, minutes=0.01, output_dir=str(tmp_path))
    path = train_normals(config)
    assert read_network(path).config == TINY and read_training(path)["meshes"] == []
    assert json.loads((tmp_path / "curve.jsonl").read_text().splitlines()[-1])["mean_angle_deg"] > 0.0


def test_the_packaged_file_names_its_meshes_and_their_licences() -> None:
    training = read_training(PACKAGED)
    assert training["meshes"] and training["config"]["seed"] == 0


def test_errors_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^ambient: expected \[low, high\]"):
        NormalsTrainConfig(ambient=(0.9, 0.1))
    with pytest.raises(ValueError, match=r"^data\.meshes: expected a folder or n_scenes"):
        train_normals(NormalsTrainConfig(n_scenes=0, output_dir=str(tmp_path)))
    with pytest.raises(ValueError, match=r"^normals: .*expected a readable safetensors file"):
        read_network(tmp_path / "none.safetensors")


def test_a_folder_of_damaged_meshes_is_told_in_one_line(tmp_path: Path) -> None:
    for name in ("a.obj", "b.obj"):
        (tmp_path / name).write_text("nothing\n")
    data = ObjectDataConfig(meshes=str(tmp_path))
    config = NormalsTrainConfig(data=data, network=TINY, n_scenes=0, output_dir=str(tmp_path / "out"))
    with pytest.raises(ValueError, match=r"^data\.meshes: expected meshes that can be read in .* got none of 2; "):
        train_normals(config)


def test_a_mesh_takes_the_normals_of_the_side_that_is_shown() -> None:
    ball = icosphere(4, 0.7)
    tilted = F.normalize(torch.tensor([1.0, 0.0, 0.4]), dim=0)
    camera = Camera.orbit(0.0, 0.0, width_px=96)
    mesh = TriangleMesh(ball.vertices, ball.faces, ball.vertices / 0.7)
    seen = (camera.rays().directions * -camera.rays().origins).sum(-1) ** 2 > 3.2**2 - 0.69**2
    view = View(torch.cat([torch.zeros(96, 96, 3), seen[..., None].float()], dim=-1), camera)
    found = with_given_normals(mesh, [view], [tilted.expand(96, 96, 3)])
    assert np.array_equal(found.vertices, mesh.vertices)
    front, behind = ball.vertices[:, 0] > 0.55, ball.vertices[:, 0] < 0.0
    assert (np.abs(found.normals[front] - tilted.numpy()).max(1) < 0.02).mean() > 0.95
    assert np.allclose(found.normals[behind], mesh.normals[behind])
