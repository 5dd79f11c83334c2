"""Curves as inline SVG: no script, no library, sharp at any size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 420, 200
LEFT, RIGHT, TOP, BOTTOM = 52, 8, 10, 24
MAX_POINTS = 400
N_COLORS = 6
LOG_RANGE = 50.0
"""Series whose values are all positive and span more than this factor get a logarithmic axis."""

Curve = tuple[Sequence[float], Sequence[float]]


def line_chart(title: str, curves: dict[str, Curve]) -> str:
    """One panel with up to N_COLORS curves (steps, values): the raw line faint, its moving average strong."""
    curves = {name: thinned(*curve) for name, curve in list(curves.items())[:N_COLORS] if len(curve[0])}
    if not curves:
        return ""
    values = [value for _, ys in curves.values() for value in ys]
    is_log = min(values) > 0 and max(values) / min(values) > LOG_RANGE
    steps = [step for xs, _ in curves.values() for step in xs]
    axis = _Axis(min(steps), max(steps), min(values), max(values), is_log)
    lines = [axis.grid()]
    for color, (name, (xs, ys)) in enumerate(curves.items()):
        style = f'style="stroke: var(--series-{color})"'
        label = f"<title>{escape(name)}: {ys[0]:.4g} at step {xs[0]:g}, {ys[-1]:.4g} at step {xs[-1]:g}</title>"
        lines.append(f'<path class="raw" {style} d="{axis.path(xs, ys)}"/>')
        lines.append(f'<path class="smooth" {style} d="{axis.path(xs, smoothed(ys))}">{label}</path>')
    svg = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(lines)}</svg>'
    scale = " (log)" if is_log else ""
    return f'<div class="chart"><h3>{escape(title)}{scale}</h3>{svg}{_legend(curves)}</div>'


def thinned(xs: Sequence[float], ys: Sequence[float]) -> tuple[list[float], list[float]]:
    """At most MAX_POINTS, each the mean of a run of points."""
    stride = math.ceil(len(xs) / MAX_POINTS)
    if stride <= 1:
        return list(xs), list(ys)
    starts = range(0, len(xs), stride)
    return [sum(xs[i : i + stride]) / len(xs[i : i + stride]) for i in starts], [
        sum(ys[i : i + stride]) / len(ys[i : i + stride]) for i in starts
    ]


def smoothed(ys: Sequence[float]) -> list[float]:
    """A moving average with the weight 0.8 on the past, unbiased at the start."""
    out, total, weight = [], 0.0, 0.0
    keep = 0.8 if len(ys) > 20 else 0.0
    for y in ys:
        total, weight = keep * total + y, keep * weight + 1.0
        out.append(total / weight)
    return out


class _Axis:
    def __init__(self, x_low: float, x_high: float, y_low: float, y_high: float, is_log: bool) -> None:
        self.is_log = is_log
        self.x_low, self.x_span = x_low, (x_high - x_low) or 1.0
        low, high = self._scale(y_low), self._scale(y_high)
        margin = 0.05 * (high - low) or 0.5 * abs(high) or 0.5
        self.y_low, self.y_span = low - margin, high - low + 2 * margin

    def _scale(self, y: float) -> float:
        return math.log10(y) if self.is_log else y

    def x(self, step: float) -> float:
        return LEFT + (step - self.x_low) / self.x_span * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (self._scale(value) - self.y_low) / self.y_span * (HEIGHT - TOP - BOTTOM)

    def path(self, xs: Sequence[float], ys: Sequence[float]) -> str:
        return "M" + "L".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in zip(xs, ys))

    def grid(self) -> str:
        parts = []
        ticks = self._ticks()
        for value in ticks:
            y, label = self.y(value), self._label(value, ticks)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
        for step in (self.x_low, self.x_low + self.x_span / 2, self.x_low + self.x_span):
            anchor = "start" if step == self.x_low else "middle" if step < self.x_low + self.x_span else "end"
            parts.append(f'<text x="{self.x(step):.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{step:.6g}</text>')
        return "".join(parts)

    def _label(self, value: float, ticks: list[float]) -> str:
        """With as many digits as the distance between two ticks asks for."""
        if self.is_log or len(ticks) < 2:
            return f"{value:.3g}"
        size, letter = (1e6, "M") if abs(value) >= 1e6 else (1e3, "k") if abs(value) >= 1e4 else (1.0, "")
        step = (ticks[1] - ticks[0]) / size
        digits = max(0, math.ceil(-math.log10(step) - 1e-9))
        digits += round(step * 10**digits, 6) % 1 > 0  # 0.25 and 2.5 need one more
        return f"{value / size:.{digits}f}{letter}" if digits < 6 else f"{value:.3g}"

    def _ticks(self) -> list[float]:
        low, high = self.y_low, self.y_low + self.y_span
        if self.is_log:
            every = max(1, math.ceil((high - low) / 5))
            return [10.0**power for power in range(math.ceil(low), math.floor(high) + 1, every)]
        rough = (high - low) / 4
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(m * unit for m in (1, 2, 2.5, 5, 10) if m * unit >= rough)
        return [
            0.0 if abs(i * step) < 1e-12 else i * step
            for i in range(math.ceil(low / step), math.floor(high / step) + 1)
        ]


def _legend(curves: dict[str, Curve]) -> str:
    items = (
        f'<span><i style="background: var(--series-{color})"></i>{escape(name)} {curve[1][-1]:.3g}</span>'
        for color, (name, curve) in enumerate(curves.items())
    )
    return f'<div class="legend">{"".join(items)}</div>'
