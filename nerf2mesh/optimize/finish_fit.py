"""Roughness and metallic of what a picture shows, from its highlights.

A picture without highlights says nothing of roughness, and the default stays. Where there is one, its width against the
normals says how rough the surface is, its strength against the lamp's shading says the same, and its tint and the
shading around it whether this is a metal: metals have no shading of their own, and highlights of their own color.

Letters
    c_i: linear color of pixel i, t_i its normal's cosine with h, the half vector at the lobe's middle. Hypotheses:
        matte     c_i = a E(n_i)
        plastic   c_i = a E(n_i) + k L(t_i; alpha)
        metal     c_i = a (1 + k L(t_i; alpha))
    with the albedo a constant among near pixels, E = 1 + |u| max(0, n . u / |u|) (`render.shading`), and
    L = pi D G F / (4 n . v) of `render.gloss`, whose strength is that of the lamp: k = |u| for both, times F0 = 0.04 of
    plastic. h is free, since normals are guesses: it begins at the normal of the brightest pixel beyond matte.
    Each hypothesis minimizes sum_ij rho(|log c'_i - log c'_j - (log E_i - log E_j)|), over near pairs, with Cauchy's
    rho of `light_fit` and c' what plastic leaves after its lobe. Where a highlight is saturated only too little of it
    counts. A hypothesis is believed as far as it explains what matte does not (`BELIEVED`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from nerf2mesh.optimize.light_fit import BRIGHTEST, ROBUST
from nerf2mesh.render.brdf import DIELECTRIC, smith
from nerf2mesh.render.gloss import LEAST_ROUGHNESS, trowbridge_reitz
from nerf2mesh.render.shading import Light, to_linear

ROUGHNESS, METALLIC = 0.6, 0.0
"""Of what no highlight speaks for: a satin dielectric."""
ROUGHEST = 0.8
"""Wider lobes look like shading."""
BELIEVED = (0.08, 0.2)
"""From where to where belief rises with the share of the matte hypothesis's cost that a highlight explains."""
ALWAYS_LEFT = 5e-4
"""Added to that cost: what is less than this is no evidence."""
METAL_MARGIN = 0.05
"""By so much more metal must explain than plastic."""
STARTS = (0.14, 0.2, 0.3, 0.45)
STRENGTHS = (0.8, 1.4)
SEARCHES = 1
"""Roughnesses, and strengths of the lamp beside the matte one's, among which the best begin so many searches."""
SHIFTS_PX = (1, 3, 8, 16)
LEAST_LEFT = 0.1
"""Of a pixel's light a highlight explains at most the rest: normals are a little off, and the lobe with them."""
GROUPS = 2
MOST_PAIRS = 12_000
DARKEST = 2e-3
ALIKE = 0.985
"""Cosine of normals of one highlight: 10 degrees."""
LEAST_PIXELS = 60


class Seen(NamedTuple):
    """The pixels of one picture: linear colors [n, 3], unit normals and directions to the eye [n, 3], whether the
    picture is saturated there [n], and pairs of near pixels [k, 2]."""

    colors: Float[Tensor, "n 3"]
    normals: Float[Tensor, "n 3"]
    to_eye: Float[Tensor, "n 3"]
    full: Bool[Tensor, "n"]
    pairs: Int[Tensor, "k 2"]


@dataclass(frozen=True)
class Found:
    """One hypothesis at its best: roughness, whether it is metal, lamp u [3], lobe's middle h [3], and its cost."""

    roughness: float
    metal: bool
    lamp: Tensor
    middle: Tensor
    cost: float


def seen_pixels(
    rgb: Float[Tensor, "h w 3"],
    normals: Float[Tensor, "h w 3"],
    to_eye: Float[Tensor, "h w 3"],
    known: Bool[Tensor, "h w"],
) -> Seen:
    """What is looked at of a picture in sRGB; `known`: where it shows the object with a normal of some use."""
    linear = to_linear(rgb.double())
    known = known & (linear.amax(-1) > DARKEST)
    number = torch.full(known.shape, -1)
    number[known] = torch.arange(int(known.sum()))
    pairs = []
    for shift in SHIFTS_PX:
        for lines in (number, number.T):
            found = torch.stack([lines[:-shift].reshape(-1), lines[shift:].reshape(-1)], dim=1)
            pairs.append(found[(found >= 0).all(1)])
    full = (rgb.amax(-1) >= BRIGHTEST)[known]
    together = torch.cat(pairs)
    together = together[:: max(1, len(together) // MOST_PAIRS)]
    return Seen(linear[known].clamp_min(DARKEST), normals.double()[known], to_eye.double()[known], full, together)


def explain(seen: Seen, light: Light) -> tuple[Found, Found, Found]:
    """The matte hypothesis, plastic and metal, each at its best; `light`: a directional one to begin with."""
    begin = light.values.double() if light.kind == "directional" else torch.zeros(3, dtype=torch.float64)
    matte = _descended(seen, "matte", begin, seen.normals[0], 0.6)
    middles = _brightest(seen, matte.lamp)
    strength = float(matte.lamp.norm())
    lamp = matte.lamp if strength > 0.1 else _lamp_from(middles[0], seen)
    lamp = F.normalize(lamp, dim=0) * max(strength, 0.7)
    return matte, _begun_well(seen, "plastic", lamp, middles), _begun_well(seen, "metal", lamp, middles)


@torch.no_grad()
def _begun_well(seen: Seen, kind: str, lamp: Tensor, middles: list[Tensor]) -> Found:
    """The search from the best of STARTS, STRENGTHS and the lobe's possible middles."""
    starts = []
    for roughness in STARTS:
        tried = [(strength * lamp, middle) for strength in STRENGTHS for middle in middles]
        costs = [float(cost(seen, kind, u, middle, u.new_tensor(roughness))) for u, middle in tried]
        best = min(range(len(tried)), key=costs.__getitem__)
        starts.append((costs[best], roughness, *tried[best]))
    starts.sort(key=lambda start: start[0])
    found = [_descended(seen, kind, u, middle, roughness) for _, roughness, u, middle in starts[:SEARCHES]]
    return min(found, key=lambda one: one.cost)


def gain(matte: Found, other: Found) -> float:
    """The share of the matte hypothesis's cost that the other explains."""
    return (matte.cost - other.cost) / (matte.cost + ALWAYS_LEFT)


def belief(matte: Found, other: Found) -> float:
    """How far a highlight is believed, in [0, 1]."""
    low, high = BELIEVED
    share = min(max((gain(matte, other) - low) / (high - low), 0.0), 1.0)
    return share if other.roughness < ROUGHEST else 0.0


def lobe(seen: Seen, middle: Tensor, roughness: Tensor) -> Float[Tensor, "n"]:
    """pi D G / (4 n . v) about the half vector `middle`, with n . l taken as n . v: exact at the middle of the lobe."""
    alpha = roughness.clamp(LEAST_ROUGHNESS, 1.0).square()
    view = (seen.normals * seen.to_eye).sum(-1).clamp(0.05, 1.0)
    cosine = (seen.normals * F.normalize(middle, dim=0)).sum(-1).clamp_min(0.0)
    return torch.pi * trowbridge_reitz(cosine, alpha) * smith(view, view, alpha) / (4.0 * view)


def cost(
    seen: Seen, kind: str, lamp: Float[Tensor, "3"], middle: Float[Tensor, "3"], roughness: Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """What a hypothesis minimizes, over the number of pairs."""
    colors, shade = seen.colors, torch.ones_like(seen.colors[:, 0])
    strength = lamp.square().sum().clamp_min(1e-12).sqrt()
    highlight = torch.zeros_like(shade) if kind == "matte" else strength * lobe(seen, middle, roughness)
    if kind == "metal":
        shade = 1.0 + highlight
    else:
        shade = 1.0 + (seen.normals @ lamp).clamp_min(0.0)
        gloss = DIELECTRIC * highlight / shade.mean().detach()
        left = F.softplus((colors - gloss[:, None]) / DARKEST) * DARKEST
        colors = LEAST_LEFT * colors + (1.0 - LEAST_LEFT) * left
    rest = colors.clamp_min(1e-7).log() - shade.log()[:, None]
    i, j = seen.pairs.unbind(1)
    apart = rest[i] - rest[j]
    one, two = seen.full[i][:, None], seen.full[j][:, None]
    apart = torch.where(one & ~two, apart.clamp_min(0.0), torch.where(two & ~one, apart.clamp_max(0.0), apart))
    apart = torch.where(one & two, torch.zeros_like(apart), apart)
    squared = apart.square().mean(-1)
    return (ROBUST**2 * torch.log1p(squared / ROBUST**2)).mean()


def _descended(seen: Seen, kind: str, lamp: Tensor, middle: Tensor, start: float) -> Found:
    values = [lamp.clone(), middle.clone(), torch.tensor(_opened(start), dtype=torch.float64)]
    for value in values:
        value.requires_grad_()
    search = torch.optim.LBFGS(values, max_iter=20, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        search.zero_grad()
        value = cost(seen, kind, values[0], values[1], _closed(values[2]))
        value.backward()
        return value

    with torch.enable_grad():
        search.step(closure)  # pyright: ignore[reportArgumentType]
    lamp, middle, opened = (value.detach() for value in values)
    found = float(cost(seen, kind, lamp, middle, _closed(opened)))
    found = found if math.isfinite(found) else math.inf
    return Found(float(_closed(opened)), kind == "metal", lamp, F.normalize(middle, dim=0), found)


def _closed(opened: Tensor) -> Tensor:
    return LEAST_ROUGHNESS + (1.0 - LEAST_ROUGHNESS) * torch.sigmoid(opened)


def _opened(roughness: float) -> float:
    share = min(max((roughness - LEAST_ROUGHNESS) / (1.0 - LEAST_ROUGHNESS), 1e-3), 1.0 - 1e-3)
    return math.log(share / (1.0 - share))


def _brightest(seen: Seen, lamp: Tensor) -> list[Tensor]:
    """Normals where a picture is brightest beyond matte: of the pixels with the largest excess over what their
    neighbors' albedo explains, the middles of the GROUPS largest groups of alike normals."""
    shade = 1.0 + (seen.normals @ lamp).clamp_min(0.0)
    bare = seen.colors.amin(-1) / shade
    i, j = seen.pairs.unbind(1)
    count = torch.bincount(torch.cat([i, j]), minlength=len(bare)).clamp_min(1)
    around = torch.zeros_like(bare).index_add_(0, i, bare[j]).index_add_(0, j, bare[i]) / count
    excess = (bare - around) * shade * (seen.normals * seen.to_eye).sum(-1).clamp_min(0.0)
    left, found = seen.normals[excess.topk(max(3, len(bare) // 100)).indices], []
    while len(left) and len(found) < GROUPS:
        alike = left @ left.T > ALIKE
        chosen = alike[int(alike.sum(1).argmax())]
        found.append(F.normalize(left[chosen].mean(0), dim=0))
        left = left[~chosen]
    return found


def _lamp_from(middle: Tensor, seen: Seen) -> Tensor:
    """Where the lamp of a lobe about `middle` is: the eye's direction mirrored."""
    eye = F.normalize(seen.to_eye.mean(0), dim=0)
    return 2.0 * (middle @ eye) * middle - eye
