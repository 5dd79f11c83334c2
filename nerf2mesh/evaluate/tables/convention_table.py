"""The table of conventions: the same meshes by each paper's arithmetic, and what alignment alone moves."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nerf2mesh.evaluate.protocols.convention_study import ALIGNED, GIVEN_VIEW, OWN, in_words
from nerf2mesh.evaluate.protocols.conventions import CONVENTIONS
from nerf2mesh.evaluate.tables.formats import interval, markdown, number
from nerf2mesh.evaluate.tables.results import Record
from nerf2mesh.evaluate.tables.statistics import estimate
from nerf2mesh.evaluate.tables.tables import INTERVALS

SEPARATOR = " | "
"""Between a method and a convention in the names of records."""
HEAD = (
    "The same meshes in every row: only scale, translation, rotation and arithmetic differ. Chamfer distances and "
    "F-scores of two rows cannot be compared; that is the point. Ratio: the method's Chamfer distance over that of the "
    "sphere baseline in the same row. Floor: the truth against itself. What a paper does not state stands below."
)
Rows = tuple[list[str], list[list[str]]]


def records_of(method: str, name: str, seed: int, found: dict[str, dict[str, float]]) -> list[Record]:
    """The rows of one mesh as records: method and convention make one name."""
    return [Record(f"{method}{SEPARATOR}{row}", name, seed, scores) for row, scores in found.items()]


def convention_report(records: Sequence[Record], methods: Sequence[str], baseline: str) -> str:
    """Markdown: papers' conventions, alignment alone, and what was taken where a paper leaves it open."""
    objects = len({r.thing for r in records})
    parts = ["# Conventions", f"{objects} objects. {INTERVALS}", HEAD]
    names = [OWN, *(kind.name for kind in CONVENTIONS), GIVEN_VIEW]
    parts += ["## The papers", markdown(*paper_rows(records, methods, baseline, names))]
    aligned = [r for r in dict.fromkeys(r.method.partition(SEPARATOR)[2] for r in records) if r.startswith(ALIGNED)]
    parts += ["## Alignment alone", markdown(*alignment_table(records, methods, baseline, aligned))]
    taken = [f"- {kind.name}: {'; '.join(kind.unstated)}" for kind in CONVENTIONS if kind.unstated]
    sources = [f"- {kind.name}: {kind.source}" for kind in CONVENTIONS]
    parts += ["## What the papers do not state", "\n".join(taken), "## Sources", "\n".join(sources)]
    return "\n\n".join(parts) + "\n"


def paper_rows(records: Sequence[Record], methods: Sequence[str], baseline: str, names: Sequence[str]) -> Rows:
    """One row a convention and method."""
    heading = ["convention", "scale", "translation", "rotation", "Chamfer is", "method"]
    heading += ["Chamfer [-]", "ratio", "floor", "volume IoU [+]", "F [+]", "PSNR [+]"]
    rows = []
    for name in names:
        for method in methods:
            label = f"{method}{SEPARATOR}{name}"
            cells = [_mean(records, label, "chamfer"), _ratio(records, name, method, baseline)]
            cells += [_mean(records, label, key) for key in ("chamfer_floor", "volume_iou")]
            psnr = _mean(records, label, "psnr")
            rows.append([name, *in_words(name), method, *cells, _f_score(records, label), psnr])
    return heading, rows


def alignment_table(records: Sequence[Record], methods: Sequence[str], baseline: str, names: Sequence[str]) -> Rows:
    """One row an alignment and method; the last column is the share of the unaligned Chamfer distance that is left."""
    rows = []
    for name in names:
        for method in methods:
            label, plain = f"{method}{SEPARATOR}{name}", f"{method}{SEPARATOR}{names[0]}"
            left = estimate(records, label, "chamfer").mean / estimate(records, plain, "chamfer").mean
            cells = [_mean(records, label, "chamfer"), _ratio(records, name, method, baseline)]
            cells += [_mean(records, label, "f_score_0.1"), "-" if math.isnan(left) else f"{left:.2f}"]
            rows.append([name.removeprefix(ALIGNED), method, *cells])
    return ["alignment", "method", "Chamfer [-]", "ratio", "F@0.1 [+]", "left of the unaligned"], rows


def _mean(records: Sequence[Record], label: str, key: str) -> str:
    found = estimate(records, label, key)
    return number(found.mean, key) + interval(found.low, found.high, key)


def _ratio(records: Sequence[Record], name: str, method: str, baseline: str) -> str:
    mine, other = (estimate(records, f"{m}{SEPARATOR}{name}", "chamfer").mean for m in (method, baseline))
    return "-" if math.isnan(mine) or math.isnan(other) else f"{mine / other:.2f}"


def _f_score(records: Sequence[Record], label: str) -> str:
    """The F-scores that a convention has, with their thresholds."""
    keys = dict.fromkeys(k for r in records if r.method == label for k in r.metrics if k.startswith("f_score_"))
    return "; ".join(
        f"@{key.removeprefix('f_score_')} {number(estimate(records, label, key).mean, key)}" for key in keys
    )
