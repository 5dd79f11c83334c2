"""MVDream and ImageDream: four views denoised together by one network that knows their cameras.

Their world is ours: +Z up, azimuth counter-clockwise from +X, where the object's front comes out (the authors' port to
threestudio tells its cameras as they are, and DreamGaussian takes their view at 90 degrees from -Y for the front).
ImageDream was trained on objects that the given picture shows from the front, so that there the reference camera's
azimuth is turned to +X. A pose is told as its 16 numbers with the position brought to length 1. Both were trained at
256 px and 4 views.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nerf2mesh.priors.base import Branch, SeesCameras
from nerf2mesh.priors.config import PriorConfig
from nerf2mesh.priors.foundation.families.multiview_unet import MultiViewUNet
from nerf2mesh.priors.foundation.pictures import clip_pixels, load_image_encoder, reference_picture, resized
from nerf2mesh.priors.foundation.prior import FoundationCondition, FoundationPrior, Rows
from nerf2mesh.priors.foundation.prompts import NEGATIVE, PLAIN, UNCONDITIONAL
from nerf2mesh.priors.foundation.resolve import Source
from nerf2mesh.priors.foundation.text import Encoder
from nerf2mesh.types import Camera, Observations
from nerf2mesh.utils.device_copy import to_device

N_VIEWS = 4


class MultiViewPrior(SeesCameras, FoundationPrior):
    """See `priors.base.Prior`. The prompt is told without directions: the network sees the cameras.

    ImageDream gets the given picture as a fifth frame and as tokens; branches that hide it show zeros.
    """

    encoders = (Encoder(),)
    n_views = N_VIEWS

    def __init__(self, source: Source, config: PriorConfig, device: str | torch.device = "cpu") -> None:
        self.takes_picture = source.family == "imagedream"
        self.needs_words = not self.takes_picture
        self.default_background = 1.0 if self.takes_picture else 0.5
        super().__init__(source, config, device)

    def _load_network(self) -> nn.Module:
        return self.components.load("unet", self.dtype, MultiViewUNet.build)

    def _trained_size(self) -> int:
        return self.network.config.image_size * self.shrink

    @torch.no_grad()
    def _picture(self, observations: Observations) -> dict[str, Tensor]:
        if not self.takes_picture:
            return {}
        picture = resized(reference_picture(observations, self.family, 1.0).to(self.device), self.network_size)
        folder = self.components.folder / "image_encoder"
        encoder = load_image_encoder(folder, self.dtype, projected=False).to(self.device)
        pixels = clip_pixels(picture, encoder.config.image_size).to(self.dtype)
        tokens = encoder(pixels, output_hidden_states=True).hidden_states[-2]
        return {"tokens": tokens, "latents": self._encode_rows(picture * 2.0 - 1.0)}

    def _rows(self, condition: FoundationCondition, cameras: Camera, branch: Branch) -> Rows:
        n_views = cameras.batch_shape[-1]
        if n_views != N_VIEWS:
            raise ValueError(
                f"distill.n_views: expected {N_VIEWS}, which {self.family} denoises together, got {n_views}; set 4"
            )
        n = cameras.batch_shape.numel()
        words = PLAIN if branch == "conditional" else branch
        front = condition.given_camera.azimuth_deg if self.takes_picture else torch.zeros(())
        pose = told_pose(cameras, front).to(self.device)
        rows = {"hidden": condition.text[words]["hidden"].expand(n, -1, -1), "camera": pose}
        if self.takes_picture:
            shown = float(branch not in (UNCONDITIONAL, NEGATIVE))
            rows |= {key: shown * value.expand(n, *value.shape[1:]) for key, value in condition.picture.items()}
        return rows

    def _parts(self, n_rows: int, n_views: int) -> list[slice]:
        """Views of one scene stay together."""
        wanted = self.config.rows_per_forward or n_rows
        size = max(n_views, wanted // n_views * n_views)
        return [slice(i, i + size) for i in range(0, n_rows, size)]

    def _forward(self, x: Tensor, time: Tensor, rows: Rows) -> Tensor:
        hidden, camera = rows["hidden"].to(self.dtype), rows["camera"].to(self.dtype)
        if not self.takes_picture:
            return self.network(x, time, hidden, camera, N_VIEWS)
        tokens, latents = rows["tokens"].to(self.dtype), rows["latents"].to(self.dtype)
        pairs = ((x, latents), (time, time), (hidden, hidden), (camera, torch.zeros_like(camera)))
        x, time, hidden, camera = (with_fifth(rows_, fifth) for rows_, fifth in pairs)
        out = self.network(x, time, hidden, camera, N_VIEWS + 1, with_fifth(tokens, tokens))
        return out.unflatten(0, (-1, N_VIEWS + 1))[:, :N_VIEWS].flatten(0, 1)


def told_pose(cameras: Camera, zero_azimuth_deg: Tensor) -> Tensor:
    """[B V, 16]: poses with `zero_azimuth_deg` turned to the front (+X), positions of length 1."""
    turned = cameras.turned(to_device(-zero_azimuth_deg, cameras.camera_to_world.device))
    pose = turned.camera_to_world.clone()
    pose[..., :3, 3] = nn.functional.normalize(pose[..., :3, 3], dim=-1)
    return pose.reshape(-1, 16)


def with_fifth(rows: Tensor, fifth: Tensor) -> Tensor:
    """After every four rows the first of `fifth`'s four."""
    groups, last = rows.unflatten(0, (-1, N_VIEWS)), fifth.unflatten(0, (-1, N_VIEWS))[:, :1]
    return torch.cat([groups, last], dim=1).flatten(0, 1)
