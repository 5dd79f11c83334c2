"""How much memory a prior will take, said before the first step, and what it took, said after.

Weights are counted exactly. Activations are counted by running the step once on tensors without storage ("meta"
device): every operation says how large its result would be, and results that are let go are subtracted, so that the
peak of live bytes comes out without a single multiplication. Attention counts as a fused kernel (no score matrix).
What a GPU adds (its context, cuBLAS workspaces, fragmentation) is not in it, nor what VSD and BSD need to learn.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from nerf2mesh.priors.base import Prior
from nerf2mesh.priors.foundation.prior import FoundationPrior, Rows
from nerf2mesh.types import Camera

ADAM_COPIES = 4
"""Parameter, gradient, two moments."""
GIB = 2**30


@dataclass(frozen=True)
class MemoryPrediction:
    """Bytes. network: activations of one forward of all branches and views, without gradient. encode_kept: what the
    encoder keeps for the backward pass; encode_peak: its peak in that pass. field: with gradient and Adam's moments."""

    weights: int
    network: int
    encode_kept: int
    encode_peak: int
    field: int

    @property
    def total(self) -> int:
        """The network runs while the encoder's graph is kept; the encoder's backward pass comes after."""
        return self.weights + self.field + max(self.encode_kept + self.network, self.encode_peak)

    def line(self) -> str:
        """The prediction in GiB, in one line: the total and its parts."""
        parts = [("weights", self.weights), ("network", self.network), ("encoder", self.encode_peak)]
        shown = ", ".join(f"{name} {value / GIB:.2f}" for name, value in [*parts, ("field", self.field)])
        return f"memory predicted: {self.total / GIB:.2f} GiB ({shown}; without the renderer's samples)"


def predict_memory(
    prior: FoundationPrior, condition: Any, *, n_views: int, n_branches: int = 2, field: nn.Module | None = None
) -> MemoryPrediction:
    """Of one distillation step with `n_views` views and `n_branches` branches in one forward."""
    meta = _MetaPrior(prior)
    network = meta.peak_of_forward(condition, n_views, n_branches)
    kept, peak = meta.peak_of_encode(n_views)
    field_bytes = ADAM_COPIES * parameter_bytes([field]) if field is not None else 0
    return MemoryPrediction(parameter_bytes(parts_of(prior).values()), network, kept, peak, field_bytes)


@contextmanager
def watched(
    prior: Prior, condition: Any, *, n_views: int, n_branches: int, field: nn.Module, quiet: bool
) -> Iterator[None]:
    """Around the steps of a run: prints the prediction before them and, on a GPU, what was measured after them.

    Nothing is printed where the prior is no foundation model; a step that cannot be traced is said to be so.

    Raises:
        ValueError: the prior does not take so many views.
    """
    if not isinstance(prior, FoundationPrior):
        yield
        return
    try:
        prediction = predict_memory(prior, condition, n_views=n_views, n_branches=n_branches, field=field)
    except RuntimeError as error:  # what torch raises where an operation has no result without storage
        _say(f"memory: not predicted, the step cannot be traced ({str(error).splitlines()[0][:120]})", quiet)
        yield
        return
    _say(prediction.line(), quiet)
    yield
    line = compared(prediction, prior.device)
    if line:
        _say(line, quiet)


def _say(line: str, quiet: bool) -> None:
    if not quiet:
        print(line, file=sys.stderr)


def compared(prediction: MemoryPrediction, device: torch.device | str) -> str | None:
    """The line after a run: predicted and measured peak. None where the device does not count (a CPU)."""
    if torch.device(device).type != "cuda":
        return None
    peak = torch.cuda.max_memory_allocated(device)
    share = prediction.total / peak
    return f"memory: {prediction.total / GIB:.2f} GiB predicted, {peak / GIB:.2f} GiB at the peak ({share:.0%})"


def parts_of(prior: FoundationPrior) -> dict[str, nn.Module]:
    """The prior's modules by attribute; the text encoders are gone by then."""
    return {name: value for name, value in vars(prior).items() if isinstance(value, nn.Module)}


def parameter_bytes(modules: Any) -> int:
    """Of parameters and buffers, each storage once."""
    tensors = [t for module in modules for t in (*module.parameters(), *module.buffers())]
    return sum({t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors}.values())


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of results that are alive; `known` tensors, which have to outlive this, are not results."""

    def __init__(self, known: list[Tensor]) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known = {tensor.untyped_storage()._cdata for tensor in known}
        self._alive: set[int] = set()

    def __torch_dispatch__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        tree_map_only(Tensor, self._count, result)
        return result

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._alive or key in self._known:
            return
        size = storage.nbytes()
        self._alive.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        self._alive.discard(key)
        self.live -= size


class _MetaPrior(nn.Module):
    """The prior's own forward and encode, run with parameters that have no storage."""

    def __init__(self, prior: FoundationPrior) -> None:
        super().__init__()
        self.prior = [prior]  # in a list, so that it is no submodule
        self.parts = nn.ModuleDict(parts_of(prior))
        state = {**dict(self.parts.named_parameters()), **dict(self.parts.named_buffers())}
        self.state = {f"parts.{name}": value.detach().to("meta") for name, value in state.items()}

    def forward(self, work: Callable[[], Any]) -> Any:
        return work()

    def peak_of_forward(self, condition: Any, n_views: int, n_branches: int) -> int:
        prior = self.prior[0]
        rows, x, time = _example_rows(prior, condition, n_views, n_branches)
        parts = prior._parts(len(x), n_views)
        with torch.no_grad():
            return self._traced(lambda live: prior._forward_part(x, time, rows, parts[0]))[1]

    def peak_of_encode(self, n_views: int) -> tuple[int, int]:
        """(kept, peak)."""
        prior = self.prior[0]
        images = torch.zeros(1, n_views, prior.image_size, prior.image_size, 4, device="meta", requires_grad=True)

        def work(live: LiveBytes) -> int:
            latents = prior.encode(images)
            kept = live.live
            latents.sum().backward()
            return kept

        prior._see = lambda images: None  # what a ControlNet would be shown is no part of the encoder's graph
        try:
            return self._traced(work, images)
        finally:
            del prior._see

    def _traced(self, work: Callable[[LiveBytes], Any], *given: Tensor) -> tuple[Any, int]:
        with LiveBytes([*self.state.values(), *given]) as live, fused_attention():
            result = torch.func.functional_call(self, self.state, (lambda: work(live),))
        return result, live.peak


def _example_rows(prior: FoundationPrior, condition: Any, n_views: int, n_branches: int) -> tuple[Rows, Tensor, Tensor]:
    """Rows as `predict_branches` makes them, without storage."""
    cameras = Camera.orbit(torch.arange(n_views)[None] * 360.0 / n_views, 10.0, width_px=prior.image_size)
    if prior.follows_rendering:
        prior.shown = torch.zeros(n_views, 3, prior.network_size, prior.network_size, device=prior.device)
    one = prior._rows(condition, cameras, "conditional") | {"pose": torch.zeros(n_views, 16)}
    rows = {key: value.to("meta").repeat(n_branches, *(1,) * (value.ndim - 1)) for key, value in one.items()}
    channels = prior.network.config.in_channels if prior.vae is None else _latent_channels(prior)
    side = prior.network_size // prior.shrink
    x = torch.zeros(n_views * n_branches, channels, side, side, device="meta", dtype=prior.dtype)
    time = prior.schedule.timestep(torch.full((1,), 0.5)).repeat(len(x)).to("meta")
    return rows, x, time


def _latent_channels(prior: FoundationPrior) -> int:
    return int(prior.vae.config["latent_channels"])


@contextmanager
def fused_attention() -> Iterator[None]:
    """Within, attention has a result and keeps its inputs, and nothing else."""
    original, F.scaled_dot_product_attention = F.scaled_dot_product_attention, _fused
    try:
        yield
    finally:
        F.scaled_dot_product_attention = original


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        ctx.save_for_backward(q, k, v)
        return q.new_empty(*q.shape[:-1], v.shape[-1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.empty_like(value) for value in ctx.saved_tensors)


def _fused(query: Tensor, key: Tensor, value: Tensor, *settings: Any, **named: Any) -> Tensor:
    return _Fused.apply(query, key, value)
