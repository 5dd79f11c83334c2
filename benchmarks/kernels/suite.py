"""python -m benchmarks.kernels [--quick] [--gate] [--threads N | --cpu-time] [--device cpu|cuda] [--output FILE]

Prints every metric, writes them as JSON, and with --gate compares the ratios with the committed baseline.json: a ratio
may be worse by the tolerance there, since other work on the machine disturbs even ratios. Times in ms are for reading.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Sequence
from pathlib import Path

import torch

from nerf2mesh.kernels import GridLayout, available

from . import cases
from .timing import count_processor_time

HERE = Path(__file__).resolve().parent
LOWER_IS_BETTER = ("over floor", "over the MLP", "over copying", "over peak product rate")
HIGHER_IS_BETTER = ("over ours",)
UNSTEADY = ("n=2^16: over floor",)
"""Printed, not gated: the floor takes a millisecond or two there, and the ratio went from 3 to 10 on one machine."""


def measure(quick: bool, device: str, repeats: int) -> cases.Metrics:
    metrics: cases.Metrics = {}
    sizes = [15] if quick else [16, 18, 20, 21] if device != "cpu" else [16, 18]
    for log2 in sizes:
        for table in (15, 19):
            layout = GridLayout(log2_table_size=table, **cases.INSTANT_NGP)
            rivals = table == 19 and log2 in (15, 18)
            name = f"encode 16x2 T=2^{table} n=2^{log2}"
            metrics |= cases.encode(name, layout, 1 << log2, repeats, device, rivals)
        name = f"encode 8x4 T=2^17 n=2^{log2}"
        metrics |= cases.encode(name, GridLayout(log2_table_size=17), 1 << log2, repeats, device, False)
    metrics |= cases.training_step(1024 if quick else 4096, repeats, device)
    metrics |= cases.optimizer(1 << (18 if quick else 22), repeats, device)
    return metrics | cases.mlp_against_floor(1 << (14 if quick else 17), repeats, device)


def worse_than(baseline: dict, metrics: cases.Metrics) -> list[str]:
    """Lines about ratios that are worse than the baseline by more than its tolerance."""
    lines = []
    for name, wanted in baseline["ratios"].items():
        got = metrics.get(name)
        if got is None:
            continue
        loss = got / wanted if name.endswith(LOWER_IS_BETTER) else wanted / got
        if loss > 1 + baseline["tolerance"]:
            lines.append(f"{name}: {got:.3g}, baseline {wanted:.3g}")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few points, some seconds")
    parser.add_argument("--gate", action="store_true", help="exit code 1 when a ratio is worse than the baseline")
    parser.add_argument("--update", action="store_true", help="write the ratios into baseline.json")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cpu-time", action="store_true", help="one thread's own time: for a machine that others use")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, help="where the JSON goes")
    arguments = parser.parse_args(argv)
    if arguments.cpu_time:
        arguments.threads = 1
        count_processor_time()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    metrics = measure(arguments.quick, arguments.device, arguments.repeats)
    for name, value in metrics.items():
        print(f"{name:60s} {value:10.3g}")
    machine = {
        "native": available(),
        "torch": torch.__version__,
        "machine": platform.machine(),
        "threads": arguments.threads,
    }
    if arguments.output:
        arguments.output.write_text(json.dumps({"machine": machine, "metrics": metrics}, indent=1), encoding="utf-8")
    path = HERE / "baseline.json"
    if arguments.update:
        old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"tolerance": 0.6, "ratios": {}}
        kept = (k for k in metrics if k.endswith(LOWER_IS_BETTER + HIGHER_IS_BETTER) and not k.endswith(UNSTEADY))
        old["ratios"] |= {k: round(metrics[k], 3) for k in kept}
        path.write_text(json.dumps(old, indent=1) + "\n", encoding="utf-8")
    if not arguments.gate:
        return 0
    worse = worse_than(json.loads(path.read_text(encoding="utf-8")), metrics)
    print("\n".join(["worse than the baseline:", *worse]) if worse else "within the baseline")
    return 1 if worse else 0
