"""python -m benchmarks.gpu.pretended [overrides]: which lines would make the host wait for a GPU, found without one.

Inside `Pretended` the device "meta" stands for the GPU: its tensors have shapes but no values, so nothing on the host
can depend on what they hold. What asks for a value is noted with its line and gets a made-up answer; where nothing is
noted, the host decided by itself. Noted are: reading a number or copying to the host; operators whose output's size
depends on values (nonzero, masks as indices, unique, the marcher without a capacity); copies to the device that wait or
are not from pinned memory; host tensors as operands; waiting for an event of the same turn.
Not seen is what an operator's own code does on a GPU: `speed.host_syncs` counts that there.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

ROOT = Path(__file__).resolve().parents[2]
DEVICE = "meta"
aten = torch.ops.aten
SIZE_FROM_VALUES = {
    aten.nonzero, aten.masked_select, aten._unique2, aten.unique_dim, aten.unique_consecutive, aten.bincount,
    aten.repeat_interleave,
}  # fmt: skip
COPIES_SCALARS = {aten.where, aten.index_put, aten.index_put_, aten.index, aten.cat, aten.stack}
"""Operators that would send even a host tensor without dimensions to the device, and wait."""


class Pretended(TorchDispatchMode):
    """Runs host tensors as ever and "meta" tensors without values; `watched` counts what would wait."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()
        self.turn = 0
        self.watching = False
        self._pinned = WeakIdKeyDictionary()

    @contextmanager
    def watched(self) -> Iterator[Counter[str]]:
        """Counts inside; yields the counts. Who goes through several turns says so by `turn`."""
        self.seen, self.watching, self.turn = Counter(), True, self.turn + 1
        try:
            yield self.seen
        finally:
            self.watching = False

    def __enter__(self) -> Pretended:
        # A meta device has neither autocast nor events.
        autocast = torch.autocast
        self._patches = [
            mock.patch.object(
                torch, "autocast", lambda d, *a, **k: nullcontext() if d == DEVICE else autocast(d, *a, **k)
            ),
            mock.patch("nerf2mesh.utils.device_copy.mark", lambda device: _Mark(self)),
            mock.patch("nerf2mesh.utils.device_copy.ASYNCHRONOUS", ("cuda", DEVICE)),
        ]
        for patch in self._patches:
            patch.start()
        self._numbers = _Numbers(self)
        self._numbers.__enter__()
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._numbers.__exit__(*error)
        for patch in self._patches:
            patch.stop()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        op = func.overloadpacket
        if op is aten.is_pinned:
            return args[0] in self._pinned
        if op is aten._pin_memory:
            return self._pin(args[0].clone())
        if op is aten._to_copy and "device" in kwargs:
            return self._moved(func, args[0], kwargs)
        if op is aten.copy_ and args[0].is_meta != args[1].is_meta:
            return self._copied(args[0], args[1], bool(args[2]) if len(args) > 2 else kwargs.get("non_blocking", False))
        if not any(t.is_meta for t in tensors):
            pin = kwargs.pop("pin_memory", False)
            made = func(*args, **kwargs)
            return self._pin(made) if pin else made
        return self._on_device(func, op, tensors, args, kwargs)

    def note(self, what: str) -> None:
        if self.watching:
            self.seen[f"{_line()} {what}"] += 1

    def _on_device(self, func, op, tensors: list[Tensor], args: tuple, kwargs: dict):
        from_host = [t for t in tensors if not t.is_meta and (t.ndim or op in COPIES_SCALARS)]
        masks = op in (aten.index, aten.index_put, aten.index_put_) and any(
            t.dtype == torch.bool for t in args[1] if t is not None
        )
        if from_host:
            self.note(f"{op}: a host tensor {list(from_host[0].shape)} among the device's")
        if op is aten._local_scalar_dense or op is aten.equal:
            self.note(f"{op}: a value is read")
            return _made_up(args[0].dtype)
        if op in SIZE_FROM_VALUES or (masks and op is aten.index):
            self.note(f"{op}: the size of the output depends on values")
            return _made_up_rows(op, args)
        if op is torch.ops.n2m.march and args[-1] is None:
            self.note(f"{op}: without a capacity")
            args = (*args[:-1], 8 * len(args[0]))
        return func(*args, **kwargs)

    def _moved(self, func, source: Tensor, kwargs: dict) -> Tensor:
        to_host = torch.device(kwargs["device"]).type == "cpu"
        waits = not kwargs.pop("non_blocking", False)
        if source.is_meta and to_host:
            self.note("aten._to_copy: a copy to the host")
            return torch.ones(source.shape, dtype=kwargs.get("dtype") or source.dtype)
        if not source.is_meta and not to_host and (waits or not self._ready(source)):
            self.note(f"aten._to_copy: {list(source.shape)} to the device, {'waiting' if waits else 'not pinned'}")
        return func(source, **kwargs)

    def _copied(self, target: Tensor, source: Tensor, non_blocking: bool) -> Tensor:
        host = source if target.is_meta else target
        if not non_blocking or not self._ready(host):
            self.note(f"aten.copy_: {list(host.shape)}, {'not pinned' if non_blocking else 'waiting'}")
        return target if target.is_meta else target.fill_(1)

    def _ready(self, tensor: Tensor) -> bool:
        return tensor in self._pinned and tensor.is_contiguous()

    def _pin(self, tensor: Tensor) -> Tensor:
        self._pinned[tensor] = True
        return tensor


class _Numbers(TorchFunctionMode):
    """Notes tensors on the device that are made from numbers of Python: copies that the other mode does not see."""

    def __init__(self, mode: Pretended) -> None:
        self.mode = mode

    def __torch_function__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        data = args[-1] if args else None
        if func in (torch.tensor, torch.as_tensor, Tensor.new_tensor) and made.is_meta and not isinstance(data, Tensor):
            self.mode.note("numbers of Python become a tensor on the device")
        return made


class _Mark:
    """Stands for a CUDA event; to wait for one of the same turn is to wait for the device."""

    def __init__(self, mode: Pretended) -> None:
        self.mode, self.turn = mode, mode.turn

    def synchronize(self) -> None:
        if self.turn == self.mode.turn:
            self.mode.note("waits for an event of the same turn")


def _made_up(dtype: torch.dtype) -> bool | int | float:
    return True if dtype == torch.bool else 1.0 if dtype.is_floating_point else 1


def _made_up_rows(op, args: tuple) -> Tensor | tuple[Tensor, ...]:
    """Half of everything."""
    n = max(1, args[0].numel() // 2)
    if op is aten._unique2:
        return torch.empty(n, dtype=args[0].dtype, device=DEVICE), *torch.empty(2, n, dtype=torch.int64, device=DEVICE)
    if op is aten.nonzero:
        return torch.empty(n, args[0].ndim, dtype=torch.int64, device=DEVICE)
    return torch.empty(n, dtype=args[0].dtype, device=DEVICE)


def _line() -> str:
    """The innermost line of the library, or of whoever calls from the repository."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(str(ROOT)) and file != __file__ and "/.venv/" not in file:
            return f"{Path(file).relative_to(ROOT).as_posix()}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"


def waits_of_loop(overrides: Sequence[str] = (), warm_up: int = 2, steps: int = 16) -> dict[str, int]:
    """How often each line would wait in `steps` steps of `optimize` after the first `warm_up`."""
    from nerf2mesh.optimize import optimize

    from .loop import problem

    with Pretended() as mode, ExitStack() as window:

        def on_step(state) -> None:
            mode.turn += 1
            if state.step == warm_up:
                window.enter_context(mode.watched())
            if state.step == warm_up + steps:
                window.close()

        state, given = problem(DEVICE, [*overrides, f"optimize.steps={warm_up + steps + 1}", "prior.precision=float32"])
        optimize(state, given, on_step=on_step)
    return dict(mode.seen.most_common())


def figures(overrides: Sequence[str] = ()) -> dict[str, object]:
    """The waits as figures of an item; one of them fails it."""
    found = waits_of_loop(overrides)
    waits = {"host waits foreseen": sum(found.values()), **found}
    return waits | ({"failed": "steps of the loop would wait for the GPU"} if found else {})


def main(argv: Sequence[str] | None = None) -> int:
    found = waits_of_loop(sys.argv[1:] if argv is None else argv)
    for line, count in found.items():
        print(f"{count:4d} {line}")
    print(f"{sum(found.values())} waits in 16 steps")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
