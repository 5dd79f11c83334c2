"""Training of a small network against the clock, on objects of a folder: what such trainings share."""

from __future__ import annotations

import copy
import json
import math
import time
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from nerf2mesh.objects.config import ObjectDataConfig
from nerf2mesh.objects.folder import ObjectEntry, ObjectFolder

Network = TypeVar("Network", bound=nn.Module)


class TimedConfig(Protocol):
    """What `TimedTraining` reads of a training's settings."""

    minutes: float
    learning_rate: float
    ema_decay: float


class TimedTraining(Generic[Network]):
    """Network, average, optimizer and clock of one training: AdamW, whose rate rises over 100 steps and falls to zero
    along a cosine of the time that is over."""

    def __init__(self, network: Network, config: TimedConfig, *, weight_decay: float) -> None:
        self._clock = config
        self.network: Network = network.to(memory_format=torch.channels_last).train()  # pyright: ignore[reportCallIssue]
        self.average: Network = copy.deepcopy(network).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=weight_decay)
        self.steps, self.loss, self.began = 0, 0.0, time.monotonic()

    @property
    def share(self) -> float:
        """Of the training's time that is over."""
        return (time.monotonic() - self.began) / (60.0 * self._clock.minutes)

    def descend(self, loss: Tensor) -> None:
        """One step down the gradient of `loss`, and the average after it."""
        c, share = self._clock, min(self.share, 1.0)
        rate = c.learning_rate * min(1.0, (self.steps + 1) / 100) * 0.5 * (1.0 + math.cos(math.pi * share))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.steps += 1
        self.loss += 0.02 * (float(loss.detach()) - self.loss)
        decay = min(c.ema_decay, (self.steps + 1) / (self.steps + 10))
        with torch.no_grad():
            for mean, value in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
                mean.lerp_(value, 1.0 - decay) if mean.is_floating_point() else mean.copy_(value)

    def line(self, out: Path, **found: float) -> dict[str, object]:
        """Prints where the training is and what was found, adds it to `out`/curve.jsonl and returns it."""
        minutes = round((time.monotonic() - self.began) / 60.0, 1)
        line = {"step": self.steps, "minutes": minutes, "loss": round(self.loss, 4), **found}
        print(json.dumps(line), flush=True)
        with (out / "curve.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        return line


def objects_of(data: ObjectDataConfig) -> tuple[ObjectFolder | None, list[ObjectEntry], list[ObjectEntry]]:
    """The folder, its objects to train on and those held out; nothing without one. ValueError: none to train on."""
    if data.meshes is None:
        return None, [], []
    folder = ObjectFolder(data.meshes, data)
    train = folder.split("train")
    if not train:
        raise ValueError(f"data.meshes: expected objects to train on in {folder.folder}, got none; add some")
    return folder, train, folder.split("heldout")
