"""Work of a device that is recorded once and then replayed, so that the host launches it as one (a CUDA graph).

A recorded function does no work on the host that changes from call to call: it gets tensors, draws random numbers by
`uniform` and `normal` alone, and everything else that it depends on is in its key. Its inputs, drawn numbers and
outputs stay in place; they are filled before a replay, and read after it on the same stream before the next one.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from nerf2mesh.utils.device_copy import to_device

Outputs = TypeVar("Outputs")
WARM_UP = 2
"""Ordinary calls with a key before it is recorded: libraries set themselves up, and short-lived keys cost nothing."""
KEPT = 4
"""Recordings kept; each holds its own memory."""


class Recorder(Protocol):
    """Records the work of a function on a device; returns what repeats it, and the outputs, which stay in place.

    Recording need not do the work.
    """

    def __call__(self, function: Callable[[], Outputs]) -> tuple[Callable[[], None], Outputs]: ...


def cuda_graph(function: Callable[[], Outputs]) -> tuple[Callable[[], None], Outputs]:
    """A `Recorder` for CUDA; what cannot be recorded raises RuntimeError."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = function()
    return graph.replay, outputs


@dataclass
class Draw:
    """Numbers that a recorded function draws: how, and where they stay."""

    make: Callable[..., Tensor]
    shape: tuple[int, ...]
    generator: torch.Generator | None
    place: Tensor

    def again(self) -> None:
        """Fresh numbers, sent without waiting."""
        self.place.copy_(_ready(self.make(self.shape, generator=self.generator), self.place), non_blocking=True)


@dataclass
class Drawing:
    """Where `uniform` and `normal` note what they draw while a function is recorded."""

    draws: list[Draw] = field(default_factory=list)


_drawing: Drawing | None = None


@contextmanager
def _noted(drawing: Drawing) -> Iterator[None]:
    global _drawing
    before, _drawing = _drawing, drawing
    try:
        yield
    finally:
        _drawing = before


def uniform(shape: Sequence[int], generator: torch.Generator | None, device: torch.device) -> Tensor:
    """Numbers in [0, 1), drawn on the CPU so that every device sees the same, on `device`; in order of the calls."""
    return _drawn(torch.rand, shape, generator, device)


def normal(shape: Sequence[int], generator: torch.Generator | None, device: torch.device) -> Tensor:
    """Standard normal numbers, as `uniform`."""
    return _drawn(torch.randn, shape, generator, device)


def _drawn(
    make: Callable[..., Tensor], shape: Sequence[int], generator: torch.Generator | None, device: torch.device
) -> Tensor:
    if _drawing is None:
        return to_device(make(tuple(shape), generator=generator), device)
    # Of a recording: filled before every replay, the first one too.
    place = torch.empty(tuple(shape), device=device)
    _drawing.draws.append(Draw(make, tuple(shape), generator, place))
    return place


def _ready(value: Tensor, place: Tensor) -> Tensor:
    """`value` as it can be copied to `place` without waiting."""
    return value.contiguous().pin_memory() if place.is_cuda and not value.is_cuda else value


@dataclass
class Recording(Generic[Outputs]):
    """A function's work with its inputs, drawn numbers and outputs in place."""

    inputs: list[Tensor]
    drawing: Drawing
    replay: Callable[[], None]
    outputs: Outputs

    def __call__(self, inputs: Sequence[Tensor]) -> Outputs:
        for place, value in zip(self.inputs, inputs, strict=True):
            place.copy_(_ready(value, place), non_blocking=True)
        for draw in self.drawing.draws:
            draw.again()
        self.replay()
        return self.outputs


class Recorded(Generic[Outputs]):
    """A function of tensors on a device, replayed where a call's key and shapes have come before.

    Where recording fails all calls are ordinary ones from then on, which is said once. `count`: recordings made.
    """

    def __init__(self, name: str, device: torch.device, recorder: Recorder = cuda_graph) -> None:
        self.name, self.device, self.recorder = name, device, recorder
        self.failed = False
        self.count = 0
        self._known: OrderedDict[Hashable, int | Recording[Outputs]] = OrderedDict()

    def __call__(self, key: Hashable, function: Callable[..., Outputs], *inputs: Tensor) -> Outputs:
        """`function` of `inputs` on the device. Of calls with an equal key any function may be the one recorded."""
        if self.failed:
            return self.ordinary(function, inputs)
        key = (key, *((tuple(x.shape), x.dtype) for x in inputs))
        known = self._known.pop(key, 0)
        if isinstance(known, int) and known >= WARM_UP:
            made = self._record(function, inputs)
            if made is None:
                return self.ordinary(function, inputs)
            known = made
        self._known[key] = known + 1 if isinstance(known, int) else known
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        return self.ordinary(function, inputs) if isinstance(known, int) else known(inputs)

    def ordinary(self, function: Callable[..., Outputs], inputs: Sequence[Tensor]) -> Outputs:
        """`function` of `inputs` on the device, not recorded and not counted."""
        return function(*(to_device(x, self.device) for x in inputs))

    def _record(self, function: Callable[..., Outputs], inputs: Sequence[Tensor]) -> Recording[Outputs] | None:
        places = [to_device(x, self.device).clone() for x in inputs]
        drawing = Drawing()
        try:
            with _noted(drawing):
                replay, outputs = self.recorder(lambda: function(*places))
        except RuntimeError as error:
            self.failed = True
            reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
            warnings.warn(
                f"{self.name} is not recorded, its operators are launched one by one: {reason[0]}", stacklevel=4
            )
            return None
        self.count += 1
        return Recording(places, drawing, replay, outputs)
