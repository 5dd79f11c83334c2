"""Bars on means: how far a method must be ahead of the best trivial result, metric by metric."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nerf2mesh.evaluate.protocols.columns import METRIC_BY_KEY
from nerf2mesh.evaluate.tables.results import Record
from nerf2mesh.evaluate.tables.statistics import compare, estimate


@dataclass(frozen=True)
class MarginBar:
    """The mean of a metric must beat the best baseline's mean by `margin`."""

    metric: str
    margin: float


HELD_OUT_BARS = (MarginBar("volume_iou", 0.08), MarginBar("psnr", 2.5))


@dataclass(frozen=True)
class MarginFound:
    """A bar and what was measured; the interval is that of the paired differences over objects (nan below five)."""

    bar: MarginBar
    mean: float
    baseline: str
    baseline_mean: float
    low: float
    high: float

    @property
    def margin(self) -> float:
        """How far the mean beats the baseline's, in the metric's unit; negative where it loses."""
        return METRIC_BY_KEY[self.bar.metric].margin(self.mean, self.baseline_mean)

    @property
    def met(self) -> bool:
        """Whether the margin is at least that of the bar; False where it is nan."""
        return self.margin >= self.bar.margin

    def __str__(self) -> str:
        metric = METRIC_BY_KEY[self.bar.metric]
        mean, other, margin, low, high, wanted = (
            f"{v:.{metric.digits}f}"
            for v in (self.mean, self.baseline_mean, self.margin, self.low, self.high, self.bar.margin)
        )
        interval = "" if math.isnan(self.low) else f" ({low} to {high})"
        return (
            f"{'met   ' if self.met else 'MISSED'} mean {metric.title} {mean} minus best baseline's ({self.baseline}) "
            f"{other} = {margin}{interval}, at least {wanted} wanted"
        )


def margin_bars(
    records: Sequence[Record], method: str, baselines: Sequence[str], bars: Sequence[MarginBar] = HELD_OUT_BARS
) -> list[MarginFound]:
    """Each bar against the baseline of best mean, over the objects that `method` has done, failures included."""
    objects = {r.object for r in records if r.method == method}
    records = [r for r in records if r.object in objects]
    found = []
    for bar in bars:
        metric = METRIC_BY_KEY[bar.metric]
        means = {name: estimate(records, name, bar.metric).mean for name in baselines}
        means = {name: value for name, value in means.items() if not math.isnan(value)}
        if not means or not objects:
            continue
        best = max(means, key=lambda name: metric.margin(means[name], 0.0))
        pair = compare(records, method, best, bar.metric)
        mean = estimate(records, method, bar.metric).mean
        found.append(MarginFound(bar, mean, best, means[best], pair.low, pair.high))
    return found
