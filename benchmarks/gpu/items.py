"""The items of gpu-check in their order: first what must be right, then what may be fast, then whole runs."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
Figures = dict[str, object]


class NotRun(Exception):
    """This machine lacks what the item needs; the text says what."""


@dataclass(frozen=True)
class Item:
    name: str
    what: str
    minutes: float
    run: Callable[[], Figures]


def need(*modules: str) -> None:
    for name in modules:
        if importlib.util.find_spec(name) is None:
            raise NotRun(f"the package {name} is not installed")


def command(arguments: list[str], seconds: int, **environment: str) -> tuple[int, str]:
    """Exit code and output; a time limit counts as failure."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    try:
        done = subprocess.run(
            arguments,
            cwd=ROOT,
            env=variables,
            capture_output=True,
            text=True,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as late:
        return 124, f"{late.stdout or ''}\nstopped after {seconds} s"
    return done.returncode, done.stdout + done.stderr


def build() -> Figures:
    """The CPU library too: the tests compare with it."""
    import torch

    major, minor = torch.cuda.get_device_capability()
    builder = [sys.executable, str(ROOT / "nerf2mesh" / "kernels" / "build.py")]
    found: Figures = {"architecture": f"sm_{major}{minor}"}
    for kind in ("--cpu", "--cuda"):
        code, text = command([*builder, kind], 900, N2M_CUDA_ARCHITECTURES=f"{major}{minor}")
        if code:
            return {**found, "failed": f"{kind}: {text[-1500:]}"}
    return found


def run_pytest(prefix: list[str], tests: list[str], seconds: int) -> Figures:
    code, text = command([*prefix, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests], seconds)
    counts = {kind: int(n) for n, kind in re.findall(r"(\d+) (passed|failed|skipped|errors?|deselected)", text)}
    return {**counts, **({"failed": text[-4000:]} if code else {})}


def tests() -> Figures:
    need("pytest", "hypothesis")
    return run_pytest([], ["tests/kernels"], 900)


def sanitizer(tool: str, select: str) -> Figures:
    need("pytest")
    program = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    if not Path(program).exists():
        raise NotRun("compute-sanitizer is not installed")
    prefix = [program, "--tool", tool, "--error-exitcode", "9", "--target-processes", "all"]
    return run_pytest(prefix, ["tests/kernels/test_cuda.py", "-k", select], 420)


def in_process(module: str, function: str, **options: object) -> Figures:
    """A measurement in a fresh process: a crash or an endless kernel then costs this item only."""
    code = (
        "import importlib, json, sys; "
        f"figures = getattr(importlib.import_module({module!r}), {function!r})(**json.loads(sys.argv[1])); "
        "print('FIGURES' + json.dumps(figures))"
    )
    status, text = command([sys.executable, "-c", code, json.dumps(options)], 600)
    lines = [line for line in text.splitlines() if line.startswith("FIGURES")]
    if status or not lines:
        return {"failed": text[-4000:]}
    return json.loads(lines[-1][len("FIGURES") :])


def parity_with(package: str, function: str) -> Figures:
    need(package)
    return in_process("benchmarks.gpu.parity", function, device="cuda")


def step_time(models: str) -> Figures:
    need("diffusers")
    return in_process("benchmarks.step_time", "measure", name=models, device="cuda", rays=[64, 256])


def picture_to_glb() -> Figures:
    """The packaged picture at `standard`, once to warm up the disk's cache and once for the clock."""
    need("hydra", "mcubes", "trimesh", "xatlas", "cv2")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        picture = ROOT / "nerf2mesh" / "assets" / "demo" / "duck.png"
        choices = ["preset=standard", "device=cuda", f"input.image={picture}", f"output_dir={out}"]
        code, text = command([sys.executable, "-m", "nerf2mesh.cli", *choices], 900)
        if code or not (out / "timings.json").exists():
            return {"failed": text[-4000:]}
        stages = json.loads((out / "timings.json").read_text(encoding="utf-8"))
    seconds = {f"{name} [s]": stage["seconds"] for name, stage in stages.items()}
    parts = {f"{name}/{part} [s]": s for name, stage in stages.items() for part, s in stage["parts"].items()}
    return {**seconds, **parts, "picture to GLB [s]": sum(seconds.values())}


SPEED = "benchmarks.gpu.speed"
ITEMS = [
    Item("build", "the CUDA library for this GPU", 3, build),
    Item("tests", "tests/kernels with the CUDA tests: native against twins, no host synchronization", 3, tests),
    Item("parity-tcnn", "values and gradients against tiny-cuda-nn, scale 2.0 and 1.4473, linear and smoothstep", 0.5,
         partial(parity_with, "tinycudann", "with_tiny_cuda_nn")),
    Item("parity-nerfacc", "weights, colors and gradients against nerfacc on the same samples", 0.5,
         partial(parity_with, "nerfacc", "with_nerfacc")),
    Item("memcheck", "compute-sanitizer memcheck over the CUDA tests", 4, partial(sanitizer, "memcheck", "not 70000")),
    Item("racecheck", "compute-sanitizer racecheck (shared memory) over the grid's and the march's tests", 5,
         partial(sanitizer, "racecheck", "(hash_grid and 70000 and linear and 3-2) or march")),
    Item("encode", "encode forward and backward at 2^16..2^21 points, over tiny-cuda-nn and the measured floor", 1.5,
         partial(in_process, SPEED, "encoding", device="cuda")),
    Item("march", "march and composite, forward and backward, over nerfacc", 0.5,
         partial(in_process, SPEED, "march_and_composite", device="cuda")),
    Item("step", "a whole step of 4096 rays; host synchronizations in it (none may be)", 0.5,
         partial(in_process, SPEED, "whole_step", device="cuda")),
    Item("mlp", "the networks as torch's layers against the floor that a fused kernel would have", 0.5,
         partial(in_process, SPEED, "mlp", device="cuda")),
    Item("loop", "the loop's own step at `standard`: time, and its host synchronizations by line", 1,
         partial(in_process, "benchmarks.gpu.loop", "measure", device="cuda")),
    *(Item(f"full-{name}", f"a distillation step with {name}'s full-size network, random weights, by part", 1,
           partial(step_time, name)) for name in ("sd15", "sd21", "sdxl", "sd3")),
    Item("clock", "from a picture to a GLB at `standard`, by stage", 2, picture_to_glb),
]  # fmt: skip
