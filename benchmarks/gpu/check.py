"""python -m benchmarks.gpu [--plan] [--only NAME,...] [--skip NAME,...] [--output FILE]

Builds the CUDA library for the GPU of this machine, runs the CUDA tests, compares with tiny-cuda-nn and nerfacc where
they can be imported, runs compute-sanitizer where it is installed, measures the kernels against their floors, counts
host synchronizations, times full-size networks and a whole run from a picture to a GLB. No network. One JSON file,
benchmarks/results/gpu-DEVICE.json, written after every item, and a short table. --plan lists the items and runs none.

Exit code: 0 when no item failed, 1 when one did, 2 where there is no GPU. "not run" says why, and is no failure.
"""

from __future__ import annotations

import argparse
import json
import re
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from .items import ITEMS, Item, NotRun

RESULTS = Path(__file__).resolve().parents[1] / "results"


def run_item(item: Item) -> dict[str, object]:
    """status: ok, failed or not run; with the item's figures or the reason."""
    start = time.perf_counter()
    try:
        figures = item.run()
        status = {"status": "failed" if figures.get("failed") else "ok", "figures": figures}
    except (NotRun, ModuleNotFoundError) as reason:
        status = {"status": "not run", "why": str(reason)}
    except Exception as error:  # an item that breaks must not take the others with it
        status = {
            "status": "failed",
            "why": f"{type(error).__name__}: {error}",
            "trace": traceback.format_exc()[-3000:],
        }
    return {**status, "seconds": round(time.perf_counter() - start, 1)}


def table(results: dict[str, dict]) -> str:
    lines = []
    for name, result in results.items():
        reason = (str(result.get("why", "")).splitlines() or [""])[0]
        lines.append(f"{name:18s} {result['status']:8s} {result.get('seconds', 0):7.1f} s  {reason[:80]}")
        for figure, value in result.get("figures", {}).items():
            if isinstance(value, (int, float, str)):
                shown = f"{value:.4g}" if isinstance(value, float) else str(value)
                lines.append(f"    {figure:70s} {shown}")
    return "\n".join(lines)


def plan(items: Sequence[Item]) -> str:
    lines = [f"{item.name:18s} about {item.minutes:4.1f} min  {item.what}" for item in items]
    return "\n".join([*lines, f"{'':18s} about {sum(item.minutes for item in items):4.1f} min together"])


def machine() -> dict[str, object]:
    import torch

    properties = torch.cuda.get_device_properties(0)
    return {
        "device": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "memory_bytes": properties.total_memory,
        "multiprocessors": properties.multi_processor_count,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }


def gpu_missing() -> str:
    """Why nothing can run here, or an empty string."""
    try:
        import torch
    except ImportError as error:
        return f"torch cannot be imported ({error})"
    return "" if torch.cuda.is_available() else "torch finds no CUDA device here"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", action="store_true", help="list what would be done")
    parser.add_argument("--only", default="", help="names of items, with commas")
    parser.add_argument("--skip", default="", help="names of items, with commas")
    parser.add_argument("--output", type=Path, help="the JSON file")
    arguments = parser.parse_args(argv)
    only, skip = (set(filter(None, names.split(","))) for names in (arguments.only, arguments.skip))
    unknown = (only | skip) - {item.name for item in ITEMS}
    if unknown:
        parser.error(f"no such item: {', '.join(sorted(unknown))}; there are {', '.join(i.name for i in ITEMS)}")
    items = [item for item in ITEMS if (not only or item.name in only) and item.name not in skip]
    if arguments.plan:
        print(plan(items))
        return 0
    missing = gpu_missing()
    if missing:
        print(f"gpu-check: {missing}: not run: {', '.join(item.name for item in items)}")
        return 2
    return run_all(items, arguments.output)


def run_all(items: Sequence[Item], output: Path | None) -> int:
    about = machine()
    name = re.sub(r"[^a-z0-9]+", "-", str(about["device"]).lower()).strip("-")
    output = output or RESULTS / f"gpu-{name}.json"
    results: dict[str, dict] = {}
    for item in items:
        print(f"{item.name}: {item.what}", flush=True)
        results[item.name] = run_item(item)
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps({"machine": about, "items": results}, indent=1) + "\n", encoding="utf-8")
    print(f"{about['device']}, torch {about['torch']}\n{table(results)}\n{output}")
    return 1 if any(result["status"] == "failed" for result in results.values()) else 0
