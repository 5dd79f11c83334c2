"""A stand-in for a CUDA graph, on a CPU: operators are noted with the very tensors and numbers that they got.

A replay calls them again in their order and writes what they give into the tensors that they gave when they were noted.
So numbers of Python, branches and sizes are those of the recording, as in a graph, and whatever the function takes from
the host without saying so shows as a difference from an ordinary call. What waits or draws random numbers is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
Outputs = TypeVar("Outputs")
READS = {aten._local_scalar_dense, aten.equal, aten.is_nonzero, aten.nonzero, aten.masked_select, aten._unique2}
DRAWS = {
    aten.rand,
    aten.randn,
    aten.randint,
    aten.randperm,
    aten.multinomial,
    aten.uniform_,
    aten.normal_,
    aten.random_,
}
LEAVES_ALONE = {aten.empty, aten.empty_like, aten.new_empty, aten.empty_strided, aten.new_empty_strided}


class OperatorTape(TorchDispatchMode):
    """The operators of a function, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Callable[..., Any], tuple, dict, Any]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        op = func.overloadpacket
        if op in READS:
            raise RuntimeError(f"{op} asks for a value")
        if op in DRAWS:
            raise RuntimeError(f"{op} draws random numbers")
        made = func(*args, **(kwargs or {}))
        if op not in LEAVES_ALONE:
            self.calls.append((func, args, kwargs or {}, made))
        return made

    @torch.no_grad()
    def replay(self) -> None:
        """All of it again."""
        for func, args, kwargs, made in self.calls:
            again = func(*args, **kwargs)
            for place, value in zip(tree_leaves(made), tree_leaves(again), strict=True):
                if isinstance(place, Tensor) and not _is_same(place, value):
                    if place.shape != value.shape:
                        raise RuntimeError(f"{func} gave {list(place.shape)} and then {list(value.shape)}")
                    place.copy_(value)


def _is_same(one: Tensor, other: Tensor) -> bool:
    """Whether they are one piece of memory: views, and what was changed in place."""
    return one.data_ptr() == other.data_ptr() and one.numel() > 0


def tape(function: Callable[[], Outputs]) -> tuple[Callable[[], None], Outputs]:
    """A `nerf2mesh.utils.recorded.Recorder`."""
    mode = OperatorTape()
    with mode:
        outputs = function()
    return mode.replay, outputs
