"""Energy and price of a run, by stage: read from counters where the machine has some, else estimated and said so.

    RAPL   the processor packages' counters under /sys/class/powercap (microjoules, which wrap round): all programs of
           the machine, without memory, disks and power supply
    NVML   the counters of the GPUs that this process sees (millijoules), by the extra `energy`
    time   seconds x a stated power, for what has no counter

The method is part of every figure. The parts add up to the whole: what passes between the stages is a row of its own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
BETWEEN = "between the stages"
JOULES_PER_WH = 3600.0


@dataclass(frozen=True)
class Reading:
    """time_s on a monotonic clock, and the joules that the counters have seen since the meter was made."""

    time_s: float
    counted_j: float


class EnergyMeter:
    """Reads the counters that there are. power_w: of the machine, for what they do not cover."""

    def __init__(
        self, power_w: float, powercap: Path = POWERCAP, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.power_w, self._clock = power_w, clock
        opened = [Package.open(folder) for folder in sorted(powercap.glob("intel-rapl:*")) if _is_package(folder)]
        self._packages = [package for package in opened if package is not None]
        self._gpus = _gpu_counters()
        self._gpu_start = [read() for read in self._gpus]

    @property
    def is_whole(self) -> bool:
        """Whether the processor has a counter, so that no time is multiplied by a stated power."""
        return bool(self._packages)

    @property
    def method(self) -> str:
        """How the figures come about, for people."""
        assumed = f"time x {self.power_w:g} W (report.power_w, assumed)"
        gpu = "NVML counters of the GPU" if self._gpus else ""
        if self._packages:
            rapl = (
                "RAPL counters of the processor packages (all programs of the machine; no memory, disk, power supply)"
            )
            return f"measured: {' and '.join(part for part in (gpu, rapl) if part)}"
        if gpu:
            return f"measured: {gpu}; estimated for the rest: {assumed}"
        return f"estimated: {assumed}; this machine has no counter that can be read"

    def read(self) -> Reading:
        """The counters now."""
        packages = sum(package.joules() for package in self._packages)
        gpus = sum(read() - start for read, start in zip(self._gpus, self._gpu_start, strict=True))
        return Reading(self._clock(), packages + gpus)

    def joules(self, before: Reading, after: Reading) -> float:
        """Energy between two readings."""
        counted = after.counted_j - before.counted_j
        return counted if self.is_whole else counted + self.power_w * (after.time_s - before.time_s)


@dataclass
class Package:
    """One RAPL counter: microjoules that start again at 0 after `range_uj`; read it more often than it wraps."""

    path: Path
    range_uj: int
    last_uj: int
    total_uj: int = 0

    @staticmethod
    def open(folder: Path) -> Package | None:
        """None where this user may not read it (most systems let only root)."""
        try:
            most, now = (int((folder / name).read_text("ascii")) for name in ("max_energy_range_uj", "energy_uj"))
        except (OSError, ValueError):
            return None
        return Package(folder / "energy_uj", most, now)

    def joules(self) -> float:
        """Since it was opened."""
        try:
            now = int(self.path.read_text("ascii"))
        except (OSError, ValueError):
            return self.total_uj / 1e6
        self.total_uj += now - self.last_uj if now >= self.last_uj else now + self.range_uj - self.last_uj
        self.last_uj = now
        return self.total_uj / 1e6


@dataclass
class Ledger:
    """Seconds and joules by stage, in the order of first appearance; stages inside stages count for the outer one."""

    meter: EnergyMeter
    start: Reading
    rows: dict[str, tuple[float, float]] = field(default_factory=dict)

    @staticmethod
    def of(meter: EnergyMeter) -> Ledger:
        """A ledger that starts now."""
        return Ledger(meter, meter.read())

    def add(self, name: str, before: Reading, after: Reading) -> None:
        """Books what passed between two readings."""
        seconds, joules = self.rows.get(name, (0.0, 0.0))
        more = self.meter.joules(before, after)
        self.rows[name] = (seconds + after.time_s - before.time_s, joules + more)

    def to_dict(self, price_per_hour: float = 0.0, currency: str = "EUR") -> dict[str, Any]:
        """For cost.json: the method, each stage and the total, with seconds, energy_wh and, with a price, price."""
        now = self.meter.read()
        seconds, joules = now.time_s - self.start.time_s, self.meter.joules(self.start, now)
        rows = dict(self.rows)
        rows[BETWEEN] = (seconds - sum(s for s, _ in rows.values()), joules - sum(j for _, j in rows.values()))

        def row(seconds: float, joules: float) -> dict[str, float]:
            found = {"seconds": round(seconds, 6), "energy_wh": round(joules / JOULES_PER_WH, 9)}
            return found | ({"price": round(seconds / 3600.0 * price_per_hour, 9)} if price_per_hour else {})

        about: dict[str, Any] = {"method": self.meter.method}
        about |= {"price_per_hour": price_per_hour, "currency": currency} if price_per_hour else {}
        stages = {name: row(*value) for name, value in rows.items()}
        return about | {"stages": stages, "total": row(seconds, joules)}


def cost_metrics(cost: dict[str, Any]) -> dict[str, object]:
    """Energy and price for metrics.json; the method stands in the unit of an estimate."""
    kind = str(cost["method"]).partition(":")[0]
    total = cost["total"]
    found: dict[str, object] = {
        "energy": {"value": total["energy_wh"], "unit": f"Wh ({kind})", "method": cost["method"]},
    }
    if "price" in total:
        found["price"] = {"value": total["price"], "unit": cost["currency"], "per_hour": cost["price_per_hour"]}
    return found


def _is_package(folder: Path) -> bool:
    """Whether a counter is a package's own: its cores and graphics are counted in it."""
    return folder.name.count(":") == 1


def _gpu_counters() -> list[Callable[[], float]]:
    """A function that reads joules, for each GPU that torch uses in this process; none without the extra `energy`."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    try:
        import pynvml

        pynvml.nvmlInit()
        handles = [
            _handle(pynvml, str(torch.cuda.get_device_properties(i).uuid)) for i in range(torch.cuda.device_count())
        ]
        readers = [lambda h=h: pynvml.nvmlDeviceGetTotalEnergyConsumption(h) / 1000.0 for h in handles]
        for read in readers:
            read()
    except Exception:  # no package, no driver, a GPU without the counter: NVML has an error class for each
        return []
    return readers


def _handle(pynvml: Any, uuid: str) -> Any:
    return pynvml.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith("GPU-") else f"GPU-{uuid}")
