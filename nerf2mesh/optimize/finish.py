"""What surface a picture's paints have (`field.material=pbr`), and its pictures without their highlights.

`finish_fit` finds the strongest highlight and what it says; the paint around it has that finish, other paints the
default. What is left is looked at again, up to MOST times, so that a picture can show several finishes.

Letters: p a color in CIELAB, q_k the color of finish k's paint, b_k how far it is believed. The finish at p is the mean
of the default, of weight 1 - max_k w_k, and of the found ones, by w_k = b_k exp(-|p - q_k|^2 / (2 NEAR^2)), lightness
counting half.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from nerf2mesh.evaluate.metrics.regions import cielab
from nerf2mesh.optimize.finish_fit import (
    LEAST_PIXELS,
    METAL_MARGIN,
    METALLIC,
    ROUGHNESS,
    Found,
    Seen,
    belief,
    explain,
    gain,
    lobe,
    seen_pixels,
)
from nerf2mesh.optimize.light_fit import BRIGHTEST
from nerf2mesh.render.brdf import DIELECTRIC
from nerf2mesh.render.shading import Light, to_linear, to_srgb

MOST = 3
NEAR = 18.0
"""CIELAB units over which a paint keeps its finish."""
HUE = 0.06
"""Chromaticities that are nearer are those of one paint in light and shade."""
LEAST_SHARE = 0.15
"""Of the object: smaller paints are not looked at for highlights of their own."""
CLEAR, COVERED = 0.1, 0.5
"""Shares of a pixel's light that are a highlight: below the first the paint is seen, above the second it is not."""


@dataclass(frozen=True, eq=False)
class Finish:
    """Of one paint: its color in CIELAB [3], roughness, metallic, and how far these are believed, in [0, 1]."""

    paint: Float[Tensor, "3"]
    roughness: float
    metallic: float
    belief: float

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        numbers = {"roughness": self.roughness, "metallic": self.metallic, "belief": self.belief}
        paint = [round(float(value), 2) for value in self.paint]
        rounded: dict[str, object] = {name: round(value, 3) for name, value in numbers.items()}
        return {"paint_cielab": paint, **rounded}


@dataclass(frozen=True, eq=False)
class Finishes:
    """All that were found in a picture; none says the default everywhere."""

    found: tuple[Finish, ...] = ()

    @torch.no_grad()
    def at(self, rgb: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 2"]:
        """Roughness and metallic of albedos in sRGB."""
        default = rgb.new_tensor([ROUGHNESS, METALLIC])
        if not self.found:
            return default.expand(*rgb.shape[:-1], 2)
        lab = cielab(rgb.cpu().clamp(0.0, 1.0))
        weights = torch.stack([paint_weight(lab, finish.paint.to(lab)) * finish.belief for finish in self.found], -1)
        values = rgb.new_tensor([[finish.roughness, finish.metallic] for finish in self.found])
        weights = weights.to(rgb)
        most, total = weights.amax(-1, keepdim=True), weights.sum(-1, keepdim=True).clamp_min(1e-9)
        return default + most * (weights @ values / total - default)


def paint_weight(lab: Tensor, paint: Tensor) -> Tensor:
    """How far colors [*n, 3] are the paint's, in [0, 1]."""
    apart = (lab - paint) * lab.new_tensor([0.5, 1.0, 1.0])
    return torch.exp(-apart.square().sum(-1) / (2.0 * NEAR**2))


def is_same(one: Tensor, two: Tensor) -> bool:
    """Whether two paints in CIELAB are one, in light and shade."""
    return bool(paint_weight(one, two) > 0.3)


def same_hue(linear: Tensor, paint: Tensor) -> Tensor:
    """Which linear colors [*n, 3] are the paint's [3], however they are lit."""
    one, two = (color / color.sum(-1, keepdim=True).clamp_min(1e-6) for color in (linear, paint))
    return (one - two).norm(dim=-1) < HUE


@dataclass(frozen=True, eq=False)
class Highlight:
    """What `finish_fit` found for one paint: enough to take its lobe out of a picture of any size."""

    finish: Finish
    found: Found
    hue: Float[Tensor, "3"]
    """Of the paint around it, linear, as it is lit."""
    shade: float
    """The mean of 1 + |u| max(0, n . u / |u|), by which the lobe's strength is divided."""
    gain: float
    """The share of the matte hypothesis's cost that is explained."""


def find_highlights(
    rgb: Float[Tensor, "h w 3"],
    normals: Float[Tensor, "h w 3"],
    to_eye: Float[Tensor, "h w 3"],
    known: Bool[Tensor, "h w"],
    light: Light,
) -> list[Highlight]:
    """Those of one picture in sRGB, the strongest first."""
    found: list[Highlight] = []
    least = max(LEAST_PIXELS, LEAST_SHARE * int(known.sum()))
    linear = to_linear(rgb.double())
    while len(found) < MOST and int(known.sum()) >= least:
        highlight = _strongest(seen_pixels(rgb, normals, to_eye, known), light)
        if highlight is None or any(is_same(highlight.finish.paint, other.finish.paint) for other in found):
            break
        found.append(highlight)
        share = without(rgb, normals, to_eye, highlight)[1]
        known = known & ~same_hue(linear, highlight.hue) & (share < 0.02) & (rgb.amax(-1) < BRIGHTEST)
    return found


def _strongest(seen: Seen, light: Light) -> Highlight | None:
    if len(seen.colors) < LEAST_PIXELS or not len(seen.pairs):
        return None
    matte, plastic, metal = explain(seen, light)
    sure = {"plastic": belief(matte, plastic), "metal": belief(matte, metal)}
    is_metal = sure["metal"] > 0.0 and metal.cost < plastic.cost * (1.0 - METAL_MARGIN)
    best, share = (metal, sure["metal"]) if is_metal else (plastic, sure["plastic"])
    if share <= 0.0:
        return None
    roughness = torch.tensor(best.roughness, dtype=torch.float64)
    lit = lobe(seen, best.middle, roughness)
    shade = (1.0 + (seen.normals @ best.lamp).clamp_min(0.0)).mean()
    gloss = DIELECTRIC * best.lamp.norm() * lit / shade
    near = lit > 0.02 * lit.max()
    bare = near & ~seen.full & (gloss < COVERED * seen.colors.amax(-1))
    chosen = bare if int(bare.sum()) >= 5 else ~seen.full
    colors = seen.colors[chosen] if is_metal else (seen.colors - gloss[:, None]).clamp_min(1e-4)[chosen]
    if is_metal:
        colors = colors / (1.0 + best.lamp.norm() * lit[chosen])[:, None]
    hue = colors.median(0).values
    finish = Finish(cielab(to_srgb(hue).clamp(0.0, 1.0)), best.roughness, float(is_metal), share)
    return Highlight(finish, best, hue, float(shade), gain(matte, best))


def without(
    rgb: Float[Tensor, "h w 3"], normals: Float[Tensor, "h w 3"], to_eye: Float[Tensor, "h w 3"], highlight: Highlight
) -> tuple[Float[Tensor, "h w 3"], Float[Tensor, "h w"]]:
    """The picture, in sRGB, without the highlight as far as it is believed, and the share of each pixel's light that it
    was. Where it was most of it, or the picture is saturated by it, the paint around is continued."""
    found, linear = highlight.found, to_linear(rgb.double())
    colors, facing, eyes = (part.double().reshape(-1, 3) for part in (linear, normals, to_eye))
    full = rgb.amax(-1) >= BRIGHTEST
    pixels = Seen(colors, facing, eyes, full.reshape(-1), torch.zeros(0, 2, dtype=torch.long))
    roughness = torch.tensor(found.roughness, dtype=torch.float64)
    strength = found.lamp.norm() * lobe(pixels, found.middle, roughness).reshape(full.shape) * highlight.finish.belief
    strength = strength * normals.any(-1)
    if found.metal:
        bare, share = linear / (1.0 + strength)[..., None], strength / (1.0 + strength)
    else:
        gloss = DIELECTRIC * strength / highlight.shade
        bare, share = (linear - gloss[..., None]).clamp_min(0.0), gloss / linear.amax(-1).clamp_min(1e-4)
    hidden = ((share - CLEAR) / (COVERED - CLEAR)).clamp(0.0, 1.0)
    hidden = torch.where(full & (share > 0.02), torch.ones_like(hidden), hidden)
    bare = bare + hidden[..., None] * (_continued(bare, hidden, normals.any(-1)) - bare)
    return to_srgb(bare).clamp(0.0, 1.0).to(rgb), share


def _continued(linear: Tensor, hidden: Tensor, inside: Tensor) -> Tensor:
    """Colors [h, w, 3] from the pixels that are not hidden, by ever wider means (pull and push)."""
    weight = ((1.0 - hidden) * inside).clamp_min(0.0)
    weight = torch.where(weight > 0.5, weight, torch.zeros_like(weight))
    values = torch.cat([linear * weight[..., None], weight[..., None]], dim=-1).permute(2, 0, 1)[None]
    levels, shape = [values], values.shape[-2:]
    while min(levels[-1].shape[-2:]) > 1:
        levels.append(F.avg_pool2d(levels[-1], 2, ceil_mode=True))
    total = levels[-1]
    for level in levels[-2::-1]:
        wider = F.interpolate(total, level.shape[-2:], mode="bilinear", align_corners=False)
        known = level[:, 3:].clamp(0.0, 1.0)
        mean = wider[:, :3] / wider[:, 3:].clamp_min(1e-9)
        colors = level[:, :3] + (1.0 - known) * mean
        total = torch.cat([colors, torch.ones_like(known)], dim=1)
    assert total.shape[-2:] == shape
    return total[0, :3].permute(1, 2, 0)
