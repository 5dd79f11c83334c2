"""Means, confidence intervals and paired comparisons over objects and seeds; the resampling is seeded.

The unit of evidence is the object: seeds of one object are averaged first, since twenty seeds of one cow say nothing
about ducks. Intervals are a two-level bootstrap: objects are drawn with replacement, and for each drawn object its
seeds with replacement. With fewer than five objects no interval is given: a bootstrap of three is their range. What
seeds alone move is given beside it: the standard deviation over seeds of one object, pooled over objects.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nerf2mesh.evaluate.protocols.columns import METRIC_BY_KEY
from nerf2mesh.evaluate.tables.results import Record

_RESAMPLES = 4_000


@dataclass(frozen=True)
class Estimate:
    """A mean over objects with its 95 % interval (nan without one), what seeds move, and how much is behind it."""

    mean: float
    low: float
    high: float
    seed_sd: float
    """Standard deviation over the seeds of one object, pooled over objects; nan where none has two."""
    n_objects: int
    n_runs: int
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


def by_object(records: Sequence[Record], method: str, metric: str) -> dict[str, np.ndarray]:
    """The metric of one method by object, one value a seed: the mean over the sides that the object is given from.

    Objects without the metric are left out.
    """
    found: dict[str, dict[int, list[float]]] = {}
    for record in records:
        if record.method == method and metric in record.metrics:
            seeds = found.setdefault(record.thing, {})
            seeds.setdefault(record.seed, []).append(record.metrics[metric])
    return {name: np.array([np.mean(values) for values in seeds.values()]) for name, seeds in found.items()}


def per_object(records: Sequence[Record], method: str, metric: str) -> dict[str, float]:
    """The metric of one method, averaged over seeds, by object; objects without the metric are left out."""
    return {name: float(values.mean()) for name, values in by_object(records, method, metric).items()}


def estimate(records: Sequence[Record], method: str, metric: str) -> Estimate:
    """The mean over objects and its interval; the failures of the method are counted in, with the scores they got."""
    clusters = list(by_object(records, method, metric).values())
    runs = [r for r in records if r.method == method]
    failed = sum(bool(r.failed) for r in runs)
    if not clusters:
        return Estimate(math.nan, math.nan, math.nan, math.nan, 0, len(runs), failed)
    mean = float(np.mean([c.mean() for c in clusters]))
    return Estimate(mean, *bootstrap_interval(clusters), _seed_sd(clusters), len(clusters), len(runs), failed)


def compare(records: Sequence[Record], method: str, other: str, metric: str) -> Comparison:
    """Paired over objects, seeds averaged first; of an object given from several sides, those that both have."""
    shared_cases = {r.object for r in records if r.method == method} & {r.object for r in records if r.method == other}
    records = [r for r in records if r.object in shared_cases]
    mine, theirs = by_object(records, method, metric), by_object(records, other, metric)
    shared = [name for name in mine if name in theirs]
    margins = np.array([METRIC_BY_KEY[metric].margin(mine[name].mean(), theirs[name].mean()) for name in shared])
    if not shared:
        return Comparison(metric, math.nan, math.nan, math.nan, math.nan, 0, 0)
    low, high = bootstrap_interval([mine[name] for name in shared], [theirs[name] for name in shared])
    low, high = (low, high) if METRIC_BY_KEY[metric].higher_is_better else (-high, -low)
    won = int((margins > 0).sum())
    return Comparison(metric, float(margins.mean()), low, high, sign_flip_p(margins), len(margins), won)


def bootstrap_interval(
    values: Sequence[float | np.ndarray],
    others: Sequence[float | np.ndarray] | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap of the mean over objects, or of the mean difference from `others`, object by object.

    An entry is one object: a number, or an array of its seeds, which are drawn anew too. (nan, nan) for fewer than five
    objects; still narrow for ten.
    """
    both = [[np.atleast_1d(v) for v in side] for side in (values, *(() if others is None else (others,)))]
    n = len(both[0])
    if n < 5 or not all(np.isfinite(v).all() for side in both for v in side):
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    picks = rng.integers(0, n, (_RESAMPLES, n))
    means = [_drawn_means(side, picks, rng) for side in both]
    drawn = means[0] if others is None else means[0] - means[1]
    low, high = np.quantile(drawn.mean(axis=1), [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)


def _drawn_means(clusters: Sequence[np.ndarray], picks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each picked object the mean of as many of its seeds as it has, drawn with replacement; picks' shape."""
    counts = np.array([len(c) for c in clusters])
    table = np.stack([np.pad(c, (0, counts.max() - len(c))) for c in clusters])
    if counts.max() == 1:
        return table[picks, 0]
    size = counts[picks][..., None]
    seeds = (rng.random((*picks.shape, counts.max())) * size).astype(int)
    kept = np.arange(counts.max()) < size
    return np.where(kept, table[picks[..., None], seeds], 0.0).sum(axis=-1) / size[..., 0]


def _seed_sd(clusters: Sequence[np.ndarray]) -> float:
    several = [c for c in clusters if len(c) > 1]
    if not several:
        return math.nan
    freedom = sum(len(c) - 1 for c in several)
    return math.sqrt(sum(((c - c.mean()) ** 2).sum() for c in several) / freedom)


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
