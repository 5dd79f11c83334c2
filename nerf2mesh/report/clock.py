"""Wall time and peak memory of a run, split by stage.

Stages (`prior`, `adapt`, `optimize`, `extract` ...) follow one another and have a time and a peak memory. Parts
(`render`, `predict`, `step` ...) repeat inside a stage and have only a time; on a GPU it is the time to launch the work
unless `synchronize` is set.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nerf2mesh.report.energy import EnergyMeter, Ledger


@dataclass
class Stage:
    """seconds, and the peaks in bytes that were reached while the stage ran."""

    name: str
    seconds: float = 0.0
    peak_bytes: int = 0
    peak_gpu_bytes: int = 0
    parts: dict[str, float] = field(default_factory=dict)


class StageClock:
    """Collects stages; entering a name again adds to it."""

    def __init__(self, *, synchronize: bool = False, meter: EnergyMeter | None = None) -> None:
        self.stages: dict[str, Stage] = {}
        self.ledger = Ledger.of(meter) if meter else None
        """Energy by outermost stage."""
        self._synchronize = synchronize
        self._current: Stage | None = None

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Inside, time counts for stage `name`, and for the outer stage too where stages are nested.

        The peak memory is measured anew from here, so that an outer stage's peak leaves out what came before.
        """
        stage = self.stages.setdefault(name, Stage(name))
        outer, self._current = self._current, stage
        books = self.ledger if outer is None else None
        before = books.meter.read() if books else None
        reset_peak_memory()
        start = time.perf_counter()
        try:
            yield stage
        finally:
            stage.seconds += time.perf_counter() - start
            cpu, gpu = peak_memory_bytes()
            stage.peak_bytes, stage.peak_gpu_bytes = max(stage.peak_bytes, cpu), max(stage.peak_gpu_bytes, gpu)
            self._current = outer
            if books is not None and before is not None:
                books.add(name, before, books.meter.read())

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Inside, time counts for part `name` of the current stage; outside any stage it is not kept."""
        start = time.perf_counter()
        try:
            yield
        finally:
            if self._synchronize:
                _cuda_call("synchronize")
            if self._current is not None:
                seconds = time.perf_counter() - start
                self._current.parts[name] = self._current.parts.get(name, 0.0) + seconds

    def to_dict(self) -> dict[str, dict[str, object]]:
        """For timings.json: name -> {seconds, peak_bytes, peak_gpu_bytes, parts}."""
        return {
            name: {
                "seconds": round(stage.seconds, 3),
                "peak_bytes": stage.peak_bytes,
                "peak_gpu_bytes": stage.peak_gpu_bytes,
                "parts": {part: round(seconds, 3) for part, seconds in stage.parts.items()},
            }
            for name, stage in self.stages.items()
        }


def reset_peak_memory() -> None:
    """Start a new peak; on Linux by the kernel's reset of VmHWM, elsewhere the peak stays that of the whole process."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    _cuda_call("reset_peak_memory_stats")


def peak_memory_bytes() -> tuple[int, int]:
    """(resident memory of this process, memory allocated on the GPU), the peaks since the last reset."""
    gpu = int(_cuda_call("max_memory_allocated") or 0)
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.split("VmHWM:")[1].split()[0]) * 1024, gpu
    except (OSError, IndexError, ValueError):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, gpu


def _cuda_call(name: str) -> Any:
    """A torch.cuda function's value, or None where torch or its CUDA context is not in use."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return None
    return getattr(torch.cuda, name)()
