"""What a training step of the built-in prior costs on a GPU: frames per second, plain and compiled, and by kernel."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import torch

from nerf2mesh.objects.config import ObjectDataConfig
from nerf2mesh.objects.folder import ObjectFolder
from nerf2mesh.objects.stream import ObjectScenes
from nerf2mesh.priors.builtin.data import NumberedBatches, drawn_ahead
from nerf2mesh.priors.builtin.train import train_step
from nerf2mesh.priors.builtin.train_config import PriorTrainConfig
from nerf2mesh.priors.builtin.train_state import TrainState
from nerf2mesh.procedural.dataset import Batch, render_seeds
from nerf2mesh.procedural.grammar import ViewConfig
from nerf2mesh.procedural.render import SceneRenderer
from nerf2mesh.utils.recorded import Recorded, cuda_graph

from .operator_tape import tape

Figures = dict[str, object]
VIEWS = ViewConfig(size_px=64, n_views=8)


def scenes(n: int, device: str, *, compiled: bool = False) -> Batch:
    """So many procedural scenes as a batch, none of them ever trained on elsewhere."""
    return render_seeds(range(5_000_000, 5_000_000 + n), VIEWS, SceneRenderer(compiled=compiled), device)


def wait(device: str) -> None:
    """Until the device has done what it was asked."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def seconds_each(work: Callable[[], object], repeats: int, device: str) -> float:
    """Mean seconds of `work`, done `repeats` times without waiting in between."""
    wait(device)
    began = time.perf_counter()
    for _ in range(repeats):
        work()
    wait(device)
    return (time.perf_counter() - began) / repeats


def step(
    device: str = "cuda", batch_scenes: int = 64, repeats: int = 20, *, compiled: bool = True, graph: bool = False
) -> Figures:
    """Frames per second of a whole training step (augmentation, both passes, optimizer, average), and how long the
    first one takes; by kernel where there is a GPU. graph: both passes as one launch, on a CPU by the stand-in of
    `operator_tape`, which does not see the CPU's own convolutions."""
    config = PriorTrainConfig(device=device, batch_scenes=batch_scenes, views=VIEWS)
    torch.backends.cudnn.benchmark = True
    state, batch = TrainState.fresh(config), scenes(batch_scenes, device)
    network = cast(torch.nn.Module, torch.compile(state.network)) if compiled else state.network
    recorder = tape if device == "cpu" else cuda_graph
    recorded = Recorded("a training step", torch.device(device), recorder) if graph else None
    work = partial(train_step, network, state, batch | {"given": batch["rgba"]}, config, 1e-4, recorded)
    first = seconds_each(work, 1, device)
    seconds_each(work, 3, device)
    each = seconds_each(work, repeats, device)
    found: Figures = {
        "first step [s]": first,
        "step [ms]": 1e3 * each,
        "frames/s": batch_scenes * config.n_frames / each,
    }
    if recorded is not None:
        found |= {"recordings": recorded.count} | ({"failed": "it could not be recorded"} if recorded.failed else {})
    if device.startswith("cuda"):
        found |= {"peak [GB]": torch.cuda.max_memory_allocated() / 1e9} | by_kernel(work)
    return found


def by_kernel(work: Callable[[], object], n: int = 24) -> Figures:
    """Milliseconds on the GPU in one call of `work`, the longest kernels first, and of all together."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        work()
        torch.cuda.synchronize()
    rows = sorted(profiler.key_averages(), key=lambda row: -row.self_device_time_total)
    total = sum(row.self_device_time_total for row in rows)
    found: Figures = {"GPU busy [ms]": 1e-3 * total, "kernels launched": sum(row.count for row in rows)}
    return found | {f"{row.key[:90]} x{row.count} [ms]": 1e-3 * row.self_device_time_total for row in rows[:n]}


def data(meshes: str, workers: int = 12, batch_scenes: int = 45, n_batches: int = 60) -> Figures:
    """Views per second that processes draw of a folder of meshes, after the first batch."""
    folder = ObjectFolder(Path(meshes), ObjectDataConfig(meshes=meshes))
    drawn = ObjectScenes(folder, folder.split("train"), VIEWS, ObjectDataConfig().augment, 0)
    began = time.perf_counter()
    batches = drawn_ahead(NumberedBatches(drawn.batch, batch_scenes), 0, workers, pinned=torch.cuda.is_available())
    next(batches)
    first = time.perf_counter()
    for _ in range(n_batches):
        next(batches)
    each = (time.perf_counter() - first) / n_batches
    return {"first batch [s]": first - began, "views/s": batch_scenes * VIEWS.n_views / each}


def procedural(device: str = "cuda", n: int = 128, repeats: int = 3, *, compiled: bool = True) -> Figures:
    """Procedural scenes per second rendered on the device, and the seconds of the first batch."""
    first = seconds_each(partial(scenes, n, device, compiled=compiled), 1, device)
    return {
        "first batch [s]": first,
        "scenes/s": n / seconds_each(partial(scenes, n, device, compiled=compiled), repeats, device),
    }
