"""What one training step sees: frames picked from a batch, augmented, and at which noise level."""

from __future__ import annotations

import torch
from torch import Tensor

from nerf2mesh.priors.builtin.frames import Frames
from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.priors.builtin.network import ABSENT, CLEAN, NOISY, encode_rgba
from nerf2mesh.priors.builtin.train_config import PriorTrainConfig
from nerf2mesh.procedural.dataset import Batch
from nerf2mesh.utils.device_copy import to_device


def draw_frames(
    batch: Batch, config: PriorTrainConfig, generator: torch.Generator
) -> tuple[Tensor, FrameGeometry, Tensor, Tensor | None]:
    """Picks and augments frames: images [B, V, 4, s, s] in network range, their cameras, kind [B, V] and words [B, L].

    Frame 0 is given (the scene's input view in half of the cases), the next ones by `given_shares`, and the given ones
    are hidden with probability `drop_condition`. Scenes are mirrored in y and their color channels permuted at random.
    Where words are told without a picture, frame 0 stands in front of the object. Words are None without `n_words`.
    """
    n, v = batch["pose"].shape[:2]
    order = torch.rand(n, v, generator=generator)
    order[:, 0] -= (torch.rand(n, generator=generator) < 0.5).float()
    order = order.argsort(dim=1)[:, : config.n_frames]
    n_given = 1 + torch.multinomial(torch.tensor(config.given_shares), n, replacement=True, generator=generator)
    kind = torch.where(torch.arange(order.shape[1]) < n_given[:, None], CLEAN, NOISY)
    dropped = torch.rand(n, 1, generator=generator) < config.drop_condition
    kind = torch.where(dropped & (kind == CLEAN), ABSENT, kind)
    device = batch["rgba"].device
    row, at, kind = torch.arange(n, device=device)[:, None], to_device(order, device), to_device(kind, device)
    dropped = to_device(dropped, device)
    images = batch["rgba"][row, at]
    if "given" in batch:
        shown = (kind == CLEAN)[..., None, None, None]
        images = torch.where(shown, batch["given"][row, at], images)
    images = images.permute(0, 1, 4, 2, 3).float() / 255.0
    cameras = FrameGeometry(batch["pose"], batch["focal"] / images.shape[-1], batch["orthographic"])
    mirror = to_device(torch.rand(n, generator=generator), device) < 0.5
    frames = Frames(images, cameras.frames(at)).mirrored(mirror)
    images, geometry = frames.images, frames.geometry
    swap = to_device(torch.stack([torch.randperm(3, generator=generator) for _ in range(n)]), device)
    rgba = torch.cat([swap, torch.full_like(swap[:, :1], 3)], dim=1)
    images = torch.gather(images, 2, rgba[:, None, :, None, None].expand_as(images))
    if not config.network.n_words:
        return encode_rgba(images), geometry, kind, None
    words = draw_words(batch["words"], swap, dropped, config, generator)
    alone = dropped[:, 0] & (words > 0).any(dim=1)
    front = torch.deg2rad(torch.where(mirror, -batch["front_deg"], batch["front_deg"]))
    return encode_rgba(images), geometry.seen_from(front, alone), kind, words


def draw_words(
    captions: Tensor, swap: Tensor, hidden: Tensor, config: PriorTrainConfig, generator: torch.Generator
) -> Tensor:
    """The numbers of the words that are told [B, L], 0 for those left out.

    captions [B, 6, L] as `procedural.dataset` has them; swap [B, 3]: which old color channels are the new ones;
    hidden [B, 1]: no picture is given.
    """
    n, device = len(captions), captions.device
    words = captions[torch.arange(n, device=device), 2 * swap[:, 0] + (swap[:, 1] > swap[:, 2])].long()
    told = to_device(torch.rand(n, 1, generator=generator), device)
    told = told < torch.where(hidden, config.words_alone, config.words_with_picture)
    return words * (told & (to_device(torch.rand(words.shape, generator=generator), device) >= config.drop_word))


def draw_times(n: int, config: PriorTrainConfig, generator: torch.Generator) -> Tensor:
    """Noise levels [n]; see `high_noise_share`."""
    t = torch.rand(n, generator=generator)
    high = torch.rand(n, generator=generator) < config.high_noise_share
    return torch.where(high, 0.6 + 0.4 * t, t).clamp(1e-3, 1 - 1e-3)
