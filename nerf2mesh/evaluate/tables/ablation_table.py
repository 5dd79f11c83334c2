"""The report of protocol `ablation`: every variant paired with the base, by part of the method, and one figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from nerf2mesh.evaluate.protocols.columns import METRIC_BY_KEY
from nerf2mesh.evaluate.tables.formats import interval, markdown, number, signed
from nerf2mesh.evaluate.tables.results import Record, Results
from nerf2mesh.evaluate.tables.split_tables import shared_cases
from nerf2mesh.evaluate.tables.statistics import Comparison, compare, estimate
from nerf2mesh.evaluate.tables.tables import INTERVALS, LEGEND, failures

SHOWN = ("volume_iou", "chamfer", "psnr")
"""Means and differences of the table; the figure shows the first and the last."""
DRAWN = ("volume_iou", "psnr")
_ROW_PX, _PLOT_PX, _NAME_PX = 22, 260, 330
Rows = tuple[list[str], list[list[str]]]


def ablation_report(
    results: Results, base: str, variants: Sequence[str], blind: Sequence[str], *, n_wanted: int
) -> str:
    """Markdown: baselines and base, then every variant against the base. A figure counts where all have it."""
    machine = ", ".join(f"{k} {v}" for k, v in results.machine.items() if v is not None)
    records = shared_cases(results.records, [base, *variants], blind)
    done = len({r.object for r in records})
    stand = f"{done} of {n_wanted} objects are done by every variant."
    head = f"{results.created}; {machine}. {LEGEND} {INTERVALS} {stand} Differences above zero are gains over {base}."
    parts = [f"# {results.protocol}", head]
    if done:
        parts += ["## Variants", markdown(*ablation_rows(records, base, variants, blind))]
    return "\n\n".join([*parts, failures(results.records)]) + "\n"


def ablation_rows(records: Sequence[Record], base: str, variants: Sequence[str], blind: Sequence[str]) -> Rows:
    """One row a method: means with intervals, paired differences from the base with theirs, p of the first, time."""
    heading = ["part", "variant"]
    heading += [_title(key) for key in SHOWN]
    heading += [f"difference, {METRIC_BY_KEY[key].title}" for key in SHOWN]
    heading += [f"p, {METRIC_BY_KEY[SHOWN[0]].title}", "time (s)"]
    rows = []
    for method in (*blind, base, *variants):
        part, _, name = method.partition(": ") if method in variants else ("", "", method)
        found = [estimate(records, method, key) for key in SHOWN]
        means = [number(e.mean, key) + interval(e.low, e.high, key) for e, key in zip(found, SHOWN)]
        pairs = [compare(records, method, base, key) for key in SHOWN]
        apart = ["-"] * len(SHOWN) if method == base else [_difference(pair) for pair in pairs]
        p = f"{pairs[0].p:.3g}" if method != base and pairs[0].n_objects >= 6 else "-"
        rows.append([part, name, *means, *apart, p, f"{_seconds(records, method):.1f}"])
    return heading, rows


def figure(records: Sequence[Record], base: str, variants: Sequence[str]) -> str:
    """An SVG: of every variant the paired difference from the base with its 95 % interval, for DRAWN.

    Gains lie to the right of the line at zero. Objects count that all variants have.
    """
    records = shared_cases(records, [base, *variants], [])
    height = _ROW_PX * (len(variants) + 2)
    width = _NAME_PX + (_PLOT_PX + 30) * len(DRAWN)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="white"/>'
    ]
    for k, method in enumerate(variants):
        parts.append(f'<text x="6" y="{_ROW_PX * (k + 2) - 6}">{escape(method)}</text>')
    for column, key in enumerate(DRAWN):
        left = _NAME_PX + column * (_PLOT_PX + 30)
        parts += _column(left, key, [compare(records, method, base, key) for method in variants])
    return "\n".join([*parts, "</svg>"]) + "\n"


def _column(left: int, key: str, pairs: Sequence[Comparison]) -> list[str]:
    """A metric's axis, its title, and a mark with its interval for each comparison."""
    far = [abs(v) for pair in pairs for v in (pair.margin, pair.low, pair.high) if not math.isnan(v)]
    reach = max(far, default=0.0) * 1.05 or 1.0

    def x(value: float) -> float:
        return left + _PLOT_PX / 2 * (1 + value / reach)

    bottom = _ROW_PX * (len(pairs) + 1)
    title = f"{METRIC_BY_KEY[key].title}, gain over the base (axis \u00b1{reach:.{METRIC_BY_KEY[key].digits}f})"
    found = [f'<text x="{left}" y="14">{escape(title)}</text>']
    found.append(f'<line x1="{x(0):.1f}" x2="{x(0):.1f}" y1="{_ROW_PX}" y2="{bottom}" stroke="#888"/>')
    for k, pair in enumerate(pairs):
        y = _ROW_PX * (k + 2) - 10
        if not pair.n_objects:
            continue
        if not math.isnan(pair.low):
            ends = f'x1="{x(pair.low):.1f}" x2="{x(pair.high):.1f}" y1="{y}" y2="{y}"'
            found.append(f'<line {ends} stroke="#36c" stroke-width="2"/>')
        found.append(f'<circle cx="{x(pair.margin):.1f}" cy="{y}" r="4" fill="#36c"/>')
    return found


def _difference(pair: Comparison) -> str:
    if not pair.n_objects:
        return "-"
    return signed(pair.margin, pair.metric) + interval(pair.low, pair.high, pair.metric)


def _seconds(records: Sequence[Record], method: str) -> float:
    times = [r.seconds for r in records if r.method == method]
    return sum(times) / len(times) if times else math.nan


def _title(key: str) -> str:
    return f"{METRIC_BY_KEY[key].title} {'[+]' if METRIC_BY_KEY[key].higher_is_better else '[-]'}"
