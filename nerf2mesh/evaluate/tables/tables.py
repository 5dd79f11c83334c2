"""Tables of results: each figure beside the trivial baselines, won or lost. `formats` writes them.

In headings [+] means that higher is better and [-] that lower is. A dash: the metric does not apply (a copied picture
has no shape), or its weights were not given.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from nerf2mesh.evaluate.protocols.columns import METRIC_BY_KEY, METRICS, PUBLISHED_THRESHOLDS
from nerf2mesh.evaluate.protocols.names import groups
from nerf2mesh.evaluate.tables.formats import interval, latex, markdown, number, signed
from nerf2mesh.evaluate.tables.results import Record, Results
from nerf2mesh.evaluate.tables.statistics import compare, estimate, per_object

PICTURES = ("psnr", "foreground_psnr", "ssim", "mask_iou", "field_psnr")
KEY_METRICS = ("volume_iou", "chamfer", "f_score_0.05", *PICTURES)
"""The thresholds that are shown for the library's own arithmetic; the CSV has all."""
PUBLISHED = ("volume_iou", "chamfer", "chamfer_floor", *(f"f_score_{t:g}" for t in PUBLISHED_THRESHOLDS), *PICTURES)
"""Shown of a published convention: those that it has."""
PERCEPTUAL = ("lpips_alex", "lpips_vgg", "clip_similarity", "clip_t3bench")
"""Shown where the user gave weights."""
WORDS = ("clip_text", "r_precision", "color_agreement")
"""Of track text; a dash without CLIP's weights."""
SPLIT = ("psnr", "ssim", "color_error", "normal_error_deg", "depth_error")
REGIONS = (
    *(f"{metric}_{region}" for metric in SPLIT for region in ("seen", "unseen")),
    *("lightness_error_unseen", "chroma_error_unseen"),
)
"""Shown in a table of their own: over the surface that the given view shows, and over the rest."""
LEGEND = "[+] higher is better, [-] lower is better."
INTERVALS = (
    "Means are over objects, the seeds of one averaged first. In brackets the 95 % interval by a bootstrap over objects"
    " and over the seeds within each; none below five objects."
)
MANY = 12
"""With more objects than this each has one line; its baselines stay in the page and the CSV."""


def report(
    results: Results,
    method: str | None,
    baselines: Sequence[str],
    *,
    published: str = "",
    notes: Sequence[str] = (),
) -> str:
    """The whole Markdown report: means of all and of each kind, margins over baselines, objects, cost, failures."""
    records = results.records
    machine = ", ".join(f"{k} {v}" for k, v in results.machine.items() if v is not None)
    parts = [f"# {results.protocol}", f"{results.created}; {machine}. {LEGEND} {INTERVALS}", *notes]
    for title, some in parts_of(results):
        parts += [f"## {title}", markdown(*mean_rows(some))]
    if any(key in r.metrics for r in records for key in REGIONS):
        parts += ["## Surface that the given view shows, and the rest", markdown(*mean_rows(records, REGIONS))]
    seeds = seed_rows(records)
    title = "## What seeds move (standard deviation over the seeds of one object)"
    parts += [title, markdown(*seeds)] if seeds[1] else []
    few = len(_unique(r.thing for r in records)) <= MANY
    if method is not None:
        rows = markdown(*margin_rows(records, method, baselines)) if few else ""
        parts += [f"## Margins of {method}", *([rows] if few else []), verdict(records, method, baselines)]
    parts += ["## Objects", markdown(*line_rows(records, method))] if not few and method else []
    for name in _unique(r.thing for r in records) if few else ():
        parts += [f"## {name}", markdown(*object_rows(records, name))]
    parts += ["## Cost of one asset", markdown(*cost_rows(records, method))] if method else []
    parts += [published] if published else []
    return "\n\n".join([*parts, failures(records)]) + "\n"


def parts_of(results: Results) -> list[tuple[str, list[Record]]]:
    """A title and the records of all objects, then of each kind of objects that the protocol tells apart."""
    objects = _unique(r.object for r in results.records)
    kinds = {"objects": objects} | groups(results.protocol, objects, results.about)
    chosen = {kind: [r for r in results.records if r.object in names] for kind, names in kinds.items()}
    counts = {kind: len(_unique(r.thing for r in some)) for kind, some in chosen.items()}
    return [(f"Mean over {kind} ({counts[kind]})", some) for kind, some in chosen.items()]


def object_rows(records: Sequence[Record], name: str) -> tuple[list[str], list[list[str]]]:
    """One row per method: its metrics on one object, averaged over seeds."""
    metrics = _present(records)
    rows = []
    for method in _unique(r.method for r in records if r.thing == name):
        values = [per_object(records, method, key).get(name, math.nan) for key in metrics]
        mark = " (failed)" if any(r.failed for r in records if (r.method, r.thing) == (method, name)) else ""
        rows.append([method + mark, *(number(v, key) for v, key in zip(values, metrics))])
    return _heading("method", metrics), rows


def mean_rows(records: Sequence[Record], metrics: Sequence[str] | None = None) -> tuple[list[str], list[list[str]]]:
    """One row per method: means over objects with their 95 % intervals, and the failures."""
    metrics, rows = _present(records) if metrics is None else metrics, []
    for method in _unique(r.method for r in records):
        found = [estimate(records, method, key) for key in metrics]
        cells = [number(e.mean, k) + interval(e.low, e.high, k) for e, k in zip(found, metrics)]
        failed = sum(bool(r.failed) for r in records if r.method == method)
        rows.append([method, *cells, f"{failed} of {sum(r.method == method for r in records)}"])
    return [*_heading("method", metrics), "failed"], rows


def seed_rows(records: Sequence[Record]) -> tuple[list[str], list[list[str]]]:
    """One row per method that has several seeds: `Estimate.seed_sd` of each metric."""
    metrics, rows = _present(records), []
    for method in _unique(r.method for r in records):
        found = [estimate(records, method, key).seed_sd for key in metrics]
        if not all(map(math.isnan, found)):
            rows.append([method, *(number(value, key) for value, key in zip(found, metrics))])
    return _heading("method", metrics), rows


def line_rows(records: Sequence[Record], method: str) -> tuple[list[str], list[list[str]]]:
    """One row per object: the metrics of `method`, averaged over seeds."""
    metrics = _present(records)
    found = [per_object(records, method, key) for key in metrics]
    names = _unique(r.thing for r in records if r.method == method)
    rows = [[name, *(number(f.get(name, math.nan), key) for f, key in zip(found, metrics))] for name in names]
    return _heading("object", metrics), rows


def latex_means(results: Results) -> str:
    """The means of all objects and of each kind in one tabular."""
    sections = [(title, mean_rows(some)[1]) for title, some in parts_of(results)]
    return f"% {INTERVALS}\n" + latex(mean_rows(results.records)[0], *sections)


def summary_rows(results: Results) -> list[dict[str, object]]:
    """The means as data: one entry per kind of objects, method and metric; None where there is no figure."""
    rows = []
    for title, some in parts_of(results):
        for method in _unique(r.method for r in some):
            for key in (m.key for m in METRICS if any(m.key in r.metrics for r in some)):
                found = {k: None if v != v else v for k, v in asdict(estimate(some, method, key)).items()}
                rows.append({"part": title, "method": method, "metric": key, **found})
    return rows


def margin_rows(records: Sequence[Record], method: str, baselines: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Per object and baseline, how far the method is ahead (+, won), behind (-, lost) or even in each metric."""
    metrics, rows = _present(records), []
    for name in _unique(r.thing for r in records if r.method == method):
        for baseline in baselines:
            cells = []
            for key in metrics:
                mine, theirs = (per_object(records, who, key).get(name, math.nan) for who in (method, baseline))
                cells.append(_margin(METRIC_BY_KEY[key].margin(mine, theirs), key))
            rows.append([name, baseline, *cells])
    return ["object", *_heading("against", metrics)], rows


def verdict(records: Sequence[Record], method: str, baselines: Sequence[str]) -> str:
    """One line per baseline: in how many objects each metric is won, the mean margin, its interval and p where objects
    allow."""
    lines = []
    for baseline in baselines:
        words = []
        for key in _present(records):
            c = compare(records, method, baseline, key)
            if c.n_objects:
                found = signed(c.margin, key)
                found += "" if math.isnan(c.low) else f", {signed(c.low, key)} to {signed(c.high, key)}"
                found += f", p {c.p:.3g}" if c.n_objects >= 6 else ""
                words.append(f"{METRIC_BY_KEY[key].title} {c.n_won} of {c.n_objects} ({found})")
        lines.append(f"- won against {baseline}: " + ("; ".join(words) or "nothing to compare"))
    return "\n".join(lines)


def cost_rows(records: Sequence[Record], method: str) -> tuple[list[str], list[list[str]]]:
    """Over all runs of the method, failures included."""
    runs = [r for r in records if r.method == method]
    seconds = [r.seconds for r in runs] or [math.nan]
    memory = max((r.peak_memory_bytes for r in runs), default=0) / 2**30
    cells = [f"{sum(seconds) / len(seconds):.1f}", f"{min(seconds):.1f}", f"{max(seconds):.1f}", f"{memory:.2f}"]
    return ["runs", "mean time (s)", "fastest", "slowest", "peak memory (GiB)"], [[str(len(runs)), *cells]]


def price_rows(
    records: Sequence[Record], methods: Sequence[str], price_per_hour: float, currency: str, power_w: float
) -> tuple[list[str], list[list[str]]]:
    """What one asset takes of each method: mean time, largest memory, mean energy and, with a price per hour, mean
    price; failures are paid for too. Energy is read from counters, or time x power_w, as the last column says."""
    rows = []
    for method in methods:
        runs = [r for r in records if r.method == method]
        if not runs:
            continue
        seconds = sum(r.seconds for r in runs) / len(runs)
        memory = max(r.peak_memory_bytes for r in runs) / 2**30
        counted = all(r.energy_j > 0 for r in runs)
        joules = sum(r.energy_j for r in runs) / len(runs) if counted else seconds * power_w
        how = "measured (RAPL)" if counted else f"estimated, {power_w:g} W"
        price = [f"{seconds / 3600 * price_per_hour:.4f}"] if price_per_hour else []
        rows.append([method, f"{seconds:.1f}", f"{memory:.2f}", *price, f"{joules / 3600:.3g}", how])
    head = ["method", "time (s)", "peak memory (GiB)", *([f"price ({currency})"] if price_per_hour else [])]
    return [*head, "energy (Wh)", "energy by"], rows


def failures(records: Sequence[Record]) -> str:
    """The failed records as a Markdown list under a count, or one sentence that says there are none."""
    failed = [f"- {r.method}, {r.object}, seed {r.seed}: {r.failed}" for r in records if r.failed]
    if not failed:
        return f"No failure in {len(records)} records."
    return f"{len(failed)} of {len(records)} records failed and count with the background's scores:\n" + "\n".join(
        failed
    )


def _present(records: Sequence[Record]) -> list[str]:
    found = {key for r in records for key in r.metrics}
    if not found & set(PUBLISHED):
        return [*WORDS, *(key for key in PERCEPTUAL if key in found)]
    shown = KEY_METRICS if "normal_consistency" in found else PUBLISHED
    return [key for key in (*shown, *PERCEPTUAL) if key in found]


def _heading(first: str, metrics: Sequence[str]) -> list[str]:
    signs = ["[+]" if METRIC_BY_KEY[key].higher_is_better else "[-]" for key in metrics]
    return [first, *(f"{METRIC_BY_KEY[key].title} {sign}" for key, sign in zip(metrics, signs))]


def _margin(value: float, key: str) -> str:
    if math.isnan(value):
        return "-"
    return f"{signed(value, key)} {'won' if value > 0 else 'lost' if value < 0 else 'even'}"


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
