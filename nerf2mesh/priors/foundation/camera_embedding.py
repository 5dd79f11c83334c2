"""Tells a network that was trained without cameras where the camera is: VSD's phi needs to know (Wang et al. 2023).

The pose is embedded by a small perceptron whose last layer is zero at first, and added to the network's embedding of
the time. It lives beside the network, not in it: files and adapters of the network do not change, and switched off it
leaves the network bit-equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from nerf2mesh.types import Camera

POSE_NUMBERS = 16


class CameraEmbedding(nn.Module):
    """[n, 16] camera-to-world numbers -> [n, width], zero at initialization."""

    def __init__(self, width: int, hidden: int = 256) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(POSE_NUMBERS, hidden), nn.SiLU(), nn.Linear(hidden, width))
        for parameter in self.layers[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, pose: Tensor) -> Tensor:
        """[n, 16] camera-to-world numbers -> [n, width], to be added to the embedding of the time."""
        return self.layers(pose)


class PoseHook:
    """The embedding on a network's time, and the switch; `numbers` are the poses of the rows under way."""

    def __init__(self) -> None:
        self.embedding: CameraEmbedding | None = None
        self.numbers: Tensor | None = None
        self._active = False

    def attach(self, network: nn.Module) -> None:
        """Makes the embedding, once."""
        if self.embedding is None:
            module, width = time_embedding(network)
            self.embedding = CameraEmbedding(width).to(next(network.parameters()).device)
            module.register_forward_hook(self._add)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Inside, the network is told of the poses; `add_camera_embedding` comes first. May be nested."""
        assert self.embedding is not None, "add_camera_embedding comes first"
        before, self._active = self._active, True
        try:
            yield
        finally:
            self._active = before

    def _add(self, module: nn.Module, inputs: tuple, output: Tensor) -> Tensor | None:
        if not self._active:
            return None
        assert self.embedding is not None
        return output + self.embedding(self.numbers).to(output.dtype)


def time_embedding(network: nn.Module) -> tuple[nn.Module, int]:
    """The module whose output [n, width] is the network's embedding of the time, and its width."""
    for name in ("time_embedding", "time_text_embed"):
        if hasattr(network, name):
            return getattr(network, name), _width(getattr(network, name))
    embed = getattr(network, "time_embed", None)
    assert embed is not None, type(network).__name__
    return embed.emb, _width(embed.emb)


def pose_numbers(cameras: Camera) -> Tensor:
    """Camera-to-world matrices of cameras [B, V], row by row: [B V, 16]."""
    return cameras.camera_to_world.reshape(-1, POSE_NUMBERS)


def _width(module: Any) -> int:
    """Of the last linear layer on the time's path."""
    inner = getattr(module, "timestep_embedder", module)
    return inner.linear_2.out_features
