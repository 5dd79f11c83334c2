"""python -m benchmarks.gpu PART [--output DIR] [--deadline-s S] [--plan] [--only NAME,...] [--skip NAME,...]

PART is one of
  check  build, CUDA tests, parity with tiny-cuda-nn and nerfacc, a step, the loop and its waits, compute-sanitizer
  speed  encode, whole step, march and composite, Adam, networks, over rivals and measured floors
  clock  a picture to a GLB at four presets by stage, a distillation step with full-size SD 1.5, SDXL, SD3 and SD 2.1
  train  a step of the built-in prior's training and its data; the training itself is nerf2mesh-train-prior training=gpu
No network. DIR/PART.json is written again after every item; a short table comes at the end. Every part begins with
`build`, which leaves libraries alone that fit the sources and this GPU. What cannot run here says why ("not run").

--deadline-s counts from the start of this process: an item whose own limit would pass it is not started, one that runs
is killed then ("stopped"), and the part ends in order, as it does at SIGTERM. --library FILE,... runs the items of
`speed` once more with each file as the CUDA library, right after the one beside the package. --device cpu or meta
rehearses at toy sizes what can run without a GPU; its figures mean nothing.

Exit code: 0 when no item failed or was stopped, 1 when one did, 2 for an unknown part or where there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from .parts import PARTS, Item
from .process import NotRun, Overran, Setting

RESULTS = Path(__file__).resolve().parents[1] / "results"


class Terminated(BaseException):
    """SIGTERM has come."""


@dataclass(frozen=True)
class Run:
    """One item with one CUDA library; its name has the library's, where that is not the package's own."""

    item: Item
    library: Path | None = None

    @property
    def name(self) -> str:
        return f"{self.item.name}@{self.library.parent.name}/{self.library.stem}" if self.library else self.item.name


def runs(items: Sequence[Item], libraries: Sequence[Path]) -> list[Run]:
    """Each item, followed by the same with the further libraries where it compares them."""
    return [Run(i, library) for i in items for library in (None, *(libraries if i.compares else ()))]


def process_start() -> float:
    """The moment of `time.monotonic` at which this process began."""
    import psutil

    age = time.time() - psutil.Process().create_time()
    return time.monotonic() - min(max(age, 0.0), 120.0)  # beyond that the clock was set


def run_one(run: Run, device: str, deadline: float) -> dict[str, object]:
    """status: ok, failed, stopped or not run; with the item's figures or the reason."""
    start = time.monotonic()
    limit = run.item.seconds
    if start + limit > deadline:
        return {"status": "not run", "why": f"its limit of {limit:g} s would pass the deadline", "seconds": 0.0}
    setting = Setting(device, min(start + limit, deadline) if device == "cuda" else deadline, run.library)
    try:
        figures = run.item.run(setting)
        found = {"status": "failed" if "failed" in figures else "ok", "figures": figures}
    except (NotRun, ModuleNotFoundError) as reason:
        found = {"status": "not run", "why": str(reason)}
    except Overran as late:
        why = f"killed after {time.monotonic() - start:.0f} s"
        found = {"status": "stopped", "why": why, "figures": late.figures, "output": str(late)[-3000:]}
    except Terminated:
        found = {"status": "stopped", "why": "SIGTERM"}
    except Exception as error:  # an item that breaks must not take the others with it
        why = f"{type(error).__name__}: {error}"
        found = {"status": "failed", "why": why, "trace": traceback.format_exc()[-3000:]}
    return {**found, "seconds": round(time.monotonic() - start, 1)}


def run_all(part: str, wanted: Sequence[Run], output: Path, device: str, deadline: float, about: dict) -> int:
    """Runs one after another, writing after each; the exit code."""
    results: dict[str, dict] = {}
    for run in wanted:
        print(f"{run.name}: {run.item.what}", flush=True)
        results[run.name] = run_one(run, device, deadline)
        write(output / f"{part}.json", {"part": part, "machine": about, "items": results, "ratios": ratios(results)})
        if results[run.name].get("why") == "SIGTERM":
            break
    print(f"{about['device']}, torch {about['torch']}\n{table(results)}\n{output / part}.json", flush=True)
    return int(any(result["status"] in ("failed", "stopped") for result in results.values()))


def write(path: Path, content: dict) -> None:
    """Whole or not at all, also where the process is killed meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    aside.replace(path)


def ratios(results: dict[str, dict]) -> dict[str, dict[str, float]]:
    """For each item with another library: that library's time over the package's own, figure by figure."""
    found = {}
    for name, result in results.items():
        own = results.get(name.split("@")[0], {}).get("figures", {})
        if "@" in name:
            times = {k: v for k, v in result.get("figures", {}).items() if k.endswith("[ms]") and own.get(k)}
            found[name] = {figure: value / own[figure] for figure, value in times.items()}
    return found


def table(results: dict[str, dict], most: int = 18) -> str:
    """A line for each item and a few of its figures, ratios first; the JSON has them all."""
    lines = []
    for name, result in results.items():
        failed = result.get("why") or result.get("figures", {}).get("failed", "")
        reason = (str(failed).strip().splitlines() or [""])[-1]
        lines.append(f"{name:18s} {result['status']:8s} {result['seconds']:7.1f} s  {reason[:110]}")
        lines += [f"    {line}" for line in figure_lines(result.get("figures", {}), most)]
    for name, times in ratios(results).items():
        lines += [f"{name}: its time over the package's own", *(f"    {k:60s} {v:.3f}" for k, v in times.items())]
    return "\n".join(lines)


def figure_lines(figures: dict, most: int) -> Iterator[str]:
    plain = {k: v for k, v in figures.items() if isinstance(v, (int, float, str)) and k != "failed"}
    first = sorted(plain, key=lambda name: " over " not in name)[:most]
    for name in plain:
        if name in first:
            value = plain[name]
            yield f"{name:66s} {f'{value:.4g}' if isinstance(value, float) else value}"


def plan(items: Sequence[Item]) -> str:
    lines = [f"{item.name:16s} at most {item.seconds:4.0f} s  {item.what}" for item in items]
    return "\n".join([*lines, f"{'':16s} at most {sum(item.seconds for item in items):4.0f} s together"])


def machine(device: str) -> dict[str, object]:
    import torch

    found: dict[str, object] = {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "python": sys.version.split()[0],
    }
    if device != "cuda":
        return {"device": f"rehearsal on {device}: these figures mean nothing", "machine": platform.machine(), **found}
    properties = torch.cuda.get_device_properties(0)
    return {
        "device": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "memory_bytes": properties.total_memory,
        "multiprocessors": properties.multi_processor_count,
        **found,
    }


def gpu_missing() -> str:
    """Why nothing can run here, or an empty string."""
    try:
        import torch
    except ImportError as error:
        return f"torch cannot be imported ({error})"
    return "" if torch.cuda.is_available() else "torch finds no CUDA device here"


def chosen(part: str, only: str, skip: str) -> list[Item]:
    """The items of a part; `build` stays unless it is skipped.

    Raises:
        ValueError: no such part or item.
    """
    if part not in PARTS:
        raise ValueError(f"PART: expected one of {', '.join(PARTS)}, got {part!r}; choose one")
    names = [item.name for item in PARTS[part]]
    wanted, left_out = (set(filter(None, text.split(","))) for text in (only, skip))
    unknown = sorted((wanted | left_out) - set(names))
    if unknown:
        raise ValueError(f"item: expected some of {', '.join(names)}, got {', '.join(unknown)}; choose from these")
    wanted = wanted | {"build"} if wanted else set(names)
    return [item for item in PARTS[part] if item.name in wanted - left_out]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("part", metavar="PART", help=", ".join(PARTS))
    made.add_argument("--plan", action="store_true", help="list what would be done")
    made.add_argument("--only", default="", help="names of items, with commas")
    made.add_argument("--skip", default="", help="names of items, with commas")
    made.add_argument("--output", type=Path, help="folder for PART.json; default benchmarks/results/gpu-DEVICE")
    made.add_argument("--deadline-s", type=float, default=float("inf"), help="seconds from the start of this process")
    made.add_argument("--library", default="", help="further files that serve as the CUDA library, with commas")
    made.add_argument("--device", choices=("cuda", "cpu", "meta"), default="cuda", help="cpu, meta: a rehearsal")
    return made


def _terminate(*_: object) -> NoReturn:
    raise Terminated


def main(argv: Sequence[str] | None = None) -> int:
    begun = process_start()
    arguments = parser().parse_args(argv)
    libraries = [Path(name).resolve() for name in arguments.library.split(",") if name]
    try:
        items = chosen(arguments.part, arguments.only, arguments.skip)
        absent = [str(path) for path in libraries if not path.exists()]
        if absent:
            raise ValueError(f"--library: expected files, got {', '.join(absent)}; build them first")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if arguments.plan:
        print(plan(items))
        return 0
    missing = gpu_missing() if arguments.device == "cuda" else ""
    if missing:
        print(f"gpu-{arguments.part}: {missing}: not run: {', '.join(item.name for item in items)}")
        return 2
    about = machine(arguments.device)
    name = re.sub(r"[^a-z0-9]+", "-", str(about["device"]).split(":")[0].lower()).strip("-")
    output = arguments.output or RESULTS / f"gpu-{name}"
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        deadline = begun + arguments.deadline_s
        return run_all(arguments.part, runs(items, libraries), output, arguments.device, deadline, about)
    except Terminated:  # between two items; what was found is on disk
        return 1
    finally:
        signal.signal(signal.SIGTERM, before)
