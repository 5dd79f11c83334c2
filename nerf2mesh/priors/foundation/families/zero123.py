"""Zero123, Zero123-XL, Stable-Zero123: a UNet that is shown the given picture and told where the camera went.

Layout in diffusers (two community ports, the same weights): unet with 8 input channels (the noisy latents and those of
the given picture, the latter not scaled), image_encoder (CLIP with projection), and one linear layer from CLIP's
embedding and the pose to the cross-attention's width: clip_camera_projection/ (`proj`) or cc_projection/
(`projection`).

Pose (Liu et al. 2023, section 3.2; the reference's angles are subtracted): (polar angle, sin azimuth, cos azimuth,
distance), all relative; Stable-Zero123 replaces the distance by the reference's own polar angle. Polar angles are
measured from the zenith, so that a camera that goes up has a negative one. Both were trained on white backgrounds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nerf2mesh.priors.base import Branch, SeesCameras
from nerf2mesh.priors.config import PriorConfig
from nerf2mesh.priors.foundation.pictures import clip_pixels, reference_picture, resized
from nerf2mesh.priors.foundation.prior import FoundationCondition, FoundationPrior, Rows
from nerf2mesh.priors.foundation.resolve import Source
from nerf2mesh.types import Camera, Observations

POSE = 4
PROJECTIONS = ("clip_camera_projection", "cc_projection")


class CameraProjection(nn.Module):
    """[n, width + 4] -> [n, width]; reads both ports' names of its one layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width + POSE, width)

    def forward(self, x: Tensor) -> Tensor:
        """CLIP's embedding with the pose behind it, [..., width + 4] -> [..., width]."""
        return self.proj(x)

    @staticmethod
    def build(config: dict[str, Any]) -> CameraProjection:
        """From a port's config.json; the width is 768 where it names none."""
        return CameraProjection(int(config.get("embedding_dim") or config.get("out_channel") or 768))

    def load_state_dict(self, weights: dict[str, Tensor], *args: Any, **settings: Any) -> Any:
        """As `nn.Module.load_state_dict`, with either port's names of the layer."""
        named = {key.replace("projection.", "proj."): value for key, value in weights.items()}
        return super().load_state_dict(named, *args, **settings)

    def save_pretrained(self, folder: str | Path) -> None:
        """As diffusers lays it out."""
        from safetensors.torch import save_file

        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        width = self.proj.out_features
        config = {"_class_name": "CLIPCameraProjection", "embedding_dim": width, "additional_embeddings": POSE}
        (path / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
        save_file(self.state_dict(), path / "diffusion_pytorch_model.safetensors")


class Zero123Prior(SeesCameras, FoundationPrior):
    """See `priors.base.Prior`; any branch but "conditional" hides picture and pose (zeros)."""

    default_background = 1.0
    needs_words = False

    def __init__(self, source: Source, config: PriorConfig, device: str | torch.device = "cpu") -> None:
        super().__init__(source, config, device)
        name = next((n for n in PROJECTIONS if self.components.has(n)), None)
        if name is None:
            raise ValueError(
                f"prior.model: expected a Zero123 with {' or '.join(PROJECTIONS)}, "
                f"got {source.origin} without; get it anew"
            )
        self.projection = self.components.load(name, self.dtype, CameraProjection.build).to(device)

    @torch.no_grad()
    def _picture(self, observations: Observations) -> dict[str, Tensor]:
        """CLIP's embedding [1, d] and the VAE's unscaled mean [1, 4, s, s] of the reference view over white."""
        picture = resized(reference_picture(observations, self.family, 1.0).to(self.device), self.network_size)
        encoder = self.components.load("image_encoder", self.dtype).to(self.device)
        pixels = clip_pixels(picture, encoder.config.image_size).to(self.dtype)
        latents = self._encode_rows(picture * 2.0 - 1.0) / self.vae.config["scaling_factor"]
        return {"embedding": encoder(pixels).image_embeds.float(), "latents": latents}

    def _embed(self, observations: Observations) -> dict:
        return {}

    def _rows(self, condition: FoundationCondition, cameras: Camera, branch: Branch) -> Rows:
        pose = relative_pose(cameras, condition.given_camera, stable=self.family == "stable-zero123").to(self.device)
        embedding = condition.picture["embedding"].expand(len(pose), -1)
        hidden = self.projection(torch.cat([embedding, pose], dim=-1).to(self.dtype))[:, None]
        latents = condition.picture["latents"].expand(len(pose), -1, -1, -1)
        if branch != "conditional":
            hidden, latents = torch.zeros_like(hidden), torch.zeros_like(latents)
        return {"hidden": hidden, "latents": latents}

    def _forward(self, x: Tensor, time: Tensor, rows: Rows) -> Tensor:
        joined = torch.cat([x, rows["latents"].to(self.dtype)], dim=1)
        return self.network(joined, time, encoder_hidden_states=rows["hidden"], return_dict=False)[0]


def relative_pose(cameras: Camera, reference: Camera, *, stable: bool) -> Tensor:
    """The four numbers [B V, 4] of cameras [B, V] seen from the reference; distances in world units."""
    given = reference.to(cameras.camera_to_world.device)
    polar = torch.deg2rad(given.elevation_deg - cameras.elevation_deg).reshape(-1)
    azimuth = torch.deg2rad(cameras.azimuth_deg - given.azimuth_deg).reshape(-1)
    if stable:
        fourth = torch.deg2rad(90.0 - given.elevation_deg).expand_as(polar)
    else:
        fourth = (cameras.position.norm(dim=-1) - given.position.norm(dim=-1)).reshape(-1)
    return torch.stack([polar, azimuth.sin(), azimuth.cos(), fourth], dim=-1)
