"""Trains the built-in prior on procedural scenes: resumable, bf16, from shards on disk (CPU) or a stream (GPU).

The state is one file, written aside and renamed every `checkpoint_s` seconds; training stops after `minutes` and can be
continued. `export_prior` writes the averaged weights as float16 safetensors with the configuration in the header.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from nerf2mesh.priors.builtin.data import OtherScenes, Sources, data_card, held_out_scenes, on_device, training_batches
from nerf2mesh.priors.builtin.frames import Frames
from nerf2mesh.priors.builtin.lifting import FrameGeometry
from nerf2mesh.priors.builtin.loss import velocity_loss
from nerf2mesh.priors.builtin.network import ABSENT, CLEAN, NOISY, MultiViewDenoiser, encode_rgba
from nerf2mesh.priors.builtin.object_check import check_objects
from nerf2mesh.priors.builtin.optimizer import MuonAdamW
from nerf2mesh.priors.builtin.train_config import PriorTrainConfig
from nerf2mesh.priors.builtin.weight_files import (
    PART_BYTES,
    export_network,
    export_parts,
    mesh_sources,
    starting_weights,
)
from nerf2mesh.procedural.dataset import Batch
from nerf2mesh.utils.atomic_write import append_text, atomic_write_bytes, atomic_write_text
from nerf2mesh.utils.checkpoint import MAX_BYTES, before, readable, restore_newest, write_checkpoint
from nerf2mesh.utils.regular_file import read_regular

STATE = "checkpoints/last.safetensors"


@dataclass
class TrainState:
    """Everything that a continued run needs."""

    network: MultiViewDenoiser
    average: MultiViewDenoiser
    optimizer: MuonAdamW | torch.optim.AdamW
    generator: torch.Generator
    step: int = 0
    frames_seen: int = 0
    seconds: float = 0.0

    @staticmethod
    def fresh(config: PriorTrainConfig) -> TrainState:
        """The state before the first step: network, its average (a copy), optimizer and generator from `config`.

        It starts from `config.weights` where they are given; with `words_only` only the words' embedding is trained.
        """
        torch.manual_seed(config.seed)
        network = config.network.build().to(config.device)
        if config.weights:
            network.load_state_dict(network.state_dict() | starting_weights(Path(config.weights), config.network))
        average = config.network.build().to(config.device).requires_grad_(False)
        average.load_state_dict(network.state_dict())
        if config.words_only:
            assert network.words is not None, "checked by PriorTrainConfig"
            network.requires_grad_(False)
            network.words.requires_grad_(True)
            optimizer = torch.optim.AdamW(network.words.parameters(), config.learning_rate, weight_decay=0.0)
        else:
            optimizer = MuonAdamW(network, config.learning_rate)
        return TrainState(network, average, optimizer, torch.Generator().manual_seed(config.seed))

    def save(self, path: Path) -> None:
        """Writes the state to `path`, aside and renamed."""
        values = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "counts": [self.step, self.frames_seen, self.seconds],
        }
        write_checkpoint(path, values)

    def about(self, config: PriorTrainConfig) -> dict[str, object]:
        """What the header of exported weights says: how much was seen, and the whole configuration."""
        counts: dict[str, object] = {"steps": self.step, "frames": self.frames_seen, "seconds": round(self.seconds)}
        return {**counts, "config": asdict(config)}

    def load(self, path: Path) -> list[str]:
        """Takes over the state in `path`, or the one before it where this one is damaged; returns what to say.

        A .pt file of an earlier version is read as torch wrote it, without running code and without a checksum.

        Raises:
            ValueError: no state can be used: damaged, or of another network or optimizer.
        """
        if path.suffix != ".pt":
            return restore_newest(path, self._restore)
        with readable(path):
            try:
                values = torch.load(io.BytesIO(read_regular(path, limit_bytes=MAX_BYTES)), "cpu", weights_only=True)
            except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
                raise ValueError("a damaged file") from error
            self._restore(values)
        return []

    def _restore(self, values: dict[str, Any]) -> None:
        self.network.load_state_dict(values["network"])
        self.average.load_state_dict(values["average"])
        self.optimizer.load_state_dict(values["optimizer"])
        self.generator.set_state(values["generator"])
        self.step, self.frames_seen, self.seconds = values["counts"]


def draw_frames(
    batch: Batch, config: PriorTrainConfig, generator: torch.Generator
) -> tuple[Tensor, FrameGeometry, Tensor, Tensor | None]:
    """Picks and augments frames: images [B, V, 4, s, s] in network range, their cameras, kind [B, V] and words [B, L].

    Frame 0 is given (the scene's input view in half of the cases), the next ones by `given_shares`, and the given ones
    are hidden with probability `drop_condition`. Scenes are mirrored in y and their color channels permuted at random.
    Where words are told without a picture, frame 0 stands in front of the object. Words are None without `n_words`.
    """
    n, v = batch["pose"].shape[:2]
    order = torch.rand(n, v, generator=generator)
    order[:, 0] -= (torch.rand(n, generator=generator) < 0.5).float()
    order = order.argsort(dim=1)[:, : config.n_frames]
    n_given = 1 + torch.multinomial(torch.tensor(config.given_shares), n, replacement=True, generator=generator)
    kind = torch.where(torch.arange(order.shape[1]) < n_given[:, None], CLEAN, NOISY)
    dropped = torch.rand(n, 1, generator=generator) < config.drop_condition
    kind = torch.where(dropped & (kind == CLEAN), ABSENT, kind)
    row = torch.arange(n)[:, None]
    device = batch["rgba"].device
    images = batch["rgba"][row.to(device), order.to(device)]
    if "given" in batch:
        shown = (kind == CLEAN).to(device)[..., None, None, None]
        images = torch.where(shown, batch["given"][row.to(device), order.to(device)], images)
    images = images.permute(0, 1, 4, 2, 3).float() / 255.0
    cameras = FrameGeometry(batch["pose"], batch["focal"] / images.shape[-1], batch["orthographic"])
    mirror = torch.rand(n, generator=generator).to(device) < 0.5
    frames = Frames(images, cameras.frames(order.to(device))).mirrored(mirror)
    images, geometry = frames.images, frames.geometry
    swap = torch.stack([torch.randperm(3, generator=generator) for _ in range(n)]).to(device)
    rgba = torch.cat([swap, torch.full_like(swap[:, :1], 3)], dim=1)
    images = torch.gather(images, 2, rgba[:, None, :, None, None].expand_as(images))
    if not config.network.n_words:
        return encode_rgba(images), geometry, kind.to(device), None
    words = draw_words(batch["words"], swap, dropped.to(device), config, generator)
    alone = dropped[:, 0].to(device) & (words > 0).any(dim=1)
    front = torch.deg2rad(torch.where(mirror, -batch["front_deg"], batch["front_deg"]))
    return encode_rgba(images), geometry.seen_from(front, alone), kind.to(device), words


def draw_words(
    captions: Tensor, swap: Tensor, hidden: Tensor, config: PriorTrainConfig, generator: torch.Generator
) -> Tensor:
    """The numbers of the words that are told [B, L], 0 for those left out.

    captions [B, 6, L] as `procedural.dataset` has them; swap [B, 3]: which old color channels are the new ones;
    hidden [B, 1]: no picture is given.
    """
    n, device = len(captions), captions.device
    words = captions[torch.arange(n, device=device), 2 * swap[:, 0] + (swap[:, 1] > swap[:, 2])].long()
    told = torch.rand(n, 1, generator=generator).to(device)
    told = told < torch.where(hidden, config.words_alone, config.words_with_picture)
    return words * (told & (torch.rand(words.shape, generator=generator).to(device) >= config.drop_word))


@torch.no_grad()
def validate(network: MultiViewDenoiser, batch: Batch, config: PriorTrainConfig) -> dict[str, float]:
    """Held-out velocity loss of one given picture at fixed noise levels, the same frames and noise every time."""
    generator = torch.Generator().manual_seed(1)
    images, geometry, kind, _ = draw_frames(batch, replace(config, drop_condition=0.0), generator)
    kind[:, 1:], kind[:, 0] = NOISY, CLEAN
    noise = torch.randn(images.shape, generator=generator).to(images.device)
    losses = {}
    for t in (0.3, 0.6, 0.9):
        level = torch.full((len(images),), t, device=images.device)
        losses[f"v_loss_t{t}"] = float(velocity_loss(network, images, geometry, kind, level, noise))
    losses["v_loss"] = sum(losses.values()) / len(losses)
    return losses | (validate_words(network, batch, config) if config.network.n_words else {})


@torch.no_grad()
def validate_words(network: MultiViewDenoiser, batch: Batch, config: PriorTrainConfig) -> dict[str, float]:
    """Held-out velocity loss at t = 0.9 of captioned scenes without a picture: with their own caption (matched),
    without one (none), and with that of another scene (mismatched). Where words are used, the first is the least and
    the last the greatest."""
    generator = torch.Generator().manual_seed(2)
    batch = {key: value[(batch["words"] > 0).flatten(1).any(dim=1)] for key, value in batch.items()}
    config = replace(config, drop_condition=1.0, words_alone=1.0, drop_word=0.0)
    images, geometry, kind, words = draw_frames(batch, config, generator)
    assert words is not None, "only where the network reads words"
    kind[:, 1:] = NOISY
    noise = torch.randn(images.shape, generator=generator).to(images.device)
    t = torch.full((len(images),), 0.9, device=images.device)
    captions = {"matched": words, "none": None, "mismatched": words.roll(1, dims=0)}
    return {
        f"caption_{name}_t0.9": float(velocity_loss(network, images, geometry, kind, t, noise, caption))
        for name, caption in captions.items()
    }


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


def train_prior(config: PriorTrainConfig, other: OtherScenes | None = None) -> TrainState:
    """Trains for `minutes` or to `total_steps`, then writes the state, the exported weights and `curve.jsonl`.

    other: scenes that are mixed with the procedural ones. With `total_steps` nothing depends on the clock: the same
    command gives the same weights on the same machine, bit for bit, stopped and continued or not.
    """
    if config.device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(
            f"device: expected one that torch finds here, got {config.device} and no GPU; set training=cpu"
        )
    folder = Path(config.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    state = TrainState.fresh(config)
    path, earlier = folder / STATE, folder / "state.pt"
    join_parts(folder / "parts", path)
    there = [place for place in (path, before(path), earlier) if os.path.lexists(place)]
    if there:
        for line in state.load(earlier if there == [earlier] else path):
            print(line, flush=True)
        print(f"continued at step {state.step}, {state.frames_seen} frames", flush=True)
    check, objects_check = held_out_scenes(config), on_device(other.check, config.device) if other else None
    batches = training_batches(config, other, state.step, state.frames_seen, state.generator)
    network = cast(torch.nn.Module, torch.compile(state.network)) if config.compiled else state.network
    began = saved = time.perf_counter()
    waited = Waiting(config.device)
    spent_before, frames_before = state.seconds, state.frames_seen
    while (elapsed := time.perf_counter() - began) < 60 * config.minutes:
        if config.total_steps and state.step >= config.total_steps:
            break
        share = state.step / config.total_steps if config.total_steps else elapsed / (60 * config.minutes)
        rate = learning_rate(config, state.step, share)
        with waited:
            batch = next(batches)
        loss = _train_step(network, state, batch, config, rate)
        if state.step % config.validate_every == 0:
            line = {
                "step": state.step,
                "frames": state.frames_seen,
                "seconds": round(spent_before + elapsed),
                "rate": rate,
            }
            line |= {"loss": float(loss), "data_share": waited.share()} | validate(state.average, check, config)
            line |= check_objects(state.average, objects_check) if objects_check else {}
            line["frames_per_s"] = (state.frames_seen - frames_before) / max(elapsed, 1e-9)
            append_text(folder / "curve.jsonl", json.dumps(line) + "\n")
            print(json.dumps(line), flush=True)
        if time.perf_counter() - saved > config.checkpoint_s:
            state.seconds, saved = spent_before + elapsed, time.perf_counter()
            state.save(path)
    state.seconds = spent_before + time.perf_counter() - began
    state.save(path)
    export_prior(state, folder, config, other.sources if other else [])
    return state


def draw_times(n: int, config: PriorTrainConfig, generator: torch.Generator) -> Tensor:
    """Noise levels [n]; see `high_noise_share`."""
    t = torch.rand(n, generator=generator)
    high = torch.rand(n, generator=generator) < config.high_noise_share
    return torch.where(high, 0.6 + 0.4 * t, t).clamp(1e-3, 1 - 1e-3)


def _train_step(
    network: torch.nn.Module, state: TrainState, batch: Batch, config: PriorTrainConfig, rate: float
) -> Tensor:
    images, geometry, kind, words = draw_frames(batch, config, state.generator)
    t = draw_times(len(images), config, state.generator).to(images.device)
    noise = torch.randn(images.shape, generator=state.generator).to(images.device)
    loss = velocity_loss(network, images, geometry, kind, t, noise, words)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), 1.0)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.step()
    state.optimizer.zero_grad()
    state.step += 1
    state.frames_seen += images.shape[0] * images.shape[1]
    decay = min(config.ema_decay, (1 + state.step) / (10 + state.step))
    with torch.no_grad():
        average: list[Tensor] = list(state.average.parameters())
        present: list[Tensor] = list(state.network.parameters())
        torch._foreach_lerp_(average, present, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]  # not listed
    return loss.detach()


def export_prior(state: TrainState, folder: Path, config: PriorTrainConfig, sources: Sources) -> None:
    """The averaged weights as `prior.safetensors`; with `part_files` also everything in small files under `parts`.

    The header and `DATA.md` say whose meshes this training and those of the starting weights have seen.
    """
    trainings = [sources] if sources else []
    trainings += mesh_sources(Path(config.weights)) if config.weights else []
    about = state.about(config) | {"meshes": trainings}
    export_network(state.average, about, folder / "prior.safetensors")
    if trainings:
        atomic_write_text(folder / "DATA.md", data_card(trainings))
    if config.part_files:
        export_parts(state.average, about, folder / "parts" / "average")
        export_parts(state.network, about, folder / "parts" / "raw")
        split_file(folder / STATE, folder / "parts")


def split_file(path: Path, folder: Path, size: int = PART_BYTES) -> list[Path]:
    """Copies `path` as consecutive pieces of at most `size` bytes, named by number; returns them."""
    for old in folder.glob(path.name + ".*[0-9]"):
        old.unlink()
    data = path.read_bytes()
    pieces = [folder / f"{path.name}.{i:03}" for i in range(-(-len(data) // size))]
    for i, piece in enumerate(pieces):
        atomic_write_bytes(piece, data[i * size : (i + 1) * size])
    return pieces


def join_parts(folder: Path, path: Path) -> None:
    """Puts `path` together from the pieces of `split_file` where it is not there."""
    pieces = sorted(folder.glob(path.name + ".*[0-9]"))
    if pieces and not path.exists():
        atomic_write_bytes(path, b"".join(piece.read_bytes() for piece in pieces))
