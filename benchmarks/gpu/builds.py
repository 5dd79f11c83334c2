"""python -m benchmarks.gpu.builds --old FILE --new FILE [--output FILE] [--quick]

Compares two builds of the CUDA library in one process: first that they compute the same, then how long the device
takes. Times come from replayed graphs of several launches that go round four sets of inputs and outputs, the median of
rounds in which both take turns; launching is not in them, except where it says "host".
Exit code 1 where numbers differ.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from nerf2mesh import kernels
from nerf2mesh.kernels import GridLayout, _lib, reference

from ..kernels import cases

SETS = 4
Figures = dict[str, float | str]


def load(path: Path) -> ctypes.CDLL:
    """A library with its signatures."""
    library = ctypes.CDLL(str(path))
    _lib._declare(library, "_cuda", [ctypes.c_void_p])
    return library


def call(library: ctypes.CDLL, name: str, *arguments: object) -> None:
    values = [a.data_ptr() if isinstance(a, Tensor) else a for a in arguments]
    stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
    _lib.check(library, getattr(library, f"n2m_{name}_cuda")(*values, stream), name)


def device_ms(work: dict[str, Callable[[], int]], rounds: int = 7) -> dict[str, float]:
    """Median milliseconds of one launch. Each entry launches several times while it is captured, and says how often."""
    graphs = {}
    for name, launch in work.items():
        launch()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            count = launch()
        graphs[name] = (graph, count)
    times: dict[str, list[float]] = {name: [] for name in work}
    events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
    for turn in range(rounds + 1):
        for name, (graph, count) in reversed(graphs.items()) if turn % 2 else graphs.items():
            events[0].record()
            graph.replay()
            events[1].record()
            torch.cuda.synchronize()
            if turn:
                times[name].append(events[0].elapsed_time(events[1]) / count)
    return {name: statistics.median(values) for name, values in times.items()}


def builds(old: ctypes.CDLL, new: ctypes.CDLL, run: Callable[[ctypes.CDLL], int]) -> dict[str, Callable[[], int]]:
    """`run` of either library."""
    return {"old": partial(run, old), "new": partial(run, new)}


def far(got: Tensor, wanted: Tensor) -> float:
    """Norm of the difference over that of what was wanted; infinite where a number is not finite."""
    distance = (got.double() - wanted.double()).norm() / wanted.double().norm().clamp(min=1e-30)
    return float(distance.nan_to_num(nan=torch.inf))


def bound(what: str) -> float:
    """Marching gives the same bits; sums come in another order; the twin places points in float64."""
    return 0.0 if what.startswith("march") else 1e-3 if "twin" in what else 2e-5


class GridCase:
    """Points and buffers of one grid; SETS of them."""

    def __init__(self, layout: GridLayout, points: list[Tensor]) -> None:
        self.layout, self.n, self.points = layout, len(points[0]), points
        self.grid = _lib.grid_struct(layout, layout.n_levels, False)
        self.params = torch.randn(layout.n_params, device="cuda")
        self.grads = [torch.randn(self.n, layout.n_outputs, device="cuda") for _ in points]
        self.outs = [torch.full_like(g, torch.nan) for g in self.grads]
        self.total = torch.zeros_like(self.params)

    def forward(self, library: ctypes.CDLL) -> int:
        for x, out in zip(self.points, self.outs):
            call(library, "grid_forward", self.grid, self.n, x, self.params, out)
        return len(self.points)

    def backward(self, library: ctypes.CDLL) -> int:
        for x, g in zip(self.points, self.grads):
            call(library, "grid_backward", self.grid, self.n, x, g, None, None, self.total)
        return len(self.points)

    def floor(self, library: ctypes.CDLL, write: int) -> int:
        for out in self.outs:
            arrays = (ctypes.c_void_p(self.total.data_ptr()), ctypes.c_void_p(out.data_ptr()))
            stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
            library.n2m_probe_lookups_cuda(ctypes.byref(self.grid), ctypes.c_int64(self.n), *arrays, write, stream)
        return len(self.outs)

    def compare(self, old: ctypes.CDLL, new: ctypes.CDLL) -> dict[str, float]:
        """Distance of the new library from the old one, and of the old one from the twin in float64."""
        found = {}
        for name, launch in builds(old, new, self.forward).items():
            self.outs[0].fill_(torch.nan)
            launch()
            if name == "old":
                wanted = self.outs[0].clone()
            found[f"forward {name}"] = far(self.outs[0], wanted)
        some = slice(0, 4096)
        twin = reference.hash_grid_encode(self.points[0][some].double(), self.params.double(), self.layout)
        found["forward old and twin"] = far(wanted[some], twin)
        for name, launch in builds(old, new, self.backward).items():
            self.total.zero_()
            launch()
            if name == "old":
                wanted = self.total.clone()
            found[f"backward {name}"] = far(self.total, wanted)
        return found

    def times(self, old: ctypes.CDLL, new: ctypes.CDLL) -> dict[str, float]:
        forward, backward = builds(old, new, self.forward), builds(old, new, self.backward)
        work = {f"forward {k}": v for k, v in forward.items()} | {f"backward {k}": v for k, v in backward.items()}
        work["forward floor scattered"] = partial(self.floor, old, 0)
        work["forward floor coalesced"] = partial(self.floor, new, 0)
        return device_ms(work | {"backward floor": partial(self.floor, new, 1)})


def random_points(log2_n: int) -> list[Tensor]:
    return [torch.rand(1 << log2_n, 3, device="cuda") for _ in range(SETS)]


def ray_points() -> list[Tensor]:
    """Samples of 4,096 rays in the order of the rays, as in training; sets of one length."""
    found = []
    for _ in range(SETS):
        origins, directions = cases.camera_rays(4096, "cuda")
        bits = cases.sphere_bits(64, "cuda")
        s = kernels.march_rays(origins, directions, bits, 64, step_size=2 * 3**0.5 / 1024)
        index = s.ray_index.long()
        found.append(0.5 + 0.5 * (origins[index] + s.t[:, None] * directions[index]))
    n = min(len(x) for x in found)
    return [x[:n].contiguous() for x in found]


class MarchCase:
    """Rays into a shell of occupied cells; `steps` lattice points along the box's diagonal."""

    def __init__(self, n_rays: int, steps: int) -> None:
        self.n, step = n_rays, 2 * 3**0.5 / steps
        self.origins, self.directions = cases.camera_rays(n_rays, "cuda")
        self.bits, self.jitter = cases.sphere_bits(64, "cuda"), torch.rand(n_rays, device="cuda")
        self.words = int(2 * 3**0.5 / step + 2) // 64 + 1
        self.masks = torch.full((n_rays, self.words), -1, dtype=torch.int64, device="cuda")
        self.info = torch.zeros(n_rays, 2, dtype=torch.int32, device="cuda")
        self.total = torch.zeros((), dtype=torch.int64, device="cuda")
        lattice = _lib.March(64, 1, 0.0, 1e10, step)
        self.given = (lattice, n_rays, self.origins, self.directions, self.bits, self.jitter, self.masks, self.words)
        self.flat = [torch.zeros(n_rays * steps // 4, device="cuda") for _ in range(2)]
        self.index = torch.zeros(n_rays * steps // 4, dtype=torch.int32, device="cuda")

    def count(self, library: ctypes.CDLL) -> int:
        for _ in range(8):
            call(library, "march_count", *self.given, self.info, self.total)
        return 8

    def fill(self, library: ctypes.CDLL) -> int:
        for _ in range(8):
            call(library, "march_fill", *self.given, self.info, *self.flat, self.index)
        return 8

    def result(self, launch: Callable[[], int], fill: Callable[[], int]) -> list[Tensor]:
        for buffer in (*self.flat, self.index, self.info, self.total):
            buffer.fill_(-1)
        launch(), fill()
        return [x.clone() for x in (*self.flat, self.index, self.info, self.total, self.masks)]

    def compare(self, old: ctypes.CDLL, new: ctypes.CDLL) -> dict[str, float]:
        """Share of entries that differ: the same samples, to the bit."""
        runs = zip(builds(old, new, self.count).items(), builds(old, new, self.fill).values())
        results = {name: self.result(count, fill) for (name, count), fill in runs}
        assert int(results["old"][4]) <= len(self.index), "the buffers of this case are too short"
        same = lambda a, b: max(float((x != y).double().mean()) for x, y in zip(a, b))  # noqa: E731
        return {f"march {name}": same(result, results["old"]) for name, result in results.items()}

    def times(self, old: ctypes.CDLL, new: ctypes.CDLL) -> dict[str, float]:
        work = {f"count {k}": v for k, v in builds(old, new, self.count).items()}
        work |= {f"fill {k}": v for k, v in builds(old, new, self.fill).items()}
        return device_ms(work) | {"samples": int(self.total)}


class AdamCase:
    """The tensors of a field with the default grid: one table and the networks' layers."""

    def __init__(self) -> None:
        sizes = [GridLayout(log2_table_size=17).n_params, 2048, 64, 4096, 64, 1024, 16, 192, 3]
        self.tensors = [[torch.rand(n, device="cuda") for _ in range(4)] for n in sizes]
        self.rates = (1e-2, 0.9, 0.99, 1e-15, 0.0, 0.1, 0.01, 1.0)

    def one_by_one(self, library: ctypes.CDLL) -> int:
        for together in self.tensors:
            call(library, "adam", together[0].numel(), *together, *self.rates, 1, 0, 0)
        return 1

    def at_once(self, library: ctypes.CDLL) -> int:
        pointers = [t.data_ptr() for together in self.tensors for t in together]
        count = len(self.tensors)
        arrays = (
            (ctypes.c_void_p * len(pointers))(*pointers),
            (ctypes.c_int64 * count)(*(t[0].numel() for t in self.tensors)),
        )
        options = (
            (ctypes.c_float * (8 * count))(*self.rates * count),
            (ctypes.c_int32 * (3 * count))(*(1, 0, 0) * count),
        )
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        assert library.n2m_adam_many_cuda(count, *arrays, *options, stream) == 0
        return 1

    def compare(self, old: ctypes.CDLL, new: ctypes.CDLL) -> dict[str, float]:
        before = [[t.clone() for t in together] for together in self.tensors]
        results = {}
        for name, launch in (("old", partial(self.one_by_one, old)), ("at once", partial(self.at_once, new))):
            self.tensors = [[t.clone() for t in together] for together in before]
            launch()
            results[name] = torch.cat([t for together in self.tensors for t in together])
        return {"adam at once": far(results["at once"], results["old"])}

    def times(self, old: ctypes.CDLL, new: ctypes.CDLL) -> dict[str, float]:
        work = {"old one by one": partial(self.one_by_one, old), "new at once": partial(self.at_once, new)}
        return device_ms({name: self.ten(launch) for name, launch in work.items()}) | self.host_us()

    def ten(self, launch: Callable[[], int]) -> Callable[[], int]:
        return lambda: sum(launch() for _ in range(10))

    def each_by_the_operator(self) -> None:
        for together in self.tensors:
            torch.ops.n2m.adam.default(*together, 1e-2, 0.9, 0.99, 1e-15, 0.0, 3, 1.0, 1, False, False)

    def host_us(self) -> dict[str, float]:
        """Microseconds of Python for a step of the library that Python itself has loaded."""
        params = [torch.nn.Parameter(together[0]) for together in self.tensors]
        for param, together in zip(params, self.tensors):
            param.grad = together[1]
        found = {}
        rivals = {"FusedAdam": kernels.FusedAdam(params).step, "one call each": self.each_by_the_operator}
        for name, step in {**rivals, "torch fused": torch.optim.AdamW(params, fused=True).step}.items():
            for _ in range(5):
                step()
            torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(100):
                step()
            found[f"host of {name} [us]"] = 1e4 * (time.perf_counter() - start)
            torch.cuda.synchronize()
        return found


def all_cases(quick: bool) -> dict[str, Callable[[], GridCase | MarchCase | AdamCase]]:
    """Made one at a time: each holds up to a gigabyte."""
    ngp = lambda table: GridLayout(log2_table_size=table, **cases.INSTANT_NGP)  # noqa: E731
    found: dict[str, Callable] = {"8x4 T=2^17 rays": lambda: GridCase(GridLayout(log2_table_size=17), ray_points())}
    for size in (18,) if quick else (16, 18, 20):
        found[f"8x4 T=2^17 n=2^{size}"] = lambda size=size: GridCase(
            GridLayout(log2_table_size=17), random_points(size)
        )
        found[f"16x2 T=2^19 n=2^{size}"] = lambda size=size: GridCase(ngp(19), random_points(size))
    if not quick:
        found["16x2 T=2^19 rays"] = lambda: GridCase(ngp(19), ray_points())
        found["16x2 T=2^15 n=2^20"] = lambda: GridCase(ngp(15), random_points(20))
    for n_rays, steps in ((4096, 1024), (65536, 1024), (262144, 1024), (4096, 2048)):
        found[f"march {n_rays} rays, {steps} steps"] = partial(MarchCase, n_rays, steps)
    return found | {"adam, 9 tensors": AdamCase}


def copy_rate() -> float:
    """GB/s of a large copy, read and written."""
    source = torch.rand(1 << 28, device="cuda")
    target = torch.empty_like(source)
    return 8e-6 * source.numel() / device_ms({"copy": lambda: len([target.copy_(source)])})["copy"]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", type=Path, required=True)
    parser.add_argument("--new", type=Path, required=True)
    parser.add_argument("--output", type=Path, help="JSON")
    parser.add_argument("--quick", action="store_true", help="fewer sizes")
    arguments = parser.parse_args(argv)
    old, new = load(arguments.old), load(arguments.new)
    report: dict[str, object] = {"device": torch.cuda.get_device_name(), "copy [GB/s]": copy_rate()}
    print(report, flush=True)
    wrong = []
    for name, make in all_cases(arguments.quick).items():
        case = make()
        with torch.no_grad():
            errors = case.compare(old, new)
            wrong += [f"{name}: {what} {error:.2g}" for what, error in errors.items() if not error <= bound(what)]
            times = case.times(old, new)
        report[name] = {"errors": errors, "ms": times}
        print(name, *(f"  {what:44s} {value:10.4f}" for what, value in times.items()), sep="\n", flush=True)
        if arguments.output:
            arguments.output.write_text(json.dumps({**report, "wrong": wrong}, indent=1))
        del case
        torch.cuda.empty_cache()
    print(*(wrong or ["both compute the same"]), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
