"""The report of protocol `objects`: splits, margins, kinds of objects, and settings against each other.

All figures of one table are over the same cases: those that every method and baseline in it has done, so that a sweep
that is stopped half-way compares like with like, and says over how many.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nerf2mesh.evaluate.protocols.columns import METRIC_BY_KEY
from nerf2mesh.evaluate.tables.formats import interval, markdown, number, signed
from nerf2mesh.evaluate.tables.results import Record, Results
from nerf2mesh.evaluate.tables.statistics import compare, estimate
from nerf2mesh.evaluate.tables.tables import INTERVALS, LEGEND, PERCEPTUAL, REGIONS, cost_rows, failures, mean_rows

SHAPE_AND_PICTURE = ("volume_iou", "chamfer", "f_score_0.05", "psnr", "ssim", "mask_iou", "color_error")
GROUPED = ("volume_iou", "psnr")
UNSEEN_BINS, SOLIDITY_BINS = (0.6, 0.75), (0.35, 0.6)
"""Where the objects are divided by the share of their surface that is not shown, and by volume over hull volume."""
SIGNS = "Margins and differences above zero are gains."
Rows = tuple[list[str], list[list[str]]]


def split_report(
    results: Results, methods: Sequence[str], baselines: Sequence[str], *, n_wanted: int, notes: Sequence[str] = ()
) -> str:
    """The whole Markdown report; `n_wanted`: cases that the sweep asks for. `notes` stand in its head."""
    machine = ", ".join(f"{k} {v}" for k, v in results.machine.items() if v is not None)
    records = shared_cases(results.records, methods, baselines)
    done = len({r.object for r in records})
    stand = f"{done} of {n_wanted} cases are done by every method." + ("" if done else " No table yet.")
    parts = [f"# {results.protocol}", f"{results.created}; {machine}. {LEGEND} {SIGNS} {INTERVALS} {stand}", *notes]
    parts += head(results, records) if done else []
    for title, some in splits(results, records) if done else ():
        parts += [f"## {title}", markdown(*mean_rows(some, _shown(some))), "Surface seen and unseen:"]
        parts.append(markdown(*mean_rows(some, REGIONS)))
        for method in methods if baselines else ():
            parts += [f"{method} against the best baseline:", markdown(*best_margins(some, method, baselines))]
        for other in methods[1:]:
            parts += [f"{other} against {methods[0]}:", markdown(*paired_rows(some, methods[0], other))]
    for title, key in aspects() if done and methods and baselines else ():
        parts += [f"## By {title}", markdown(*group_rows(results, records, methods, baselines, key))]
    for method in methods if done else ():
        parts += [f"## Cost of one asset, {method}", markdown(*cost_rows(records, method))]
    return "\n\n".join([*parts, failures(results.records)]) + "\n"


def shared_cases(records: Sequence[Record], methods: Sequence[str], baselines: Sequence[str]) -> list[Record]:
    """Records of the cases that all of them have done, and of these the seeds that all methods have done."""
    seeds: dict[tuple[str, str], set[int]] = {}
    for r in records:
        seeds.setdefault((r.object, r.method), set()).add(r.seed)
    kept = []
    for name in dict.fromkeys(r.object for r in records):
        if not all((name, baseline) in seeds for baseline in baselines):
            continue
        common = [seeds.get((name, method), set()) for method in methods]
        both = set.intersection(*common) if common else set()
        if both or not methods:
            kept += [r for r in records if r.object == name and (r.method not in methods or r.seed in both)]
    return kept


def splits(results: Results, records: Sequence[Record]) -> list[tuple[str, list[Record]]]:
    """A title and the records of each split, then of all of them."""
    titles = {"heldout": "Held out, of the sources trained on", "outside": "Outside, of other sources"}
    found = []
    for split, title in titles.items():
        some = [r for r in records if results.about.get(r.object, {}).get("split") == split]
        found += [(title, some)] if some else []
    found += [("Both splits", list(records))] if len(found) > 1 else []
    return [(f"{title}: {_count(some)}", some) for title, some in found]


def head(results: Results, records: Sequence[Record]) -> list[str]:
    """What the objects are: kinds, licences and sources, kin of test objects, paint, closed meshes."""
    about = {r.thing: results.about.get(r.object, {}) for r in records}
    said: Sequence[Mapping[str, Any]] = list(about.values())
    kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(a.get("kind", "") for a in said).most_common())
    sources = Counter((a.get("licence", ""), a.get("source", "")) for a in said).most_common()
    rows = [[licence, source, str(n)] for (licence, source), n in sources]
    kin = [name for name, a in about.items() if a.get("near_test")]
    counts = {key: sum(bool(a.get(key)) for a in said) for key in ("uncolored", "closed")}
    return [
        f"Kinds: {kinds}. Painted for lack of colors: {counts['uncolored']}. Marked as near kin of well-known test "
        f"objects (near_test): {len(kin)}{' (' + ', '.join(kin) + ')' if kin else ''}.",
        f"Closed meshes: {counts['closed']} of {len(said)}; the inside of the others is where the mean signed crossing "
        "count of six directions is beyond one half.",
        markdown(["licence", "source", "objects"], rows),
    ]


def best_margins(records: Sequence[Record], method: str, baselines: Sequence[str]) -> Rows:
    """Per metric the baseline of best mean, and how far the method is ahead of it, paired over objects."""
    rows = []
    for key in (*_shown(records), *REGIONS):
        best = best_baseline(records, baselines, key)
        if best is not None:
            rows.append([_title(key), best, *_pair(records, method, best, key)])
    return ["metric", "best baseline", "its mean", "method", "margin", "p", "won"], rows


def paired_rows(records: Sequence[Record], first: str, other: str) -> Rows:
    """Per metric both means and how far `other` is ahead of `first`, paired over objects."""
    rows = [[_title(key), *_pair(records, other, first, key)] for key in (*_shown(records), *REGIONS)]
    return ["metric", "first", "other", "difference", "p", "won"], rows


def group_rows(
    results: Results,
    records: Sequence[Record],
    methods: Sequence[str],
    baselines: Sequence[str],
    key: Callable[[Mapping[str, Any]], str],
) -> Rows:
    """One row a group of objects and method: mean, and margin over the group's best baseline, of GROUPED metrics."""
    names = {r.object: key(results.about.get(r.object, {})) for r in records}
    heading = ["group", "objects", "method"]
    heading += [word for metric in GROUPED for word in (_title(metric), "best baseline", "margin")]
    rows = []
    for group in sorted(set(names.values())):
        some = [r for r in records if names[r.object] == group]
        for method in methods:
            cells = []
            for metric in GROUPED:
                best = best_baseline(some, baselines, metric)
                pair = _pair(some, method, best, metric) if best else ["-"] * 5
                mean = estimate(some, method, metric)
                cells += [pair[1] + interval(mean.low, mean.high, metric), f"{best} {pair[0]}", pair[2]]
            rows.append([group, str(len({r.thing for r in some})), method, *cells])
    return heading, rows


def aspects() -> list[tuple[str, Callable[[Mapping[str, Any]], str]]]:
    """What objects are grouped by: a title, and the group of an object from what is known of it."""
    return [
        ("kind", lambda about: str(about.get("kind") or "not stated")),
        ("share of the surface that the given view does not show", lambda a: _bin(a.get("unseen"), UNSEEN_BINS)),
        ("solidity (volume over that of the convex hull)", lambda a: _bin(a.get("solidity"), SOLIDITY_BINS)),
    ]


def best_baseline(records: Sequence[Record], baselines: Sequence[str], metric: str) -> str | None:
    """The baseline of best mean; None where the metric applies to none."""
    means = {name: estimate(records, name, metric).mean for name in baselines}
    means = {name: value for name, value in means.items() if not math.isnan(value)}
    return max(means, key=lambda name: METRIC_BY_KEY[metric].margin(means[name], 0.0)) if means else None


def _pair(records: Sequence[Record], method: str, other: str, key: str) -> list[str]:
    """Cells: the other's mean, the method's, the margin with its interval, p, objects won."""
    found = compare(records, method, other, key)
    if not found.n_objects:
        return ["-"] * 5
    means = [number(estimate(records, name, key).mean, key) for name in (other, method)]
    p = f"{found.p:.3g}" if found.n_objects >= 6 else "-"
    margin = signed(found.margin, key) + interval(found.low, found.high, key)
    return [*means, margin, p, f"{found.n_won} of {found.n_objects}"]


def _shown(records: Sequence[Record]) -> list[str]:
    """SHAPE_AND_PICTURE, and what the user gave weights for."""
    found = {key for r in records for key in r.metrics}
    return [*SHAPE_AND_PICTURE, *(key for key in PERCEPTUAL if key in found)]


def _count(records: Sequence[Record]) -> str:
    things, cases = len({r.thing for r in records}), len({r.object for r in records})
    return f"{things} object{'s' if things > 1 else ''}" + (f", {cases} cases" if cases > things else "")


def _title(key: str) -> str:
    return f"{METRIC_BY_KEY[key].title} {'[+]' if METRIC_BY_KEY[key].higher_is_better else '[-]'}"


def _bin(value: float | None, limits: tuple[float, float]) -> str:
    """The names sort in the order of the values."""
    if value is None:
        return "not known"
    low, high = limits
    return f"0 to {low}" if value < low else f"{low} to {high}" if value < high else f"{high} to 1"
