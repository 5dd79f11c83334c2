"""The default loop as on a GPU, without one: no step may depend on a number that is only on the device."""

from __future__ import annotations

import pytest
import torch

from benchmarks.gpu.pretended import DEVICE, Pretended, waits_of_loop
from nerf2mesh.optimize import loop
from nerf2mesh.utils.device_copy import AsyncReadback, to_device


def test_the_default_loop_waits_for_nothing() -> None:
    """A refresh of the occupancy and numbers that arrive late are among the watched steps."""
    assert waits_of_loop(["renderer.occupancy_every=4"], steps=3) == {}


@pytest.mark.slow
def test_a_planted_read_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    norm = loop.gradient_norm
    monkeypatch.setattr(loop, "gradient_norm", lambda state: norm(state) * min(1.0, float(norm(state))))
    found = waits_of_loop(warm_up=1, steps=1)
    assert list(found.values()) == [1] and "tests/optimize/test_waits.py" in next(iter(found))


WAITS = {
    "item": lambda x: x.sum().item(),
    "truth": lambda x: bool((x > 0).any()),
    "tolist": lambda x: x.tolist(),
    "cpu": lambda x: x.cpu(),
    "nonzero": lambda x: x.nonzero(),
    "mask": lambda x: x[x > 0],
    "unique": lambda x: torch.unique(x),
    "repeats": lambda x: torch.repeat_interleave(x, x.long()),
    "equal": lambda x: torch.equal(x, x),
    "new_tensor": lambda x: x.new_tensor([1.0, 2.0]),
    "from the host": lambda x: torch.rand(3).to(x.device),
    "not pinned": lambda x: torch.rand(3).to(x.device, non_blocking=True),
    "into": lambda x: x.copy_(torch.zeros(8)),
    "index": lambda x: x[torch.tensor([1, 2])],
    "event": lambda x: AsyncReadback(x).tolist(),
}
FREE = {
    "pinned": lambda x: x + to_device(torch.rand(8), x.device),
    "arithmetic": lambda x: torch.where(x > 0, x.cumsum(0), 0.0).softmax(0).norm(),
    "number of the host": lambda x: x * torch.tensor(2.0),
    "index": lambda x: x[x.long()],
    "on its way": lambda x: AsyncReadback(x),
}


@pytest.mark.parametrize("name", WAITS)
def test_each_way_to_wait_is_found(name: str) -> None:
    with Pretended() as mode, mode.watched() as seen:
        WAITS[name](torch.empty(8, device=DEVICE))
    assert sum(seen.values()) == 1, seen


@pytest.mark.parametrize("name", FREE)
def test_what_does_not_wait_is_not_accused(name: str) -> None:
    with Pretended() as mode, mode.watched() as seen:
        FREE[name](torch.empty(8, device=DEVICE))
    assert not seen
