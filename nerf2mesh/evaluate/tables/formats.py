"""Numbers, rows and records as text: Markdown, LaTeX, CSV, JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence

from nerf2mesh.evaluate.protocols.columns import METRIC_BY_KEY, METRICS
from nerf2mesh.evaluate.tables.results import Record
from nerf2mesh.evaluate.tables.statistics import per_object


def markdown(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its columns padded to one width; each row has as many cells as `heading`."""
    widths = [max(len(row[i]) for row in [heading, *rows]) for i in range(len(heading))]
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths)) + " |" for row in [heading, *rows]]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]])


def latex(heading: Sequence[str], *sections: tuple[str, Sequence[Sequence[str]]]) -> str:
    """A booktabs tabular of sections, each a title ("" for none) and rows."""
    lines = [rf"\begin{{tabular}}{{l{'r' * (len(heading) - 1)}}}", r"\toprule", _latex_line(heading)]
    for title, rows in sections:
        lines.append(r"\midrule")
        lines += [rf"\multicolumn{{{len(heading)}}}{{l}}{{{_escaped(title)}}} \\"] if title else []
        lines += [_latex_line(row) for row in rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def csv_text(records: Sequence[Record]) -> str:
    """Every record with every metric, one line each; an empty cell where a metric does not apply."""
    keys = [m.key for m in METRICS if any(m.key in r.metrics for r in records)]
    rows: list[list[str | int]] = [["method", "object", "seed", *keys, "seconds", "peak_memory_bytes", "failed"]]
    for r in records:
        values = [repr(r.metrics[k]) if k in r.metrics else "" for k in keys]
        rows.append([r.method, r.object, r.seed, *values, f"{r.seconds:.3f}", r.peak_memory_bytes, r.failed])
    return _as_csv(rows)


def rows_csv(rows: Sequence[dict[str, object]]) -> str:
    """One line each of dictionaries with equal keys; an empty cell for None."""
    keys = list(rows[0]) if rows else []
    return _as_csv([keys, *(["" if row[key] is None else row[key] for key in keys] for row in rows)])


def margins_json(records: Sequence[Record], method: str, baselines: Sequence[str]) -> str:
    """The margins as data: object, metric, value, baseline, its value, margin, won."""
    rows = []
    for baseline in baselines:
        for key in (m.key for m in METRICS):
            mine, theirs = per_object(records, method, key), per_object(records, baseline, key)
            for name in (n for n in mine if n in theirs):
                margin = METRIC_BY_KEY[key].margin(mine[name], theirs[name])
                row = {"object": name, "metric": key, "value": mine[name], "baseline": baseline}
                rows.append({**row, "baseline_value": theirs[name], "margin": margin, "won": margin > 0})
    return json.dumps(rows, indent=1) + "\n"


def number(value: float, key: str) -> str:
    """A metric's value in its digits; a dash for nan."""
    return "-" if math.isnan(value) else f"{value:.{METRIC_BY_KEY[key].digits}f}"


def signed(value: float, key: str) -> str:
    """A margin, with its sign."""
    return f"{value:+.{METRIC_BY_KEY[key].digits}f}"


def interval(low: float, high: float, key: str) -> str:
    """ " (low to high)", or nothing where there is none."""
    return "" if math.isnan(low) else f" ({number(low, key)} to {number(high, key)})"


def _as_csv(rows: Sequence[Sequence[object]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def _latex_line(row: Sequence[str]) -> str:
    return " & ".join(map(_escaped, row)) + r" \\"


def _escaped(cell: str) -> str:
    return "".join("\\" + c if c in "&%$#_{}" else c for c in cell)
