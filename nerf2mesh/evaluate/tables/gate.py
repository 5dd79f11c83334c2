"""The gate: new results against committed ones, each metric in its direction and within its tolerance; and the bars.

The gate keeps what was reached; a protocol's bars say what a result is good for at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nerf2mesh.evaluate.protocols.baselines import BLIND
from nerf2mesh.evaluate.protocols.columns import METRIC_BY_KEY
from nerf2mesh.evaluate.protocols.names import REAL_OBJECTS
from nerf2mesh.evaluate.tables.margin_bars import margin_bars
from nerf2mesh.evaluate.tables.results import Results
from nerf2mesh.evaluate.tables.statistics import compare, per_object

EXACT_SHARE = 0.1
"""Baselines are deterministic: their tolerance is this share of a trained method's, for rounding and sampling."""


@dataclass(frozen=True)
class Verdict:
    """One metric of one method on one object, averaged over seeds, against the committed figure."""

    method: str
    object: str
    metric: str
    committed: float
    found: float
    tolerance: float

    @property
    def change(self) -> float:
        """Positive: better than committed."""
        return METRIC_BY_KEY[self.metric].margin(self.found, self.committed)

    @property
    def passed(self) -> bool:
        """Whether the figure got worse by no more than the tolerance; False where it is missing (nan)."""
        return self.change >= -self.tolerance

    def __str__(self) -> str:
        direction = "at least" if METRIC_BY_KEY[self.metric].higher_is_better else "at most"
        state = "ok  " if self.passed else "FAIL"
        return (
            f"{state} {self.method}, {self.object}, {self.metric}: {direction} {self.committed:.4f}"
            f" within {self.tolerance:g}, found {self.found:.4f}"
        )


@dataclass(frozen=True)
class Bar:
    """What a method must reach to be worth showing: beat a baseline in a metric, on at least so many of GATED."""

    metric: str
    baseline: str
    objects: int


GATED = REAL_OBJECTS
"""The bars are of the objects that nobody made for this library."""
BARS = {
    "core": (
        Bar("psnr", "background", 3),
        Bar("psnr", "copied input", 3),
        Bar("volume_iou", "extruded silhouette", 2),
    )
}


def check_bars(results: Results, method: str) -> list[tuple[bool, str]]:
    """Whether each bar of the protocol is met, and a line that says so. Empty where the protocol has none."""
    lines, records = [], [r for r in results.records if r.thing in GATED]
    for bar in BARS.get(results.protocol, ()):
        found = compare(records, method, bar.baseline, bar.metric)
        met = found.n_won >= min(bar.objects, found.n_objects) and found.n_objects > 0
        title = METRIC_BY_KEY[bar.metric].title
        line = f"{title} above {bar.baseline} on {bar.objects} real objects: {found.n_won} of {found.n_objects}"
        lines.append((met, f"{'met   ' if met else 'MISSED'} {line}"))
    return lines


def bar_lines(results: Results) -> list[str]:
    """What every fitted method of the results reaches of its protocol's bars, one line for each bar."""
    lines = []
    for method in results.methods():
        lines += [f"{method}: {line}" for _, line in check_bars(results, method)]
        if results.protocol.startswith("procedural-heldout"):
            lines += [f"{method}: {found}" for found in margin_bars(results.records, method, BLIND)]
    return lines


def check(results: Results, committed: Results, *, baselines: Sequence[str]) -> list[Verdict]:
    """A verdict for every figure that both hold. A metric that has gone missing counts as not passed (nan)."""
    if results.protocol != committed.protocol:
        raise ValueError(
            f"gate: expected results of {committed.protocol!r}, got {results.protocol!r}; choose that protocol"
        )
    verdicts = []
    for method in dict.fromkeys(r.method for r in results.records):
        objects = {r.thing for r in results.records if r.method == method}
        for metric, described in METRIC_BY_KEY.items():
            old, new = (per_object(r.records, method, metric) for r in (committed, results))
            tolerance = described.tolerance * (EXACT_SHARE if method in baselines else 1.0)
            for name in (n for n in old if n in objects):
                found = new.get(name, float("nan"))
                verdicts.append(Verdict(method, name, metric, old[name], found, tolerance))
    if not verdicts:
        raise ValueError(
            "gate: expected figures of the same methods and objects in the committed file, got none; name another file"
        )
    return verdicts
