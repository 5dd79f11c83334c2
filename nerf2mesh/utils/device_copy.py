"""Between host and device without waiting: small tensors there through pinned memory, numbers back when they are done.

A copy from ordinary memory, and every number read from a GPU, make the host wait until the GPU has done all that it was
asked for before. On the CPU nothing here does anything.
"""

from __future__ import annotations

import torch
from torch import Tensor

ASYNCHRONOUS = ("cuda",)
"""Devices that work on while the host goes on."""
LAG = 4
"""How many turns later numbers are read: by then a GPU has long sent them, and the host is never further ahead."""


def to_device(tensor: Tensor, device: torch.device | str) -> Tensor:
    """`tensor` on `device`; from the host to a GPU without waiting."""
    device = torch.device(device)
    if device.type not in ASYNCHRONOUS or tensor.device.type != "cpu":
        return tensor.to(device)
    # Contiguous, or torch would make it so in ordinary memory on the way.
    return tensor.contiguous().pin_memory().to(device, non_blocking=True)


def mark(device: torch.device) -> torch.cuda.Event:
    """An event behind all that the device was asked for until now."""
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(device))
    return event


class AsyncReadback:
    """Values on their way to the host; `tolist` waits until they are there."""

    def __init__(self, values: Tensor) -> None:
        self._host, self._mark = values, None
        if values.device.type in ASYNCHRONOUS:
            self._host = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._host.copy_(values, non_blocking=True)
            self._mark = mark(values.device)

    def tolist(self) -> list:
        """The values as nested lists of Python numbers; waits until the copy is complete."""
        if self._mark is not None:
            self._mark.synchronize()
        return self._host.tolist()
