"""Trains the built-in prior on procedural scenes and others: resumable, on a CPU from shards or on a GPU.

The state is one file, written aside and renamed every `checkpoint_s` seconds; training stops after `minutes`, at
`until` or when asked, and can be continued. The averaged weights are exported with every state as float16 safetensors
with the configuration in the header.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from nerf2mesh.priors.builtin.data import OtherScenes, Sources, data_card, held_out_scenes, on_device, training_batches
from nerf2mesh.priors.builtin.examples import draw_frames, draw_times
from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.priors.builtin.loss import velocity_loss
from nerf2mesh.priors.builtin.object_check import check_objects
from nerf2mesh.priors.builtin.train_config import PriorTrainConfig
from nerf2mesh.priors.builtin.train_state import LastGood, TrainState
from nerf2mesh.priors.builtin.validation import validate
from nerf2mesh.priors.builtin.weight_files import export_network, mesh_sources
from nerf2mesh.procedural.dataset import Batch
from nerf2mesh.utils.atomic_write import append_text, atomic_write_bytes, atomic_write_text
from nerf2mesh.utils.checkpoint import before
from nerf2mesh.utils.device_copy import to_device
from nerf2mesh.utils.recorded import Recorded
from nerf2mesh.utils.same import Same

STATE = "checkpoints/last.safetensors"
SMALL_STATE = "state.safetensors"
PART_BYTES = 15_000_000
CHECK_EVERY = 50
"""Steps between two looks at whether the weights are finite: each makes a GPU's host wait."""
CLOSING_S = 10.0
"""Kept of the time until `until` for the last files."""


RecordedPasses = Recorded[tuple[Tensor, list[Tensor | None]]]
Stopping = Callable[[], AbstractContextManager[Callable[[], bool]]]


def never() -> bool:
    """Nobody asks to stop."""
    return False


def learning_rate(config: PriorTrainConfig, step: int, share_of_time: float) -> float:
    """Warm-up, constant, then a linear fall over the last share of the time."""
    warm = min(1.0, (step + 1) / config.warmup_steps)
    left = (1.0 - share_of_time) / max(config.cooldown_share, 1e-6)
    return config.learning_rate * warm * (1.0 if config.cooldown_share == 0 else max(0.05, min(1.0, left)))


class Waiting:
    """Time spent inside `with`, as a share of all time since the last `share()`; by events on a GPU."""

    def __init__(self, device: str) -> None:
        self.on_gpu = device.startswith("cuda")
        self.spans: list[tuple] = []
        self.since = self._now()

    def _now(self) -> object:
        if not self.on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def __enter__(self) -> None:
        self.began = self._now()

    def __exit__(self, *_: object) -> None:
        self.spans.append((self.began, self._now()))

    def share(self) -> float:
        """The share since the last call, and a new start; on a GPU it waits for all work under way."""
        now = self._now()
        if self.on_gpu:
            torch.cuda.synchronize()
        seconds = [a.elapsed_time(b) if self.on_gpu else b - a for a, b in [*self.spans, (self.since, now)]]
        self.spans, self.since = [], now
        return sum(seconds[:-1]) / max(seconds[-1], 1e-9)


class Clock:
    """How far the training is, in steps or in time, and what it has spent."""

    def __init__(self, config: PriorTrainConfig, state: TrainState) -> None:
        self.config, self.state = config, state
        self.began = self.saved = time.perf_counter()
        self.spent_before, self.frames_before = state.seconds, state.frames_seen
        self.limit = 60.0 * config.minutes
        if config.until:
            self.limit = min(self.limit, config.until - CLOSING_S - time.time())

    @property
    def elapsed(self) -> float:
        """Seconds of this run."""
        return time.perf_counter() - self.began

    def is_over(self) -> bool:
        """Whether the steps are done or the time is up."""
        total = self.config.total_steps
        return self.elapsed >= self.limit or bool(total and self.state.step >= total)

    def rate(self) -> float:
        """The learning rate of the next step."""
        total = self.config.total_steps
        share = self.state.step / total if total else self.elapsed / max(self.limit, 1e-9)
        return learning_rate(self.config, self.state.step, share)

    def is_due(self) -> bool:
        """Whether the state is to be written."""
        return time.perf_counter() - self.saved > self.config.checkpoint_s

    def note(self) -> None:
        """Writes the seconds spent into the state, which is about to be saved."""
        self.state.seconds, self.saved = self.spent_before + self.elapsed, time.perf_counter()

    def counts(self) -> dict[str, float]:
        """Step, frames, seconds and frames per second, for the curve."""
        rate = (self.state.frames_seen - self.frames_before) / max(self.elapsed, 1e-9)
        seconds = round(self.spent_before + self.elapsed)
        return {
            "step": self.state.step, "frames": self.state.frames_seen, "seconds": seconds, "frames_per_s": rate
        }  # fmt: skip


def train_prior(
    config: PriorTrainConfig, other: OtherScenes | None = None, stopping: Stopping = lambda: nullcontext(never)
) -> TrainState:
    """Trains for `minutes`, until `until` or to `total_steps`; writes the state, the weights and `curve.jsonl`.

    other: scenes that are mixed with the procedural ones; stopping: entered around the steps, gives a function that
    is asked after each whether to end now, with all files. With `total_steps` nothing depends on the clock: the same
    command gives the same weights on the same CPU, bit for bit, stopped and continued or not.

    Raises:
        ValueError: there is no such device here; the state in `output_dir` cannot be used; weights were not finite.
    """
    if config.device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(
            f"device: expected one that torch finds here, got {config.device} and no GPU; set training=cpu"
        )
    folder = Path(config.output_dir)
    torch.backends.cudnn.benchmark = True  # all batches have one shape
    state = _state_in(folder, config)
    check, objects_check = held_out_scenes(config), on_device(other.check, config.device) if other else None
    batches = training_batches(config, other, state.step, state.frames_seen, state.generator)
    network = cast(torch.nn.Module, torch.compile(state.network)) if config.compiled else state.network
    clock, waited, good = Clock(config, state), Waiting(config.device), LastGood(state)
    recorded = recorded_passes(config)
    with stopping() as asked:
        while not clock.is_over() and not asked():
            with waited:
                batch = next(batches)
            rate = clock.rate()
            loss = train_step(network, state, batch, config, rate, recorded)
            if state.step % CHECK_EVERY == 0:
                good.check()
            if state.step % config.validate_every == 0:
                line = clock.counts() | {"rate": rate, "loss": float(loss), "data_share": waited.share()}
                line |= validate(state.average, check, config)
                line |= check_objects(state.average, objects_check) if objects_check else {}
                append_text(folder / "curve.jsonl", json.dumps(line) + "\n")
                print(json.dumps(line), flush=True)
            if clock.is_due() and good.check():
                _write(state, clock, folder, config, other)
        good.check()
        _write(state, clock, folder, config, other)
    return state


def _state_in(folder: Path, config: PriorTrainConfig) -> TrainState:
    """The state that `folder` holds, whole or in parts, or a fresh one."""
    folder.mkdir(parents=True, exist_ok=True)
    state = TrainState.fresh(config)
    path, earlier = folder / STATE, folder / "state.pt"
    join_parts(folder / "parts", SMALL_STATE, path)
    there = [place for place in (path, before(path), earlier) if os.path.lexists(place)]
    if there:
        for line in state.load(earlier if there == [earlier] else path):
            print(line, flush=True)
        print(f"continued at step {state.step}, {state.frames_seen} frames", flush=True)
    return state


def _write(state: TrainState, clock: Clock, folder: Path, config: PriorTrainConfig, other: OtherScenes | None) -> None:
    """The state, the weights, and with `part_files` the small state in parts."""
    clock.note()
    state.save(folder / STATE)
    export_prior(state, folder, config, other.sources if other else [])
    if config.part_files:
        small = folder / "parts" / SMALL_STATE
        state.save_small(small)
        split_file(small, folder / "parts", PART_BYTES)
        small.unlink()
        before(small).unlink(missing_ok=True)


def train_step(
    network: torch.nn.Module,
    state: TrainState,
    batch: Batch,
    config: PriorTrainConfig,
    rate: float,
    recorded: RecordedPasses | None = None,
) -> Tensor:
    """One step of `state` on `batch`; `network` is its own, compiled or not. Returns the loss unread.

    recorded: makes both passes one launch; the optimizer, which takes rates as numbers, comes after it. The loss then
    stands until the next step.
    """
    images, geometry, kind, words = draw_frames(batch, config, state.generator)
    t = to_device(draw_times(len(images), config, state.generator), images.device)
    inputs = [images, geometry.pose, geometry.focal, geometry.orthographic, kind, t, _noise(images, state, config)]
    inputs += [] if words is None else [words]
    passes = partial(both_passes, network, state, config)
    if recorded is None:
        loss, _ = passes(*inputs)
    else:
        loss, gradients = recorded((Same(network), Same(config)), passes, *inputs)
        for parameter, gradient in zip(state.network.parameters(), gradients, strict=True):
            parameter.grad = gradient
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.step()
    state.step += 1
    state.frames_seen += images.shape[0] * images.shape[1]
    decay = min(config.ema_decay, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        average: list[Tensor] = list(state.average.parameters())
        present: list[Tensor] = list(state.network.parameters())
        torch._foreach_lerp_(average, present, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]  # not listed
    return loss


def both_passes(
    network: torch.nn.Module,
    state: TrainState,
    config: PriorTrainConfig,
    images: Tensor,
    pose: Tensor,
    focal: Tensor,
    orthographic: Tensor,
    kind: Tensor,
    t: Tensor,
    noise: Tensor,
    words: Tensor | None = None,
) -> tuple[Tensor, list[Tensor | None]]:
    """The loss and the clipped gradients of all parameters, made from nothing: work of the device alone."""
    state.optimizer.zero_grad()
    geometry = FrameGeometry(pose, focal, orthographic)
    weights = {"snr_limit": config.snr_limit, "opacity_weight": config.opacity_weight}
    loss = velocity_loss(network, images, geometry, kind, t, noise, words, **weights)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), 1.0)
    return loss.detach(), [p.grad for p in state.network.parameters()]


def recorded_passes(config: PriorTrainConfig) -> RecordedPasses | None:
    """What records the passes on a GPU (cuda_graph), or None; said once where it was asked for elsewhere."""
    if not config.cuda_graph:
        return None
    if not config.device.startswith("cuda"):
        warnings.warn(
            f"cuda_graph: steps on the device {config.device} are launched operator by operator", stacklevel=2
        )
        return None
    return Recorded("cuda_graph: a training step", torch.device(config.device))


def _noise(images: Tensor, state: TrainState, config: PriorTrainConfig) -> Tensor:
    """Standard normal numbers: the CPU's own stream; a GPU draws them itself, by the number of the step."""
    if images.device.type == "cpu":
        return torch.randn(images.shape, generator=state.generator)
    generator = torch.Generator(images.device).manual_seed(((config.seed << 32) + state.step) % 2**63)
    return torch.randn(images.shape, generator=generator, device=images.device)


def export_prior(state: TrainState, folder: Path, config: PriorTrainConfig, sources: Sources) -> None:
    """The averaged weights as `prior.safetensors`.

    The header and `DATA.md` say whose meshes this training and those of the starting weights have seen.
    """
    trainings = [sources] if sources else []
    trainings += mesh_sources(Path(config.weights)) if config.weights else []
    export_network(state.average, state.about(config) | {"meshes": trainings}, folder / "prior.safetensors")
    if trainings:
        atomic_write_text(folder / "DATA.md", data_card(trainings))


def split_file(path: Path, folder: Path, size: int) -> list[Path]:
    """Copies `path` as consecutive pieces of at most `size` bytes, named by number; returns them."""
    for old in folder.glob(path.name + ".*[0-9]"):
        old.unlink()
    data = path.read_bytes()
    pieces = [folder / f"{path.name}.{i:03}" for i in range(-(-len(data) // size))]
    for i, piece in enumerate(pieces):
        atomic_write_bytes(piece, data[i * size : (i + 1) * size])
    return pieces


def join_parts(folder: Path, name: str, path: Path) -> None:
    """Puts `path` together from the pieces of a file `name` (`split_file`) where it is not there."""
    pieces = sorted(folder.glob(name + ".*[0-9]"))
    if pieces and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_bytes(path, b"".join(piece.read_bytes() for piece in pieces))
