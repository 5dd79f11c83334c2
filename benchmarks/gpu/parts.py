"""The parts and their items, the most wanted first; every part builds what it needs, and stands alone.

An item's seconds are the limit after which it is killed, several times what it is expected to take.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from . import items
from .process import Figures, Setting


@dataclass(frozen=True)
class Item:
    name: str
    what: str
    seconds: float
    run: Callable[[Setting], Figures]
    compares: bool = False
    """Whether it is run once more for each further CUDA library."""


TOY_STEP = {"n_rays": 16, "repeats": 1, "log2_table_size": 10, "rival": "torch"}
BUILD = Item("build", "the native libraries for this GPU, where those that are there do not fit", 150, items.build)
STEP = Item(
    "step", "a whole step of 4096 rays; host synchronizations in it (none may be)", 60,
    partial(items.measure, function="whole_step", toy=TOY_STEP), compares=True,
)  # fmt: skip

CHECK = (
    BUILD,
    Item("tests", "the CUDA tests: against the CPU library, without host synchronization", 120, items.tests),
    Item("parity-tcnn", "values and gradients against tiny-cuda-nn, scale 2.0 and 1.4473, linear and smoothstep", 45,
         partial(items.parity, package="tinycudann", function="with_tiny_cuda_nn")),
    Item("parity-nerfacc", "weights, colors and gradients against nerfacc on the same samples", 90,
         partial(items.parity, package="nerfacc", function="with_nerfacc")),
    Item("raster", "the mesh rasterizer's images against the CPU library's", 45,
         partial(items.measure, module="raster", function="parity", toy={"level": 2, "side": 24, "n": 2})),
    STEP,
    Item("loop", "the loop's own step at `standard`: time, and its host synchronizations by line", 90, items.loop),
    Item("loop-graph", "the same step as one launch (optimize.cuda_graph): time, recordings, where it ends",
         120, items.loop_graph),
    Item("memcheck", "compute-sanitizer memcheck over the CUDA tests, without torch's cache of memory", 150,
         partial(items.sanitizer, tool="memcheck", select="not 70000 and not tiny_cuda_nn and not nerfacc")),
    Item("racecheck", "compute-sanitizer racecheck (shared memory) over the grid's and the march's tests", 100,
         partial(items.sanitizer, tool="racecheck", select="(hash_grid and 70000 and linear and 3-2) or march")),
    Item("tests-cpu", "the other tests of the kernels, on this machine's processor", 100, items.tests_on_cpu),
)  # fmt: skip
SPEED = (
    BUILD,
    Item("encode", "encode forward and backward at 2^16..2^21 points, over tiny-cuda-nn and the measured floor", 90,
         partial(items.measure, function="encoding", toy={"sizes": [8], "tables": [10], "repeats": 1}), compares=True),
    STEP,
    Item("march", "march and composite, forward and backward, over nerfacc", 60,
         partial(items.measure, function="march_and_composite", toy={"rival": "torch", "n_rays": 16, "repeats": 1}),
         compares=True),
    Item("adam", "FusedAdam over the field's parameters, over torch's fused Adam and the memory's bandwidth", 45,
         partial(items.measure, function="adam", toy={"log2_table_size": 10, "repeats": 1}), compares=True),
    Item("raster", "eight views of a mesh, 64 px at 2 x 2 samples, over the CPU library", 45,
         partial(items.measure, module="raster", function="speed", toy={"level": 2, "side": 24, "n": 2, "repeats": 1})),
    Item("mlp", "the networks as torch's layers against the floor that a fused kernel would have", 45,
         partial(items.measure, function="mlp", toy={"sizes": [8], "repeats": 1})),
)  # fmt: skip


def _glb(preset: str, seconds: float) -> Item:
    what = f"from a picture to a GLB at `{preset}`, by stage"
    return Item(preset, what, seconds, partial(items.picture_to_glb, preset=preset))


def _network(model: str, seconds: float) -> Item:
    what = f"a distillation step with {model}'s full-size network, random weights, by part"
    return Item(model, what, seconds, partial(items.step_time, model=model))


CLOCK = (
    BUILD,
    _glb("standard", 120),
    _network("sd15", 60),
    _glb("preview", 60),
    _network("sdxl", 75),
    _network("sd3", 75),
    _glb("high", 180),
    _glb("demo", 60),
    _network("sd21", 60),
)


def _training(
    name: str, what: str, seconds: float, function: str, *, compiled: bool, graph: bool = False, **toy: object
) -> Item:
    toy = {"compiled": False, "repeats": 1, **toy}
    more = {"graph": True} if graph else {}
    run = partial(items.measure, module="prior_training", function=function, compiled=compiled, toy=toy, **more)
    return Item(name, what, seconds, run)


TRAIN = (
    BUILD,
    _training("prior-step", "a step of the built-in prior's training, compiled: time, frames/s, kernels", 240, "step",
              compiled=True, batch_scenes=1),
    _training("prior-step-graph", "the same step, compiled, both passes as one launch (cuda_graph)", 240, "step",
              compiled=True, graph=True, batch_scenes=1),
    _training("prior-step-plain", "the same step, not compiled", 60, "step", compiled=False, batch_scenes=1),
    _training("procedural", "procedural scenes rendered on the device", 90, "procedural", compiled=False, n=2),
)  # fmt: skip
PARTS: dict[str, tuple[Item, ...]] = {"check": CHECK, "speed": SPEED, "clock": CLOCK, "train": TRAIN}
