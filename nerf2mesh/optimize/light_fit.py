"""Finds the light of a picture from its shading, given the normals of what it shows.

Letters
    c_i: luminance of pixel i in linear light; n_i: its normal; E: the light's irradiance (`render.shading`).
    With c = a E(n) and an albedo a that is constant in patches, log c_i - log c_j = log E(n_i) - log E(n_j) for most
    pairs of near pixels. The light minimizes sum_ij w_ij rho(difference of both sides) + ridge |values|^2.
    rho(r) = s^2 log(1 + r^2 / s^2) (Cauchy): edges of the albedo, highlights and cast shadows are few and count little.
    w_ij = exp(-(chroma_i - chroma_j)^2 / q^2): where the hue changes the albedo does (Horn 1974; color Retinex in
    Grosse et al. 2009). Pixels near saturation and near black are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from nerf2mesh.render.shading import N_VALUES, Light, to_linear

SHIFTS_PX = (2, 4, 8, 16)
"""How far apart the pixels of a pair are, along rows and along columns."""
CHROMA = 0.02
ROBUST = 0.15
RIDGE = 0.03
"""Of the mean cost of a pair: where the shading says nothing the light is even."""
BRIGHTEST, DIMMEST = 0.97, 0.004
LEAST_PAIRS = 64
BLUR_PX = 5
"""Normals are means over so many pixels: noise in them looks like a weaker light."""
_LUMINANCE = (0.2126, 0.7152, 0.0722)


class Pairs(NamedTuple):
    """Of one or several pictures: normals [n, 3], log luminance [n], pairs [k, 2] of rows, their weights [k]."""

    normals: Float[Tensor, "n 3"]
    bright: Float[Tensor, "n"]
    rows: Int[Tensor, "k 2"]
    weights: Float[Tensor, "k"]


def pairs_of(rgb: Float[Tensor, "h w 3"], normals: Float[Tensor, "h w 3"], known: Bool[Tensor, "h w"]) -> Pairs:
    """The pairs of one picture in sRGB; `known`: where it shows the object and the normal is of some use."""
    linear = to_linear(rgb.double())
    luminance = (linear * linear.new_tensor(_LUMINANCE)).sum(-1)
    chroma = linear / linear.sum(-1, keepdim=True).clamp_min(1e-6)
    known = known & (rgb.amax(-1) < BRIGHTEST) & (luminance > DIMMEST)
    number = torch.arange(known.numel()).reshape(known.shape)
    rows, weights = [], []
    for shift in SHIFTS_PX:
        for lines, usable in ((number, known), (number.T, known.T)):
            both = usable[:-shift] & usable[shift:]
            found = torch.stack([lines[:-shift][both], lines[shift:][both]], dim=1)
            apart = (chroma.reshape(-1, 3)[found[:, 0]] - chroma.reshape(-1, 3)[found[:, 1]]).square().sum(-1)
            rows.append(found)
            weights.append(torch.exp(-apart / CHROMA**2))
    bright = luminance.clamp_min(1e-6).log().reshape(-1)
    return Pairs(smoothed(normals.double(), known).reshape(-1, 3), bright, torch.cat(rows), torch.cat(weights))


def smoothed(normals: Float[Tensor, "h w 3"], known: Bool[Tensor, "h w"]) -> Float[Tensor, "h w 3"]:
    """Unit means of the known normals within BLUR_PX; zero where there are none."""
    flat = (normals * known[..., None]).permute(2, 0, 1)[None]
    mean = F.avg_pool2d(flat, BLUR_PX, stride=1, padding=BLUR_PX // 2)[0].permute(1, 2, 0)
    return F.normalize(mean, dim=-1)


def joined(pairs: Sequence[Pairs]) -> Pairs:
    """The pairs of several pictures under one light."""
    starts = torch.tensor([0, *(len(p.bright) for p in pairs)]).cumsum(0)
    rows = torch.cat([p.rows + start for p, start in zip(pairs, starts[:-1], strict=True)])
    normals, bright, weights = (torch.cat([p[i] for p in pairs]) for i in (0, 1, 3))
    return Pairs(normals, bright, rows, weights)


def cost(values: Float[Tensor, "v"], kind: str, pairs: Pairs) -> Float[Tensor, ""]:
    """What the light minimizes, divided by the sum of the weights; see the module."""
    shade = Light(kind, values).irradiance(pairs.normals).log()
    unexplained = (pairs.bright - shade)[pairs.rows]
    left = unexplained[:, 0] - unexplained[:, 1]
    fit = (pairs.weights * robust(left)).sum() / pairs.weights.sum().clamp_min(1e-9)
    return fit + RIDGE * ROBUST**2 * values.square().sum() / max(len(values), 1)


def robust(difference: Tensor) -> Tensor:
    """Cauchy's cost rho of differences of log luminance."""
    return ROBUST**2 * torch.log1p(difference.square() / ROBUST**2)


def fit_light(kind: str, pairs: Pairs, before: Light | None = None) -> Light:
    """The light of `kind` that explains most; even where nothing is to be seen. `before`: one more start."""
    if kind == "constant" or len(pairs.rows) < LEAST_PAIRS or float(pairs.weights.sum()) < 1.0:
        return Light()
    found = [_descended(start, kind, pairs) for start in _starts(kind, pairs, before)]
    costs = torch.stack([cost(values, kind, pairs) for values in found])
    values = found[int(torch.nan_to_num(costs, nan=torch.inf).argmin())]
    mean = Light(kind, values).irradiance(pairs.normals[pairs.rows.reshape(-1)]).mean()
    return Light(kind, values.float(), float(1.0 / mean))


def _starts(kind: str, pairs: Pairs, before: Light | None) -> list[Tensor]:
    """Values from which the search begins: even light, and lamps around the normals that are seen, since a lamp has no
    gradient where it lights nothing. What was found before takes the lamps' place and makes the search short."""
    zero = torch.zeros(N_VALUES[kind], dtype=torch.float64)
    if before is not None and before.kind == kind and len(before.values) == len(zero) and bool(before.values.any()):
        return [zero, before.values.double()]
    starts = [zero]
    if kind == "directional":
        seen = F.normalize(pairs.normals[pairs.rows[:, 0]].mean(0), dim=0)
        up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
        side = F.normalize(torch.linalg.cross(seen, up), dim=0)
        starts = [zero, seen, *(0.5 * seen + turn for turn in (up, -up, side, -side))]
    return starts


def _descended(start: Tensor, kind: str, pairs: Pairs) -> Tensor:
    values = start.clone().requires_grad_()
    search = torch.optim.LBFGS([values], max_iter=25, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        search.zero_grad()
        value = cost(values, kind, pairs)
        value.backward()
        return value

    with torch.enable_grad():
        search.step(closure)  # pyright: ignore[reportArgumentType]
    return values.detach()
