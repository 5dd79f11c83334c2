"""Records of scored results, and the JSON file that holds them: one record per method, object and seed.

A method that raises, or returns no surface, leaves a record too: `failed` says why, and its scores are those of the
bare background. Failures are counted and never dropped, so no mean improves by leaving out what went wrong.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
import traceback
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from nerf2mesh.evaluate.metrics.perceptual import Judges
from nerf2mesh.evaluate.metrics.text_metrics import TextCase, score_words
from nerf2mesh.evaluate.protocols.baselines import BLIND, ORACLES, background
from nerf2mesh.evaluate.protocols.names import split_yaw
from nerf2mesh.evaluate.protocols.scoring import Case, Method, Prediction, score
from nerf2mesh.report.clock import peak_memory_bytes, reset_peak_memory
from nerf2mesh.report.energy import EnergyMeter
from nerf2mesh.utils.atomic_write import atomic_write_text
from nerf2mesh.utils.without_paths import without_paths

FORMAT = 1


@dataclass(frozen=True)
class Record:
    """What one method made of one object with one seed; metric keys as in `columns.METRICS`."""

    method: str
    object: str
    seed: int
    metrics: dict[str, float]
    failed: str = ""
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    energy_j: float = 0.0
    """By the machine's counters; 0 where none covers the processor (`report.energy`)."""

    @property
    def thing(self) -> str:
        """The object without the side that it is given from: spot of spot@045. The unit of evidence."""
        return split_yaw(self.object)[0]


@dataclass(frozen=True)
class Results:
    """The records of one benchmark run and what is needed to judge them."""

    protocol: str
    records: tuple[Record, ...]
    machine: dict[str, object] = field(default_factory=dict)
    created: str = ""
    notes: str = ""
    format: int = FORMAT
    about: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What is known of objects, by their name; see `Case.about`."""

    def merged(self, other: Results) -> Results:
        """These records with those of `other` added; of the same method, object and seed the other's wins."""
        records = {(r.method, r.object, r.seed): r for r in (*self.records, *other.records)}
        notes, about = other.notes or self.notes, self.about | other.about
        return Results(self.protocol, tuple(records.values()), other.machine, other.created, notes, about=about)

    def methods(self) -> list[str]:
        """The names of the methods that are no trivial baselines, in the order of the records."""
        return [m for m in dict.fromkeys(r.method for r in self.records) if m not in (*BLIND, *ORACLES)]

    def blind_baselines(self) -> list[str]:
        """The names of the baselines that see only what a method sees, as far as there are records of them."""
        found = {r.method for r in self.records}
        return [name for name in BLIND if name in found]

    def save(self, path: Path | str) -> None:
        """Writes the JSON file whole or not at all."""
        atomic_write_text(path, json.dumps(asdict(self), indent=1) + "\n")

    @staticmethod
    def load(path: Path | str) -> Results:
        """The results of a JSON file. ValueError where it is not one, or of another format."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
            records = tuple(Record(**record) for record in data.pop("records"))
            results = Results(records=records, **data)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"results: expected a file written by the benchmark, got {path}: {error}; name another file"
            ) from error
        if results.format != FORMAT:
            raise ValueError(
                f"results: expected format {FORMAT}, got {results.format} in {path}; run the benchmark again"
            )
        return results


def score_case(case: Case | TextCase, prediction: Any, judge: Judges | None = None) -> dict[str, float]:
    """All metrics that apply, against the truth or against the prompt."""
    if isinstance(case, TextCase):
        return score_words(case, prediction, judge.clip if judge is not None else None)
    return score(case, prediction, judge)


def run_case(
    name: str,
    method: Method,
    case: Case | TextCase,
    *,
    seed: int = 0,
    is_baseline: bool = False,
    judge: Judges | None = None,
) -> Record:
    """Run and score one method on one case. A baseline is called with the case, a method with what `case.given` is."""
    reset_peak_memory()
    meter = EnergyMeter(0.0)
    before, start, failed, prediction = meter.read(), time.perf_counter(), "", None
    try:
        prediction = method(*((case,) if is_baseline else case.given))
    except Exception as error:  # whatever a method raises is a result
        failed = without_paths(f"{type(error).__name__}: {error}")
        traceback.print_exc(file=sys.stderr)
    seconds, memory = time.perf_counter() - start, peak_memory_bytes()[0]
    joules = meter.joules(before, meter.read()) if meter.is_whole else 0.0
    if not failed:
        failed = _what_is_missing(prediction, is_baseline)
    metrics = score_case(case, background(case) if failed else prediction, judge)
    return Record(name, case.name, seed, metrics, failed, seconds, memory, joules)


def machine_kind() -> dict[str, object]:
    """What the figures were taken on; no host name, no user, no path."""
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "gpu": gpu,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def today() -> str:
    """The date in UTC as YYYY-MM-DD."""
    return datetime.now(timezone.utc).date().isoformat()


def _what_is_missing(prediction: Any, is_baseline: bool) -> str:
    if prediction is None:
        return "no result"
    mesh = prediction.mesh if isinstance(prediction, Prediction) else prediction
    if is_baseline or mesh is None:
        return ""
    if len(mesh.faces) == 0:
        return "empty mesh"
    return "" if torch.isfinite(torch.tensor(mesh.vertices)).all() else "vertices that are not finite"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
