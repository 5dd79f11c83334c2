"""The built-in prior's network: a multi-view denoiser that thinks in 3D.

Frames (some clean, some noisy, all with known cameras) are encoded in 2D, lifted into a feature volume, reasoned about
in 3D (convolutions, and attention at half resolution for what is far apart: the other side, the mirror image), rendered
back into every frame and decoded in 2D to the velocity v = alpha * noise - sigma * x0 (Salimans & Ho 2022). The idea of
denoising through a 3D volume is that of Viewset Diffusion (Szymanowicz et al. 2023) and DMV3D (Xu et al. 2024).

Letters: B scenes, V frames, C channels. Images are [B, V, 4, s, s] in the range of `encode_rgba`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nerf2mesh.distill.noise import NoiseLevel, cosine_level
from nerf2mesh.kernels.winograd import Conv2d, Conv3d
from nerf2mesh.priors.builtin.lifting import (
    FrameGeometry,
    composite_along_rays,
    lift,
    plucker,
    ray_features,
    voxel_centers,
)
from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import Within

NOISY, CLEAN, ABSENT = 0, 1, 2
"""What a frame is: to be denoised, given, or given but hidden (the unconditional case)."""


@dataclass(kw_only=True)
class DenoiserConfig:
    """Size of the network. `image_size` must be a multiple of 4 * `patch`."""

    image_size: Annotated[int, Within(8, 1024, multiple=4)] = 64
    patch: Annotated[int, Within(1, 16)] = 2
    """Side of the pixel blocks that enter and leave the network as channels: at 2, pictures of 64 px cost what 32 px do
    at 1."""
    channels: Annotated[int, Within(8, 2048, multiple=8)] = 48
    volume_size: Annotated[int, Within(2, 256, multiple=2)] = 16
    volume_channels: Annotated[int, Within(8, 2048, multiple=8)] = 32
    deep_channels: Annotated[int, Within(8, 4096, multiple=8)] = 128
    n_deep: Annotated[int, Within(0, 64)] = 3
    n_ray_samples: Annotated[int, Within(1, 1024)] = 16
    n_words: Annotated[int, Within(0, 1_000_000)] = 0
    """Words that the network reads, numbered from 1 (`procedural.captions`); 0: it reads none."""

    def __post_init__(self) -> None:
        check_ranges(self, "network.")
        if self.image_size % (4 * self.patch):
            raise ValueError(
                f"network.image_size: expected a multiple of 4 * patch ({4 * self.patch}), got {self.image_size}; "
                "change one of them"
            )

    def build(self) -> MultiViewDenoiser:
        """A network of this size with fresh weights."""
        return MultiViewDenoiser(self)

    def as_dict(self) -> dict[str, int]:
        """Plain values, as they stand in the header of a file of weights."""
        return asdict(self)


class Modulated(nn.Module):
    """Residual block of two 3-wide convolutions in 2D or 3D, modulated by an embedding (FiLM, Perez et al. 2018)."""

    def __init__(self, channels: int, embedding: int, dims: int) -> None:
        super().__init__()
        conv = Conv2d if dims == 2 else Conv3d
        self.norm1, self.norm2 = nn.GroupNorm(8, channels), nn.GroupNorm(8, channels)
        self.conv1, self.conv2 = conv(channels, channels, 3, padding=1), conv(channels, channels, 3, padding=1)
        self.film = nn.Linear(embedding, 2 * channels)
        for parameter in self.conv2.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """x [n, c, *size] with two or three sizes, embedding [n, e] -> [n, c, *size]."""
        scale, shift = self.film(embedding).reshape(len(x), 2, -1, *(1,) * (x.ndim - 2)).unbind(1)
        h = self.norm2(self.conv1(F.silu(self.norm1(x))))
        return x + self.conv2(F.silu(torch.addcmul(shift.to(h.dtype), h, (1 + scale).to(h.dtype))))


class VolumeAttention(nn.Module):
    """Self-attention over the voxels of a small volume, then a pointwise network."""

    def __init__(self, channels: int, n_heads: int = 2) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.n_heads = n_heads
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.up, self.down = nn.Linear(channels, 3 * channels), nn.Linear(3 * channels, channels)
        for layer in (self.out, self.down):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, d, h, w] -> the same shape."""
        shape = x.shape
        x = x.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        x = x + self.down(F.silu(self.up(self.norm2(x))))
        return x.transpose(1, 2).reshape(shape)


class WordBag(nn.Module):
    """What a few words say, whatever their order; nothing where there are none, and nothing at all at first."""

    def __init__(self, n_words: int, embedding: int) -> None:
        super().__init__()
        self.table = nn.Embedding.from_pretrained(standard_normal(n_words + 1, embedding), freeze=False, padding_idx=0)
        self.hidden = nn.Linear(embedding, embedding, bias=False)
        self.out = nn.Linear(embedding, embedding, bias=False)
        nn.init.zeros_(self.out.weight)
        if not self.table.weight.is_meta:
            nn.init.zeros_(self.table.weight[0])

    def forward(self, words: Tensor) -> Tensor:
        """Embedding [B, e] of word numbers [B, L], filled up with 0. Without biases no words are exactly zero."""
        return self.out(F.silu(self.hidden(self.table(words).sum(dim=1))))


class MultiViewDenoiser(nn.Module):
    """v = network(noisy, log_snr, kind, geometry, words); see the module's text."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        c, e = config.channels, 4 * config.channels
        vc, dc = config.volume_channels, config.deep_channels
        self.embed = nn.Sequential(nn.Linear(16 + 3, e), nn.SiLU(), nn.Linear(e, e), nn.SiLU())
        self.words = WordBag(config.n_words, e) if config.n_words else None
        self.stem = nn.Conv2d(4 * config.patch**2 + 6, c, 3, padding=1)
        self.fine_in = Modulated(c, e, 2)
        self.shrink = nn.Conv2d(c, 2 * c, 3, stride=2, padding=1)
        self.coarse_in = nn.ModuleList(Modulated(2 * c, e, 2) for _ in range(2))
        self.to_lift = nn.Conv2d(2 * c, c, 1)
        self.gather = nn.Conv3d(2 * c + 9, vc, 1)
        self.near_in = Modulated(vc, e, 3)
        self.deepen = nn.Conv3d(vc, dc, 2, stride=2)
        self.place = nn.Parameter(standard_normal(dc, *(config.volume_size // 2,) * 3, scale=0.02))
        self.deep = nn.ModuleList(Modulated(dc, e, 3) for _ in range(config.n_deep))
        self.attend = nn.ModuleList(VolumeAttention(dc) for _ in range(config.n_deep))
        self.widen = nn.ConvTranspose3d(dc, vc, 2, stride=2)
        self.near_out = nn.ModuleList(Modulated(vc, e, 3) for _ in range(2))
        self.to_rays = nn.Conv3d(vc, vc + 1, 1)
        self.merge = nn.Conv2d(2 * c + vc + 2, 2 * c, 1)
        self.coarse_out = nn.ModuleList(Modulated(2 * c, e, 2) for _ in range(2))
        self.grow = nn.Conv2d(2 * c, c, 3, padding=1)
        self.fine_out = Modulated(c, e, 2)
        self.head = nn.Conv2d(c, 4 * config.patch**2, 3, padding=1)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self,
        images: Tensor,
        log_snr: Tensor,
        kind: Tensor,
        geometry: FrameGeometry,
        words: Tensor | None = None,
        *,
        n_given: int = 0,
        with_opacity: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Velocity [B, V - n_given, 4, s, s].

        images [B, V, 4, s, s]: noisy frames at their noise level, clean ones as they are. log_snr [B]: of the noisy
        frames, log(alpha^2 / sigma^2). kind [B, V]: NOISY, CLEAN or ABSENT. The output has a meaning for noisy
        frames only. words [B, L]: numbers of the caption's words, filled up with 0; the object's front is then where
        frame 0 stands, unless a clean frame shows it. n_given: so many frames at the beginning of every scene are only
        read; no time is spent on their velocity. with_opacity: gives besides what the same frames see of the volume's
        own opacity, [B, V - n_given, h, h] in [0, 1] with h = s / (2 patch).
        """
        n_scenes, n_frames = kind.shape
        patch, size = self.config.patch, images.shape[-1] // self.config.patch
        geometry = geometry.turned_to_front()
        images = images * (kind != ABSENT)[..., None, None, None]
        gain, keep, turn = (c[:, None, None, None, None] for c in patch_preconditioning(log_snr, patch))
        blocks = F.pixel_unshuffle(torch.where((kind == NOISY)[..., None, None, None], gain * images, images), patch)
        frame_emb, scene_emb = self._embeddings(log_snr + 2.0 * math.log(patch), kind, words)
        x = torch.cat([blocks, plucker(geometry, size)], dim=2).flatten(0, 1)
        fine = self.fine_in(self.stem(x.contiguous(memory_format=torch.channels_last)), frame_emb)
        coarse = self.shrink(fine)
        for block in self.coarse_in:
            coarse = block(coarse, frame_emb)
        lifted = lift(self.to_lift(coarse).unflatten(0, (n_scenes, n_frames)), geometry, self.config.volume_size)
        volume = self._think(lifted, kind, scene_emb)
        fine, coarse, frame_emb = (_without_first(x, n_scenes, n_given) for x in (fine, coarse, frame_emb))
        pixels = self._see(volume, geometry.without_first(n_given), size // 2)
        coarse = self.merge(torch.cat([coarse, pixels.to(coarse.dtype)], dim=1))
        for block in self.coarse_out:
            coarse = block(coarse, frame_emb)
        out = self.head(self.fine_out(fine + twice_as_large(coarse, self.grow), frame_emb))
        out = F.pixel_shuffle(out.unflatten(0, (n_scenes, n_frames - n_given)).float(), patch)
        v = keep * images[:, n_given:] + turn * out
        if not with_opacity:
            return v
        return v, (0.5 * (pixels[:, -2].float() + 1.0)).unflatten(0, (n_scenes, n_frames - n_given))

    def _embeddings(self, log_snr: Tensor, kind: Tensor, words: Tensor | None) -> tuple[Tensor, Tensor]:
        """Of each frame [B * V, e] and of each scene [B, e]."""
        level = torch.where(kind == NOISY, log_snr[:, None], 12.0)
        waves = level[..., None] * (math.pi / 24.0) * 2.0 ** torch.arange(8, device=level.device)
        flags = (kind[..., None] == torch.arange(3, device=kind.device)).float()  # one_hot reads values on a CPU
        frames = self.embed[:-1](torch.cat([waves.sin(), waves.cos(), flags], dim=-1))
        if words is not None:
            assert self.words is not None, "words for a network that reads none"
            frames = frames + self.words(words)[:, None]
        frames = self.embed[-1](frames)
        return frames.flatten(0, 1), frames[:, -1]

    def _think(self, lifted: Tensor, kind: Tensor, embedding: Tensor) -> Tensor:
        """Feature volume [B, vc + 1, G, G, G] from lifted frames [B, V, c, G, G, G]."""
        size = self.config.volume_size
        share = torch.stack([kind == NOISY, kind == CLEAN], dim=1).float()
        share = share / share.sum(-1, keepdim=True).clamp_min(1.0)
        means = (share.to(lifted.dtype) @ lifted.flatten(2)).unflatten(-1, lifted.shape[2:]).flatten(1, 2)
        at = voxel_centers(size, lifted.device).T.reshape(1, 3, size, size, size)
        at = torch.cat([at, (math.pi * at).sin(), (math.pi * at).cos()], dim=1).expand(len(lifted), -1, -1, -1, -1)
        x = torch.cat([means, at.to(means.dtype)], dim=1).contiguous(memory_format=torch.channels_last_3d)
        near = self.near_in(self.gather(x), embedding)
        deep = self.deepen(near) + self.place
        for block, attention in zip(self.deep, self.attend, strict=True):
            deep = attention(block(deep, embedding))
        near = near + self.widen(deep)
        for block in self.near_out:
            near = block(near, embedding)
        return self.to_rays(near)

    def _see(self, volume: Tensor, geometry: FrameGeometry, size: int) -> Tensor:
        """What each frame sees of the volume: features, opacity and depth, [B * V, vc + 2, size, size]."""
        values, offset = ray_features(volume, geometry, size, self.config.n_ray_samples)
        logit, features = values.split([1, values.shape[2] - 1], dim=2)
        features, weights = composite_along_rays(features, F.softplus(logit[:, :, 0] - 2.0))
        opacity = weights.sum(-1, keepdim=True).transpose(-1, -2)
        depth = (weights * offset).sum(-1, keepdim=True).transpose(-1, -2)
        pixels = torch.cat([features, 2 * opacity - 1, depth], dim=2)
        return pixels.flatten(0, 1).unflatten(-1, (size, size))


def standard_normal(*shape: int, scale: float = 1.0) -> Tensor:
    """Random numbers times `scale`; under the device "meta", where only shapes are asked for, none: drawing would load
    torch._dynamo, which takes over a second."""
    values = torch.empty(shape)
    return values if values.is_meta else values.normal_().mul_(scale)


def _without_first(x: Tensor, n_scenes: int, n: int) -> Tensor:
    """Frames [B * V, ...] without the first n of each scene; images keep their channels last in memory."""
    if n == 0:
        return x
    return x.movedim(1, -1).unflatten(0, (n_scenes, -1))[:, n:].flatten(0, 1).movedim(-1, 1)


def twice_as_large(x: Tensor, conv: nn.Module) -> Tensor:
    """`conv`, 3 wide, of x [N, C, h, w] with every pixel doubled, [N, c, 2h, 2w].

    Four of the nine taps of an output pixel fall on one input pixel, two each on its neighbors: added up beforehand,
    they are a transposed convolution that is 4 wide, at 4/9 of the work. A layer that carries adapters is called as is.
    """
    if not isinstance(conv, nn.Conv2d):
        return conv(F.interpolate(x, scale_factor=2, mode="nearest"))
    taps = 4 * F.avg_pool2d(F.pad(conv.weight.flip(-1, -2), (1, 1, 1, 1)), 2, stride=1)
    return F.conv_transpose2d(x, taps.transpose(0, 1), conv.bias, stride=2, padding=1)


def noise_level(t: Tensor, patch: int) -> NoiseLevel:
    """The denoiser's schedule: cosine for the mean over a patch, so that t means the same at any resolution.

    sigma / alpha = patch tan(pi t / 2): noise averages out over the pixels of a patch (Hoogeboom et al. 2023,
    arXiv 2301.11093, equation 4, with the patch as the ratio of resolutions).
    """
    cosine = cosine_level(t)
    alpha, sigma = cosine.alpha, patch * cosine.sigma
    norm = torch.hypot(alpha, sigma)
    return NoiseLevel(alpha / norm, sigma / norm)


def patch_preconditioning(log_snr: Tensor, patch: int) -> tuple[Tensor, Tensor, Tensor]:
    """(gain, keep, turn) [B]: the network sees gain * x_t, and v = keep * x_t + turn * output.

    With these, the patches' means obey the same input and output statistics at any patch size: for
    D = patch^2 alpha^2 + sigma^2 the mean of gain * x_t has unit level alpha' = patch alpha / sqrt(D),
    sigma' = sigma / sqrt(D), and the output is that level's velocity. All trivial for patch 1.
    """
    alpha2, sigma2 = torch.sigmoid(log_snr), torch.sigmoid(-log_snr)
    d = patch**2 * alpha2 + sigma2
    return patch / d.sqrt(), (1 - patch**2) * (alpha2 * sigma2).sqrt() / d, d.rsqrt()


def grown(weights: dict[str, Tensor], patch: int) -> dict[str, Tensor]:
    """Weights of a network with patch 1 for one with `patch` > 1 that answers with the same patch means."""
    share = patch**2
    stem, head, bias = weights["stem.weight"], weights["head.weight"], weights["head.bias"]
    pixels = stem[:, :4].repeat_interleave(share, dim=1) / share
    return weights | {
        "stem.weight": torch.cat([pixels, stem[:, 4:]], dim=1),
        "head.weight": head.repeat_interleave(share, dim=0),
        "head.bias": bias.repeat_interleave(share),
    }


def encode_rgba(premultiplied: Tensor) -> Tensor:
    """Premultiplied RGBA in [0, 1], channels at dimension -3 -> network range [-1, 1]: color on mid-grey, alpha."""
    rgb, alpha = premultiplied.split([3, 1], dim=-3)
    return torch.cat([2 * rgb - alpha, 2 * alpha - 1], dim=-3)


def decode_rgba(x: Tensor) -> Tensor:
    """Inverse of `encode_rgba`."""
    rgb, alpha = x.split([3, 1], dim=-3)
    alpha = 0.5 * (alpha + 1)
    return torch.cat([0.5 * (rgb + alpha), alpha], dim=-3)
