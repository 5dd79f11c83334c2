"""Two result files side by side: each method of the new one against the method of the same name in the old one.

Paired over the objects that both have, seeds averaged first: mean margin (positive: the new one is better), its 95 %
interval, p, and wins.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from nerf2mesh.evaluate.protocols.columns import METRICS, Metric
from nerf2mesh.evaluate.tables.results import Record, Results
from nerf2mesh.evaluate.tables.statistics import Comparison, compare
from nerf2mesh.evaluate.tables.tables import LEGEND, markdown


def load_results(path: Path | str) -> Results:
    """A results.json, or the one in a folder."""
    path = Path(path)
    return Results.load(path / "results.json" if path.is_dir() else path)


def report(old: Results, new: Results, method: str | None = None, against: str | None = None) -> str:
    """A Markdown table per method that both hold."""
    if old.protocol != new.protocol:
        raise ValueError(
            f"results: expected one protocol, got {old.protocol!r} and {new.protocol!r}; choose two files of one"
        )
    parts = [f"# {new.protocol}: {old.created} and {new.created}", LEGEND]
    methods = [method] if method else list(dict.fromkeys(r.method for r in new.records))
    for name in methods:
        records, other = _joined(old, new, name, against or name)
        rows = [_row(metric, compare(records, name, other, metric.key)) for metric in METRICS]
        rows = [row for row in rows if row]
        if rows:
            heading = ["metric", "mean margin", "95 % interval", "p", "won"]
            parts += [f"## {name} against {against or name} of before", markdown(heading, rows)]
    if len(parts) == 2:
        raise ValueError(
            "results: expected methods and objects that both files hold, got none in common; choose other files"
        )
    return "\n\n".join(parts) + "\n"


def _joined(old: Results, new: Results, method: str, against: str) -> tuple[tuple[Record, ...], str]:
    """Both files' records together, the old method under a name of its own."""
    label = f"before: {against}"
    before = tuple(replace(r, method=label) for r in old.records if r.method == against)
    return (*before, *(r for r in new.records if r.method == method)), label


def _row(metric: Metric, found: Comparison) -> list[str]:
    if not found.n_objects:
        return []
    sign = "[+]" if metric.higher_is_better else "[-]"
    digits = metric.digits
    interval = "-" if math.isnan(found.low) else f"{found.low:+.{digits}f} to {found.high:+.{digits}f}"
    p = f"{found.p:.3g}"
    return [f"{metric.title} {sign}", f"{found.margin:+.{digits}f}", interval, p, f"{found.n_won} of {found.n_objects}"]
