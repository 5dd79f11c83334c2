"""Training of the normals network: `nerf2mesh-train-normals data.meshes=FOLDER`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nerf2mesh.inputs.normals.network import NormalsNetwork
from nerf2mesh.inputs.normals.predict import seen_twice
from nerf2mesh.inputs.normals.weights import FILE
from nerf2mesh.normals.config import NormalsTrainConfig
from nerf2mesh.normals.stream import GROUP, KEY, Shown, mesh_views, procedural_views
from nerf2mesh.objects.view_training import Views, ViewTraining, train_on_views


def train_normals(config: NormalsTrainConfig) -> Path:
    """Trains for `config.minutes`, prints the held-out error on the way and returns the file of averaged weights."""
    return train_on_views(lambda meshes: NormalsTraining(config, meshes), VIEWS, config, "normals.safetensors")


class NormalsTraining(ViewTraining[NormalsNetwork, Shown, NormalsTrainConfig]):
    """A batch: pictures [B, 4, s, s] and their normals [B, 3, s, s], both premultiplied."""

    def __init__(self, config: NormalsTrainConfig, meshes: list[dict[str, object]]) -> None:
        super().__init__(VIEWS, FILE, NormalsNetwork(config.network), config, meshes, weight_decay=0.02)

    def losses(self, *batch: Tensor) -> Tensor:
        pictures, normals = batch
        return normals_loss(self.network(pictures), normals, pictures[:, 3:])

    def errors(self, *check: Tensor) -> dict[str, float]:
        pictures, normals = check
        return {"mean_angle_deg": round(float(mean_angle_deg(self.average, pictures, normals)), 2)}


def normals_loss(found: Tensor, normals: Tensor, alpha: Tensor) -> Tensor:
    """Mean squared difference of mean normals [B, 3, s, s] from premultiplied true ones, over the opacity [B, 1, s, s];
    its minimum is the mean of what the normal may be."""
    difference = (found * alpha - normals).square().sum(1, keepdim=True)
    return difference.sum() / alpha.sum().clamp_min(1.0)


@torch.no_grad()
def mean_angle_deg(network: NormalsNetwork, pictures: Tensor, normals: Tensor) -> Tensor:
    """Mean angle to the true normals over the opaque pixels, in degrees."""
    found = torch.cat([seen_twice(part, network) for part in pictures.split(16)])
    cosine = (F.normalize(found, dim=1) * F.normalize(normals, dim=1)).sum(1).clamp(-1.0, 1.0)
    return torch.rad2deg(torch.acos(cosine[pictures[:, 3] > 0.95])).mean()


def mirrored(view: Shown) -> Shown:
    """Left and right exchanged."""
    picture, normal = view
    return picture[:, ::-1], normal[:, ::-1] * np.array([-1, 1, 1], np.int8)


def tensors(views: list[Shown]) -> tuple[Tensor, Tensor]:
    """Pictures [B, 4, s, s] in [0, 1] and normals [B, 3, s, s], both premultiplied."""
    pictures = torch.from_numpy(np.stack([picture for picture, _ in views])).permute(0, 3, 1, 2).float().div(255.0)
    normals = torch.from_numpy(np.stack([normal for _, normal in views])).permute(0, 3, 1, 2).float().div(127.0)
    return pictures.contiguous(memory_format=torch.channels_last), normals


VIEWS = Views(mesh_views, procedural_views, mirrored, tensors, group=GROUP, key=KEY)
