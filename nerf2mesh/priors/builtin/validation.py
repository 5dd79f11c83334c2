"""Held-out losses of the built-in prior on procedural scenes, with and without words."""

from __future__ import annotations

from dataclasses import replace

import torch

from nerf2mesh.priors.builtin.examples import draw_frames
from nerf2mesh.priors.builtin.loss import velocity_loss
from nerf2mesh.priors.builtin.network import CLEAN, NOISY, MultiViewDenoiser
from nerf2mesh.priors.builtin.train_config import PriorTrainConfig
from nerf2mesh.procedural.dataset import Batch


@torch.no_grad()
def validate(network: MultiViewDenoiser, batch: Batch, config: PriorTrainConfig) -> dict[str, float]:
    """Held-out velocity loss of one given picture at fixed noise levels, the same frames and noise every time."""
    generator = torch.Generator().manual_seed(1)
    images, geometry, kind, _ = draw_frames(batch, replace(config, drop_condition=0.0), generator)
    kind[:, 1:], kind[:, 0] = NOISY, CLEAN
    noise = torch.randn(images.shape, generator=generator).to(images.device)
    losses = {}
    for t in (0.3, 0.6, 0.9):
        level = torch.full((len(images),), t, device=images.device)
        losses[f"v_loss_t{t}"] = float(velocity_loss(network, images, geometry, kind, level, noise))
    losses["v_loss"] = sum(losses.values()) / len(losses)
    return losses | (validate_words(network, batch, config) if config.network.n_words else {})


@torch.no_grad()
def validate_words(network: MultiViewDenoiser, batch: Batch, config: PriorTrainConfig) -> dict[str, float]:
    """Held-out velocity loss at t = 0.9 of captioned scenes without a picture: with their own caption (matched),
    without one (none), and with that of another scene (mismatched). Where words are used, the first is the least and
    the last the greatest."""
    generator = torch.Generator().manual_seed(2)
    batch = {key: value[(batch["words"] > 0).flatten(1).any(dim=1)] for key, value in batch.items()}
    config = replace(config, drop_condition=1.0, words_alone=1.0, drop_word=0.0)
    images, geometry, kind, words = draw_frames(batch, config, generator)
    assert words is not None, "only where the network reads words"
    kind[:, 1:] = NOISY
    noise = torch.randn(images.shape, generator=generator).to(images.device)
    t = torch.full((len(images),), 0.9, device=images.device)
    captions = {"matched": words, "none": None, "mismatched": words.roll(1, dims=0)}
    return {
        f"caption_{name}_t0.9": float(velocity_loss(network, images, geometry, kind, t, noise, caption))
        for name, caption in captions.items()
    }
