"""What the items do: each is a function of a `Setting` that returns figures; a figure "failed" says what went wrong."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

from .process import ROOT, Figures, NotRun, Overran, Setting, command, in_process, need

KERNELS = ROOT / "nerf2mesh" / "kernels"
PICTURE = ROOT / "nerf2mesh" / "assets" / "demo" / "duck.png"
CUDA_TESTS = ["tests/kernels/test_cuda.py", "tests/kernels/test_cuda_raster.py"]


def fits(library: Path, kind: str, architecture: str = "") -> bool:
    """Whether a library loads here and was built from the sources beside it, with code for `architecture`."""
    from nerf2mesh.kernels import build as builder

    try:
        found = builder.built_from(library, kind)
    except OSError:
        return False
    return found[:1] == [builder.source_digest(kind, ROOT)] and (not architecture or architecture in found)


def build(setting: Setting) -> Figures:
    """Both libraries, where those that are there do not fit; a rehearsal leaves them alone and builds aside."""
    from nerf2mesh.kernels.build import find_nvcc

    architecture = "90" if setting.rehearsal else _architecture()
    folder = ROOT / "build" / "rehearsal" if setting.rehearsal else KERNELS
    found: Figures = {"architecture": f"sm_{architecture}"}
    for kind, wanted in (("cpu", ""), ("cuda", architecture)):
        if any(fits(place / f"libn2m_{kind}.so", kind, wanted) for place in {KERNELS, folder}):
            found[kind] = "was there"
        elif kind == "cuda" and find_nvcc() is None:
            if not setting.rehearsal:
                return {**found, "failed": "no CUDA library for this GPU, and no nvcc to build it"}
            found[kind] = "not built: there is no nvcc"
        else:
            start = time.perf_counter()
            arguments = [sys.executable, str(KERNELS / "build.py"), f"--{kind}", "--output", str(folder)]
            code, text = command(arguments, setting, N2M_CUDA_ARCHITECTURES=architecture)
            if code:
                return {**found, "failed": f"{kind}: {text[-1500:]}"}
            found |= {kind: "built", f"{kind} [s]": time.perf_counter() - start}
    return found


def _architecture() -> str:
    import torch

    major, minor = torch.cuda.get_device_capability()
    return f"{major}{minor}"


def run_pytest(setting: Setting, tests: list[str], *, prefix: tuple[str, ...] = (), **more: str) -> Figures:
    """Counts of outcomes; the checks of shapes stay off, since beartype need not be there."""
    arguments = [*prefix, sys.executable, "-m", "pytest", "-vv", "--tb=short", "-p", "no:cacheprovider", *tests]
    try:
        code, text = command(arguments, setting, N2M_TYPECHECK="0", **more)
    except Overran as late:
        done = re.findall(r" (PASSED|FAILED|SKIPPED|ERROR)", str(late))
        raise Overran(str(late), {kind.lower(): done.count(kind) for kind in sorted(set(done))}) from None
    counts = {kind: int(n) for n, kind in re.findall(r"(\d+) (passed|failed|skipped|errors?|deselected)", text)}
    if code:
        counts = {f"tests {kind}" if kind == "failed" else kind: n for kind, n in counts.items()}
    return {**counts, **({"failed": f"exit code {code}: {sanitizer_lines(text)}{text[-4000:]}"} if code else {})}


def sanitizer_lines(text: str, most: int = 60) -> str:
    """The first of compute-sanitizer's own lines, which stand far above the end of the tests' output."""
    lines = [line for line in text.splitlines() if line.startswith("=========")]
    return "".join(f"{line}\n" for line in lines[:most])


def tests(setting: Setting) -> Figures:
    """The tests that need the GPU; a rehearsal takes two other files."""
    need("pytest", "hypothesis")
    cpu = ["tests/kernels/test_march.py", "tests/kernels/test_composite.py"]
    return run_pytest(setting, cpu if setting.rehearsal else CUDA_TESTS)


def tests_on_cpu(setting: Setting) -> Figures:
    """The other tests of the kernels: this machine's processor may have instructions that others lack."""
    need("pytest", "hypothesis")
    if setting.rehearsal:
        return run_pytest(setting, ["tests/kernels/test_layout.py"])
    workers = ["-n", "8"] if importlib.util.find_spec("xdist") else []
    return run_pytest(setting, ["tests/kernels", "-m", "not slow and not gpu", *workers])


def sanitizer(setting: Setting, tool: str, select: str) -> Figures:
    """compute-sanitizer over the CUDA tests.

    torch's caching allocator would hide accesses beyond an array, and its probing of the driver would count as errors.
    """
    need("pytest")
    program = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    if not Path(program).exists():
        raise NotRun("compute-sanitizer is not installed")
    if setting.rehearsal:
        raise NotRun("compute-sanitizer needs a GPU")
    prefix = (
        program,
        "--tool",
        tool,
        "--error-exitcode",
        "9",
        "--target-processes",
        "all",
        "--report-api-errors",
        "no",
    )
    selected = [*CUDA_TESTS, "-k", select]
    return run_pytest(setting, selected, prefix=prefix, PYTORCH_NO_CUDA_MEMORY_CACHING="1")


def parity(setting: Setting, package: str, function: str) -> Figures:
    """A rehearsal compares with the torch twin, on a CPU."""
    if not setting.rehearsal:
        need(package)
    return in_process(setting, "benchmarks.gpu.parity", function, device="cpu" if setting.rehearsal else "cuda")


def measure(setting: Setting, function: str, toy: dict[str, object], module: str = "speed", **more: object) -> Figures:
    """A function of speed.py, or of another module beside it; `toy` are the sizes of a rehearsal."""
    options = {"device": "cpu", **more, **toy} if setting.rehearsal else {"device": "cuda", **more}
    return in_process(setting, f"benchmarks.gpu.{module}", function, **options)


def loop(setting: Setting) -> Figures:
    if setting.device == "meta":
        return in_process(setting, "benchmarks.gpu.pretended", "figures", overrides=["preset=tiny"])
    toy = {"device": "cpu", "preset": "tiny", "warm_up": 1, "steps": 1}
    return in_process(setting, "benchmarks.gpu.loop", "measure", **(toy if setting.rehearsal else {"device": "cuda"}))


def loop_graph(setting: Setting) -> Figures:
    toy = {"device": "cpu", "preset": "tiny", "steps": 2, "timed": 1}
    return in_process(setting, "benchmarks.gpu.loop", "graph", **(toy if setting.rehearsal else {"device": "cuda"}))


def step_time(setting: Setting, model: str) -> Figures:
    need("diffusers")
    toy = {"device": "cpu", "rays": [4], "tiny": True, "repeats": 1}
    options = toy if setting.rehearsal else {"device": "cuda", "rays": [64, 256]}
    return in_process(setting, "benchmarks.step_time", "measure", name=model, **options)


def picture_to_glb(setting: Setting, preset: str) -> Figures:
    """The packaged picture, in a process of its own, as a user runs it: by stage, and with start and imports.

    The turntable needs ffmpeg, and is left out where that is not there.
    """
    need("hydra", "mcubes", "trimesh", "xatlas", "cv2")
    where = ["preset=tiny", "device=cpu"] if setting.rehearsal else [f"preset={preset}", "device=cuda"]
    turntable = importlib.util.find_spec("imageio_ffmpeg") is not None
    where += [] if turntable else ["report.turntable_frames=0"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        start = time.perf_counter()
        arguments = [*where, f"input.image={PICTURE}", f"output_dir={out}"]
        code, text = command([sys.executable, "-m", "nerf2mesh.cli", *arguments], setting)
        wall = time.perf_counter() - start
        if code or not (out / "timings.json").exists():
            return {"failed": f"exit code {code}: {text[-4000:]}"}
        stages = json.loads((out / "timings.json").read_text(encoding="utf-8"))
        sizes = {f"{path.name} [bytes]": os.path.getsize(path) for path in sorted(out.rglob("*.glb"))}
    seconds = {f"{name} [s]": stage["seconds"] for name, stage in stages.items()}
    parts = {f"{name}/{part} [s]": s for name, stage in stages.items() for part, s in stage["parts"].items()}
    total = {"picture to GLB [s]": sum(seconds.values()), "process [s]": wall}
    return {**total, "with turntable": turntable, **seconds, **parts, **sizes}
