"""MVDream's and ImageDream's UNet: Stable Diffusion 2.1's, whose self-attention sees all views at once.

Names of the parameters are those of the published weights (the latent-diffusion layout: input_blocks, middle_block,
output_blocks), so that their files in the diffusers ports load as they are. Shi et al. 2023 (arXiv 2308.16512): the
camera is embedded and added to the time's embedding. Wang & Shi 2023 (arXiv 2312.02201): the given picture is a further
frame without noise and without camera ("pixel"), and CLIP's tokens reach the cross-attention beside the words ("IP").

Letters: n = scenes x frames rows, f frames a scene, c channels, l tokens.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from nerf2mesh.priors.foundation.families.multiview_layers import (
    GROUPS,
    Block,
    Downsample,
    MultiViewTransformer,
    ResBlock,
    Upsample,
)
from nerf2mesh.priors.foundation.resampler import Resampler


@dataclass(kw_only=True)
class MultiViewUNetConfig:
    """The published keys, then the sizes of ImageDream's resampler, which the published code has as constants."""

    image_size: int = 32
    in_channels: int = 4
    out_channels: int = 4
    model_channels: int = 320
    num_res_blocks: int = 2
    attention_resolutions: tuple[int, ...] = (4, 2, 1)
    channel_mult: tuple[int, ...] = (1, 2, 4, 4)
    num_head_channels: int = 64
    transformer_depth: int = 1
    context_dim: int = 1024
    camera_dim: int = 16
    ip_dim: int = 0
    ip_weight: float = 1.0
    ip_embedding_dim: int = 1280
    ip_heads: int = 12
    ip_dim_head: int = 64
    ip_depth: int = 4

    @staticmethod
    def of(given: dict[str, Any]) -> MultiViewUNetConfig:
        """From a config.json; keys that do not shape the network are passed over."""
        known = MultiViewUNetConfig.__dataclass_fields__
        return MultiViewUNetConfig(**{key: value for key, value in given.items() if key in known})


class MultiViewUNet(nn.Module):
    """epsilon = unet(x, timesteps, context, camera, n_frames); see the module's text."""

    _supports_gradient_checkpointing = True

    def __init__(self, **config: Any) -> None:
        super().__init__()
        self.config = c = MultiViewUNetConfig.of(config)
        width = 4 * c.model_channels
        if c.ip_dim:
            self.image_embed = Resampler(
                c.context_dim, c.ip_depth, c.ip_dim_head, c.ip_heads, c.ip_dim, c.ip_embedding_dim
            )
        self.time_embed = nn.Sequential(nn.Linear(c.model_channels, width), nn.SiLU(), nn.Linear(width, width))
        self.camera_embed = nn.Sequential(nn.Linear(c.camera_dim, width), nn.SiLU(), nn.Linear(width, width))
        self.gradient_checkpointing = False
        self._build_blocks(c, width)

    @staticmethod
    def build(config: dict[str, Any]) -> MultiViewUNet:
        """From config.json's values, with fresh weights; what `Components.load` calls before it reads the file."""
        return MultiViewUNet(**config)

    def forward(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        camera: Tensor,
        n_frames: int,
        image_tokens: Tensor | None = None,
    ) -> Tensor:
        """x [n, c, s, s], timesteps [n], context [n, l, d], camera [n, 16], image_tokens [n, m, e] for ImageDream."""
        emb = self.time_embed(sinusoids(timesteps, self.config.model_channels).to(x.dtype))
        emb = emb + self.camera_embed(camera)
        if self.config.ip_dim:
            context = torch.cat([context, self.image_embed(image_tokens)], dim=1)
        skips: list[Tensor] = []
        for block in self.input_blocks:
            x = self._run(block, x, emb, context, n_frames)
            skips.append(x)
        x = self._run(self.middle_block, x, emb, context, n_frames)
        for block in self.output_blocks:
            x = self._run(block, torch.cat([x, skips.pop()], dim=1), emb, context, n_frames)
        return self.out(x)

    def enable_gradient_checkpointing(self) -> None:
        """Blocks are computed again in the backward pass instead of being kept."""
        self.gradient_checkpointing = True

    def save_pretrained(self, folder: str | Path) -> None:
        """As diffusers lays it out."""
        from safetensors.torch import save_file

        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        config = {"_class_name": "MultiViewUNetModel"} | asdict(self.config)
        (path / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
        save_file(self.state_dict(), path / "diffusion_pytorch_model.safetensors")

    def _run(self, block: nn.Module, *inputs: Any) -> Tensor:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return checkpoint(block, *inputs, use_reentrant=False)
        return block(*inputs)

    def _build_blocks(self, c: MultiViewUNetConfig, width: int) -> None:
        """Down, middle and up, with attention where the shrinkage so far is among `attention_resolutions`."""
        channels, shrunk = c.model_channels, 1
        self.input_blocks = nn.ModuleList([Block(nn.Conv2d(c.in_channels, channels, 3, padding=1))])
        skips = [channels]
        for level, factor in enumerate(c.channel_mult):
            for _ in range(c.num_res_blocks):
                layers: list[nn.Module] = [ResBlock(channels, width, factor * c.model_channels)]
                channels = factor * c.model_channels
                layers += [self._attention(channels)] if shrunk in c.attention_resolutions else []
                self.input_blocks.append(Block(*layers))
                skips.append(channels)
            if level < len(c.channel_mult) - 1:
                self.input_blocks.append(Block(Downsample(channels)))
                skips.append(channels)
                shrunk *= 2
        middle = (ResBlock(channels, width, channels), self._attention(channels), ResBlock(channels, width, channels))
        self.middle_block = Block(*middle)
        self.output_blocks = nn.ModuleList()
        for level, factor in reversed(list(enumerate(c.channel_mult))):
            for i in range(c.num_res_blocks + 1):
                layers = [ResBlock(channels + skips.pop(), width, factor * c.model_channels)]
                channels = factor * c.model_channels
                layers += [self._attention(channels)] if shrunk in c.attention_resolutions else []
                if level and i == c.num_res_blocks:
                    layers.append(Upsample(channels))
                    shrunk //= 2
                self.output_blocks.append(Block(*layers))
        self.out = nn.Sequential(
            nn.GroupNorm(GROUPS, channels), nn.SiLU(), nn.Conv2d(channels, c.out_channels, 3, padding=1)
        )

    def _attention(self, channels: int) -> MultiViewTransformer:
        c = self.config
        picture = (c.ip_dim, c.ip_weight)
        return MultiViewTransformer(channels, c.num_head_channels, c.context_dim, c.transformer_depth, *picture)


def sinusoids(timesteps: Tensor, width: int) -> Tensor:
    """[n, width]: cosines, then sines, of the time at frequencies from 1 to 1e-4."""
    half = width // 2
    rates = torch.exp(-math.log(10000.0) * torch.arange(half, dtype=torch.float32, device=timesteps.device) / half)
    angle = timesteps.float()[:, None] * rates
    return torch.cat([angle.cos(), angle.sin()], dim=-1)
