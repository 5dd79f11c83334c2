"""Training of the viewpoint network: `nerf2mesh-train-viewpoint data.meshes=FOLDER`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nerf2mesh.inputs.viewpoint.network import ELEVATIONS_DEG, FOVS_DEG, ViewpointNetwork, bin_centers
from nerf2mesh.inputs.viewpoint.predict import estimated_of
from nerf2mesh.inputs.viewpoint.weights import FILE
from nerf2mesh.objects.view_training import Views, ViewTraining, train_on_views
from nerf2mesh.viewpoint.config import ViewpointTrainConfig
from nerf2mesh.viewpoint.stream import GROUP, KEY, Labeled, mesh_views, procedural_views

SOFT_BINS = 1.0
"""Standard deviation, in bins, of the distribution that the true angle becomes."""
FOV_WEIGHT = 0.3


def train_viewpoint(config: ViewpointTrainConfig) -> Path:
    """Trains for `config.minutes`, prints the held-out errors on the way and returns the file of averaged weights."""
    return train_on_views(lambda meshes: ViewpointTraining(config, meshes), VIEWS, config, "viewpoint.safetensors")


class ViewpointTraining(ViewTraining[ViewpointNetwork, Labeled, ViewpointTrainConfig]):
    """A batch: pictures [B, 4, s, s], elevations [B], fields of view [B] in degrees."""

    def __init__(self, config: ViewpointTrainConfig, meshes: list[dict[str, object]]) -> None:
        super().__init__(VIEWS, FILE, ViewpointNetwork(config.network), config, meshes, weight_decay=0.02)

    def losses(self, *batch: Tensor) -> Tensor:
        pictures, elevation, fov = batch
        return viewpoint_loss(self.network(pictures), elevation, fov)

    def errors(self, *check: Tensor) -> dict[str, float]:
        return errors(self.average, *check)


def viewpoint_loss(logits: tuple[Tensor, Tensor], elevation: Tensor, fov: Tensor) -> Tensor:
    """Cross-entropy with the angles [B], softened over neighboring bins; the field of view counts FOV_WEIGHT."""
    losses = [
        F.cross_entropy(answer, soft_bins(angle, bins))
        for answer, angle, bins in zip(logits, (elevation, fov), (ELEVATIONS_DEG, FOVS_DEG), strict=True)
    ]
    return losses[0] + FOV_WEIGHT * losses[1]


def soft_bins(angles_deg: Tensor, bins: tuple[float, float, int]) -> Tensor:
    """[B, n]: a Gaussian of SOFT_BINS bins around each angle [B], that sums to 1."""
    low, high, n = bins
    away = (bin_centers(bins) - angles_deg[:, None]) * (n / (high - low))
    return (-0.5 * (away / SOFT_BINS).square()).softmax(1)


def errors(network: ViewpointNetwork, pictures: Tensor, elevation: Tensor, fov: Tensor) -> dict[str, float]:
    """Median absolute errors in degrees, and those of the best constant guess."""
    found = [one for part in pictures.split(64) for one in estimated_of(part, network)]
    e, f = torch.tensor([one.elevation_deg for one in found]), torch.tensor([one.fov_deg for one in found])
    values = {
        "elevation_error_deg": (e - elevation).abs().median(),
        "elevation_error_constant_deg": (elevation - elevation.median()).abs().median(),
        "fov_error_deg": (f - fov).abs().median(),
        "fov_error_constant_deg": (fov - fov.median()).abs().median(),
    }
    return {name: round(float(value), 2) for name, value in values.items()}


def tensors(views: list[Labeled]) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures [B, 4, s, s] in [0, 1], elevations [B] and fields of view [B] in degrees."""
    pictures = torch.from_numpy(np.stack([picture for picture, _, _ in views])).permute(0, 3, 1, 2).float().div(255.0)
    angles = torch.tensor([[elevation, fov] for _, elevation, fov in views])
    return pictures.contiguous(memory_format=torch.channels_last), angles[:, 0], angles[:, 1]


def _mirrored(view: Labeled) -> Labeled:
    return view[0][:, ::-1], view[1], view[2]


VIEWS = Views(mesh_views, procedural_views, _mirrored, tensors, group=GROUP, key=KEY)
