"""Low-rank changes of layers as plain tensors, and the flat dictionary in which they travel.

    delta W = alpha / r * up @ down (Hu et al. 2021, arXiv 2106.09685, section 4.1)

Letters
    r rank; down [r, in, *kernel], peft's lora_A; up [out, r, *ones], peft's lora_B; alpha the numerator of the scale,
    which kohya's tools choose freely and which is r where a file is silent.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nerf2mesh.utils.names import printable

PREFIX = "base_model.model."
"""What peft puts before every module's name in its files."""
MAX_NUMBERS = 2**27
"""Of one folded layer, 512 MB: rank 1024 on SDXL's widest convolution has 2^24."""


@dataclass(frozen=True)
class LowRank:
    """The change of one layer."""

    down: Tensor
    up: Tensor
    alpha: float

    @property
    def rank(self) -> int:
        """r, the number of rows of `down`."""
        return self.down.shape[0]

    @property
    def scale(self) -> float:
        """alpha / r, by which up @ down is multiplied."""
        return self.alpha / self.rank

    def delta(self) -> Tensor:
        """The dense change of the weight, [out, in, *kernel]."""
        dense = self.up.flatten(1) @ self.down.flatten(1)
        return self.scale * dense.reshape(self.up.shape[0], *self.down.shape[1:])

    def rows(self, start: int, stop: int) -> LowRank:
        """The change of a slice of the outputs; `down` is shared."""
        return LowRank(self.down, self.up[start:stop].contiguous(), self.alpha)

    def halves_exchanged(self) -> LowRank:
        """The outputs' two halves exchanged: scale and shift stand in the other order in some implementations."""
        return LowRank(self.down, torch.cat(self.up.chunk(2)[::-1]), self.alpha)

    def shaped_like(self, down: Tensor, up: Tensor) -> LowRank | None:
        """With 1 x 1 kernels added or dropped to fit tensors of another layer kind; None where it does not fit."""
        if self.down.numel() != down.numel() or self.up.numel() != up.numel():
            return None
        if self.down.shape[:2] != down.shape[:2] or self.up.shape[:2] != up.shape[:2]:
            return None
        return LowRank(self.down.reshape(down.shape), self.up.reshape(up.shape), self.alpha)


def to_state(layers: dict[str, LowRank]) -> dict[str, Tensor]:
    """Layers by module name as tensors under peft's keys, and `<module>.alpha` where alpha differs from the rank."""
    state = {}
    for module, layer in layers.items():
        state[f"{PREFIX}{module}.lora_A.weight"] = layer.down
        state[f"{PREFIX}{module}.lora_B.weight"] = layer.up
        if layer.alpha != layer.rank:
            state[f"{PREFIX}{module}.alpha"] = torch.tensor(layer.alpha)
    return state


def from_state(state: dict[str, Tensor]) -> dict[str, LowRank]:
    """Inverse of `to_state`. ValueError where half of a layer is missing or a key is something else."""
    parts: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        for suffix, part in ((".lora_A.weight", "down"), (".lora_B.weight", "up"), (".alpha", "alpha")):
            if key.endswith(suffix):
                parts.setdefault(key.removeprefix(PREFIX).removesuffix(suffix), {})[part] = value
                break
        else:
            raise ValueError(
                f"adapter: expected lora_A, lora_B or alpha, got the tensor {printable(key)}; give a LoRA file"
            )
    return {module: assembled(module, found) for module, found in parts.items()}


def assembled(module: str, parts: dict[str, Tensor], place: str = "adapter") -> LowRank:
    """A layer from its tensors down, up, perhaps alpha, perhaps mid (a kernel between them, which is folded in).

    place: where the tensors are from, for errors. ValueError where a tensor is missing or the shapes do not fit.
    """
    shown = printable(module)
    missing = [part for part in ("down", "up") if part not in parts]
    if missing:
        raise ValueError(f"{place}: expected {missing[0]} of {shown}, got {sorted(parts)} alone; get the file again")
    down, up = parts["down"], parts["up"]
    alpha = float(parts["alpha"]) if "alpha" in parts else float(down.shape[0])
    if "mid" in parts:
        down = _with_kernel(module, down, parts["mid"], place)
    if up.shape[1] != down.shape[0]:
        raise ValueError(
            f"{place}: expected one rank in {shown}, got {down.shape[0]} and {up.shape[1]}; get the file again"
        )
    return LowRank(down.contiguous(), up.contiguous(), alpha)


def _with_kernel(module: str, down: Tensor, mid: Tensor, place: str) -> Tensor:
    """down [r, in, *kernel] from mid [r, s, *kernel] and down [s, in, 1, 1]."""
    down = down.flatten(1)
    if mid.shape[1] != down.shape[0] or mid.numel() // mid.shape[1] * down.shape[1] > MAX_NUMBERS:
        got = f"{tuple(mid.shape)} and {tuple(down.shape)}"
        raise ValueError(
            f"{place}: expected lora_mid and lora_down of {printable(module)} to fit, got {got}; get the file again"
        )
    return torch.einsum("rs...,si->ri...", mid, down)
