"""Means, confidence intervals and paired comparisons over objects and seeds; the resampling is seeded.

The unit of evidence is the object: seeds of one object are averaged first, since twenty seeds of one cow say nothing
about ducks. With fewer than five objects no interval is given: a bootstrap of three is their range.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nerf2mesh.evaluate.results import Record
from nerf2mesh.evaluate.scoring import METRIC_BY_KEY

_RESAMPLES = 4_000


@dataclass(frozen=True)
class Estimate:
    """A mean over objects with its 95 % bootstrap interval (nan without one), and how much is behind it."""

    mean: float
    low: float
    high: float
    n_objects: int
    n_failed: int


@dataclass(frozen=True)
class Comparison:
    """Two methods on the objects that both have: the mean margin (positive: the first is better), its interval, and p.

    `p` is two-sided, from flipping the signs of the per-object margins (all 2^n flips for n <= 14, else random ones).
    It cannot fall below 2 / 2^n: three objects never give less than 0.25.
    """

    metric: str
    margin: float
    low: float
    high: float
    p: float
    n_objects: int
    n_won: int


def per_object(records: Sequence[Record], method: str, metric: str) -> dict[str, float]:
    """The metric of one method, averaged over seeds, by object; objects without the metric are left out."""
    found: dict[str, list[float]] = {}
    for record in records:
        if record.method == method and metric in record.metrics:
            found.setdefault(record.object, []).append(record.metrics[metric])
    return {name: float(np.mean(values)) for name, values in found.items()}


def estimate(records: Sequence[Record], method: str, metric: str) -> Estimate:
    """The mean over objects and its interval; the failures of the method are counted in, with the scores they got."""
    values = np.array(list(per_object(records, method, metric).values()))
    failed = sum(bool(r.failed) for r in records if r.method == method)
    if not len(values):
        return Estimate(math.nan, math.nan, math.nan, 0, failed)
    return Estimate(float(values.mean()), *bootstrap_interval(values), len(values), failed)


def compare(records: Sequence[Record], method: str, other: str, metric: str) -> Comparison:
    """Paired over objects, seeds averaged first."""
    mine, theirs = per_object(records, method, metric), per_object(records, other, metric)
    shared = [name for name in mine if name in theirs]
    margins = np.array([METRIC_BY_KEY[metric].margin(mine[name], theirs[name]) for name in shared])
    if not len(margins):
        return Comparison(metric, math.nan, math.nan, math.nan, math.nan, 0, 0)
    low, high = bootstrap_interval(margins)
    won = int((margins > 0).sum())
    return Comparison(metric, float(margins.mean()), low, high, sign_flip_p(margins), len(margins), won)


def bootstrap_interval(values: np.ndarray, *, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap of the mean; (nan, nan) for fewer than five values, still narrow for ten."""
    if len(values) < 5 or not np.isfinite(values).all():
        return math.nan, math.nan
    picks = np.random.default_rng(seed).integers(0, len(values), (_RESAMPLES, len(values)))
    low, high = np.quantile(values[picks].mean(axis=1), [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)


def sign_flip_p(margins: np.ndarray, *, seed: int = 0) -> float:
    """Two-sided p of the mean margin under random signs."""
    n = len(margins)
    if n <= 14:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    else:
        signs = np.random.default_rng(seed).choice([-1, 1], (20_000, n))
        signs[0] = 1
    means = np.abs((signs * margins).mean(axis=1))
    return float((means >= abs(margins.mean()) * (1 - 1e-12)).mean())
