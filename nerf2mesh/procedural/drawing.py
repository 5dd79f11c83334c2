"""Drawings of G-buffers: line, contour, outline, cel, pencil, blueprint, plain maps. Pure functions, any device.

Every look (drawing style) maps a G-buffer (`gbuffer`; images [..., h, w, *]) to a straight-alpha picture
[..., h, w, 4] whose alpha is the object's own: lines are drawn inside the silhouette, so that a drawing's mask is as
accurate as a photo's. Widths scale with the image's height. `seed` varies the strokes of looks that have strokes.

Lines are occluding contours (borders of the silhouette, steps in depth), creases (steps between normals) and suggestive
contours (DeCarlo, Finkelstein, Rusinkiewicz, Santella 2003, the image-space algorithm of their section 5.1: valleys of
the cosine between normal and view).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from nerf2mesh.procedural.gbuffer import GBuffer

DEPTH_STEP = 0.03
"""Second difference of depth, in world units, that counts as one surface in front of another."""
CREASE_DEG = 40.0
LIGHT = (0.55, -0.45, 0.7)
"""Where the light of cel and pencil drawings comes from: the front, the viewer's left, above."""


def draw(buffer: GBuffer, look: str, *, seed: int = 0) -> Tensor:
    """The picture of a G-buffer in one of LOOK_FUNCTIONS' looks. Raises ValueError for another name."""
    if look not in LOOK_FUNCTIONS:
        raise ValueError(f"look: expected {', '.join(LOOK_FUNCTIONS)}, got {look!r}; choose one of these")
    rgb = LOOK_FUNCTIONS[look](buffer, seed)
    return torch.cat([rgb.clamp(0, 1) * (buffer["alpha"] > 0)[..., None], buffer["alpha"][..., None]], dim=-1)


def photo(buffer: GBuffer, seed: int = 0) -> Tensor:
    """The shaded picture itself."""
    return _over_alpha(buffer, "rgb")


def albedo(buffer: GBuffer, seed: int = 0) -> Tensor:
    """Base colors without light."""
    return _over_alpha(buffer, "albedo")


def normals(buffer: GBuffer, seed: int = 0) -> Tensor:
    """World normals as colors: 0.5 + 0.5 n."""
    return 0.5 + 0.5 * _unit_normals(buffer)


def depths(buffer: GBuffer, seed: int = 0) -> Tensor:
    """Grey, white at the nearest point of the object, dark at the farthest."""
    covered = buffer["alpha"] > 0.5
    near = torch.where(covered, buffer["depth"], math.inf).amin((-2, -1), keepdim=True)
    far = torch.where(covered, buffer["depth"], -math.inf).amax((-2, -1), keepdim=True)
    grey = 1.0 - 0.8 * (buffer["depth"] - near) / (far - near).clamp_min(1e-6)
    return grey.nan_to_num(0.0)[..., None].expand(*grey.shape, 3)


def silhouette(buffer: GBuffer, seed: int = 0) -> Tensor:
    """The object in black."""
    return torch.zeros_like(buffer["rgb"])


def line(buffer: GBuffer, seed: int = 0) -> Tensor:
    """Black ink on white paper."""
    return 1.0 - 0.92 * line_strength(buffer)[..., None].expand_as(buffer["rgb"])


def contour(buffer: GBuffer, seed: int = 0) -> Tensor:
    """Black ink on white paper, occluding contours alone: what stands before what, nothing of the surface itself."""
    return _inked(contours(buffer), buffer)


def outline(buffer: GBuffer, seed: int = 0) -> Tensor:
    """Black ink on white paper, the border of the silhouette alone."""
    return _inked(borders(buffer), buffer)


def cel(buffer: GBuffer, seed: int = 0) -> Tensor:
    """Flat base colors in three tones of light, with dark outlines."""
    tone = tones(buffer)
    bands = torch.where(tone > 0.62, 1.0, torch.where(tone > 0.38, 0.8, 0.58))
    color = _over_alpha(buffer, "albedo") * bands[..., None]
    ink = line_strength(buffer, suggestive=False)[..., None]
    return color * (1.0 - 0.9 * ink)


def pencil(buffer: GBuffer, seed: int = 0) -> Tensor:
    """Outlines and hatching in up to three directions where the tone (light times base color) falls."""
    luminance = (_over_alpha(buffer, "albedo") * torch.tensor([0.3, 0.59, 0.11]).to(buffer["rgb"])).sum(-1)
    tone = (0.35 + 0.65 * tones(buffer)) * (0.35 + 0.65 * luminance)
    height, width = tone.shape[-2:]
    period = max(4.0, height / 42)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    wobble = smooth_noise(height, width, seed)
    dark = torch.zeros_like(tone)
    for angle_deg, limit in ((50.0, 0.78), (-35.0, 0.52), (5.0, 0.3)):
        angle = math.radians(angle_deg)
        across = (x * math.cos(angle) + y * math.sin(angle) + 0.35 * period * wobble).to(tone)
        stroke = (0.5 + 0.5 * torch.sin(2 * math.pi * across / period)).pow(1.5)
        dark = torch.maximum(dark, stroke * ((limit - tone) / 0.15).clamp(0, 1) * 0.55)
    grain = 0.03 * smooth_noise(height, width, seed + 1, cell=2).to(tone)
    ink = torch.maximum(dark, 0.75 * line_strength(buffer))
    return (0.97 + grain - ink)[..., None].expand_as(buffer["rgb"])


def blueprint(buffer: GBuffer, seed: int = 0) -> Tensor:
    """Pale lines on blue."""
    ink = line_strength(buffer)[..., None]
    return torch.tensor([0.10, 0.25, 0.55]).to(ink) * (1 - ink) + torch.tensor([0.88, 0.93, 1.0]).to(ink) * ink


LOOK_FUNCTIONS: dict[str, Callable[[GBuffer, int], Tensor]] = {
    "photo": photo, "albedo": albedo, "normals": normals, "depths": depths, "silhouette": silhouette, "line": line,
    "contour": contour, "outline": outline, "cel": cel, "pencil": pencil, "blueprint": blueprint,
}  # fmt: skip
"""Name of a look -> function from a G-buffer and a seed to colors [..., h, w, 3]."""


def line_strength(buffer: GBuffer, *, suggestive: bool = True) -> Tensor:
    """How much ink lies on each pixel [..., h, w], 0 to 1."""
    height = buffer["alpha"].shape[-2]
    strong = (contours(buffer) | creases(buffer)).to(buffer["alpha"].dtype)
    ink = _widened(strong, max(1.0, height / 110))
    if suggestive:
        weak = suggestive_contours(buffer).to(ink.dtype)
        ink = torch.maximum(ink, 0.8 * _widened(weak, max(1.0, height / 200)))
    return ink * (buffer["alpha"] > 0)


def borders(buffer: GBuffer) -> Tensor:
    """Pixels [..., h, w] of the object beside the background."""
    covered = buffer["alpha"] > 0.5
    found = torch.zeros_like(covered)
    for axis in (-2, -1):
        found |= covered & ~(_shifted(covered, axis, 1) & _shifted(covered, axis, -1))
    return found


def contours(buffer: GBuffer) -> Tensor:
    """Occluding contours [..., h, w]: pixels of the object beside the background, or just before a step in depth."""
    covered, depth, found = buffer["alpha"] > 0.5, buffer["depth"], borders(buffer)
    for axis in (-2, -1):
        before, after = (_shifted(covered, axis, by) for by in (1, -1))
        bulge = _shifted(depth, axis, 1) + _shifted(depth, axis, -1) - 2 * depth
        found |= covered & before & after & (bulge > DEPTH_STEP)
    return found


def creases(buffer: GBuffer) -> Tensor:
    """Pixels whose normal turns by more than CREASE_DEG to the next pixel on the same surface."""
    covered, depth, normal = buffer["alpha"] > 0.5, buffer["depth"], _unit_normals(buffer)
    found = torch.zeros_like(covered)
    for axis in (-2, -1):
        cosine = (normal * _shifted(normal, axis - 1, -1)).sum(-1)
        near = (depth - _shifted(depth, axis, -1)).abs() < DEPTH_STEP
        found |= covered & _shifted(covered, axis, -1) & near & (cosine < math.cos(math.radians(CREASE_DEG)))
    return found


def suggestive_contours(buffer: GBuffer, *, share: float = 0.2, rise: float = 0.15) -> Tensor:
    """Valleys of `facing`: few pixels of the disc around are darker (at most `share`), and some are brighter by `rise`.

    Only where the whole disc is covered by one surface, so that contours themselves do not count.
    """
    facing, depth = buffer["facing"], buffer["depth"]
    radius = max(2, round(facing.shape[-2] / 64))
    covered = (buffer["alpha"] > 0.5).to(facing.dtype)
    steps = [(dy, dx) for dy in range(-radius, radius + 1) for dx in range(-radius, radius + 1)]
    disc = [(dy, dx) for dy, dx in steps if 0 < dy * dy + dx * dx <= radius * radius]
    darker, brightest = torch.zeros_like(facing), torch.zeros_like(facing)
    whole = covered > 0
    for dy, dx in disc:
        other = _shifted(_shifted(facing, -2, dy), -1, dx)
        step = (_shifted(_shifted(depth, -2, dy), -1, dx) - depth).abs() < 4 * DEPTH_STEP
        whole &= (_shifted(_shifted(covered, -2, dy), -1, dx) > 0) & step
        darker, brightest = darker + (other < facing), torch.maximum(brightest, other)
    return whole & (darker <= share * len(disc)) & (brightest - facing > rise)


def tones(buffer: GBuffer) -> Tensor:
    """Half-Lambert light from LIGHT, 0 to 1."""
    light = torch.tensor(LIGHT).to(buffer["normal"])
    return 0.5 + 0.5 * (_unit_normals(buffer) * light / light.norm()).sum(-1)


def smooth_noise(height: int, width: int, seed: int, *, cell: int = 12) -> Tensor:
    """Values in [-1, 1] that change over `cell` pixels; the same for the same seed."""
    size = (1, 1, height // cell + 2, width // cell + 2)
    coarse = torch.rand(size, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=True)[0, 0]


def _inked(mask: Tensor, buffer: GBuffer) -> Tensor:
    """Lines [..., h, w] of one width in black on white [..., h, w, 3], cut at the silhouette."""
    strong = mask.to(buffer["alpha"].dtype)
    ink = _widened(strong, max(1.0, strong.shape[-2] / 110)) * (buffer["alpha"] > 0)
    return 1.0 - 0.92 * ink[..., None].expand_as(buffer["rgb"])


def _over_alpha(buffer: GBuffer, key: str) -> Tensor:
    return buffer[key] / buffer["alpha"].clamp_min(1e-6)[..., None]


def _unit_normals(buffer: GBuffer) -> Tensor:
    return F.normalize(buffer["normal"], dim=-1)


def _shifted(values: Tensor, axis: int, by: int) -> Tensor:
    """values moved by `by` pixels along an axis, zeros coming in."""
    moved = values.roll(by, axis)
    edge = slice(0, by) if by > 0 else slice(by, None)
    if by:
        moved.movedim(axis, 0)[edge] = 0
    return moved


def _widened(mask: Tensor, width_px: float) -> Tensor:
    """A mask [..., h, w] grown to lines of about `width_px` with soft edges."""
    flat = mask.reshape(-1, 1, *mask.shape[-2:])
    side = 2 * math.floor((width_px - 1) / 2 + 0.5) + 1
    grown = F.max_pool2d(flat, side, 1, side // 2) if side > 1 else flat
    soft = F.avg_pool2d(grown, 3, 1, 1, count_include_pad=False)
    return torch.maximum(0.75 * grown, soft).clamp(0, 1).reshape(mask.shape)
