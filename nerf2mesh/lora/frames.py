"""The loop that fits a subject adapter, and the names and weights of the adapters of a run."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nerf2mesh.lora import adapters
from nerf2mesh.lora.config import LoraConfig

SUBJECT = "subject"


def learn(
    network: torch.nn.Module, config: LoraConfig, loss: Callable[[], Tensor], progress: Callable[[float], None] | None
) -> list[float]:
    """Fits adapter SUBJECT (attached if need be) to `loss` for `config.steps` and leaves it frozen; the losses."""
    if SUBJECT not in adapters.names(network):
        adapters.attach(network, SUBJECT, config.rank)
    adapters.stack(network, active(network, config))
    parameters = adapters.train_only(network, SUBJECT)
    optimizer = torch.optim.AdamW(parameters, config.learning_rate, betas=(0.9, 0.99), weight_decay=0.0)
    losses = []
    for _ in range(config.steps):
        found = loss()
        found.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(float(found.detach()))
        if progress:
            progress(losses[-1])
    network.requires_grad_(False)
    return losses


def active(network: torch.nn.Module, config: LoraConfig) -> dict[str, float]:
    """The weights of all adapters that a run uses on this network: the user's, and the subject's.

    A user's file may hold layers of text encoders alone.
    """
    present, weights = adapters.names(network), config.weights or [1.0] * len(config.adapters)
    stacked = {style_name(i): weight for i, weight in enumerate(weights) if style_name(i) in present}
    if SUBJECT in present:
        stacked[SUBJECT] = config.subject_weight
    return stacked


def style_name(index: int) -> str:
    """The name on the network of the style adapter at `index` in the list of the run."""
    return f"style{index}"
