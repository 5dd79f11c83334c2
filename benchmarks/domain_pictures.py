"""Pictures of every kind, drawn from G-buffers of objects: what the classifier of `inputs.domain` is fitted to.

Looks are those of `procedural.drawing`, each in many hands: ink, paper, width, strength, blur, noise, compression. A
hand is drawn from the `seen` or from the `unseen` ranges, which do not overlap: other inks and papers, other widths,
other tints of blueprints, other block sizes and palettes, other lights.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

from nerf2mesh.procedural.drawing import draw
from nerf2mesh.procedural.gbuffer import GBuffer


@dataclass(frozen=True)
class Hands:
    """The ranges that pictures are drawn from; colors in sRGB."""

    inks: tuple[tuple[float, float, float], ...]
    wider_px: tuple[int, ...]
    papers: tuple[tuple[float, float, float], ...]
    blues: tuple[tuple[float, float, float], ...]
    blocks_px: tuple[int, ...]
    sprites_px: tuple[int, int]
    palette: tuple[int, int]
    ambient: tuple[float, float]
    strength: tuple[float, float]
    quality: tuple[int, int]


SEEN = Hands(
    inks=((0.0, 0.0, 0.0), (0.15, 0.15, 0.15), (0.1, 0.1, 0.3), (0.05, 0.25, 0.15), (0.25, 0.15, 0.35)),
    wider_px=(0, 0, 2),
    papers=((1.0, 1.0, 1.0), (0.97, 0.96, 0.92), (0.93, 0.93, 0.93)),
    blues=((0.10, 0.25, 0.55), (0.05, 0.15, 0.40), (0.15, 0.35, 0.65)),
    blocks_px=(3, 4, 6, 8),
    sprites_px=(24, 48),
    palette=(6, 16),
    ambient=(0.35, 0.75),
    strength=(0.65, 1.0),
    quality=(70, 95),
)
UNSEEN = Hands(
    inks=((0.35, 0.2, 0.1), (0.3, 0.3, 0.32), (0.45, 0.05, 0.05)),
    wider_px=(1, 3),
    papers=((0.95, 0.90, 0.80), (0.88, 0.90, 0.92), (0.98, 0.94, 0.94)),
    blues=((0.02, 0.10, 0.28), (0.10, 0.40, 0.60), (0.20, 0.25, 0.60)),
    blocks_px=(5, 7, 10),
    sprites_px=(56, 72),
    palette=(20, 32),
    ambient=(0.1, 0.3),
    strength=(0.55, 0.65),
    quality=(45, 68),
)


def drawn_kind(buffer: GBuffer, kind: str, hands: Hands, rng: np.random.Generator) -> np.ndarray:
    """One picture [h, w, 4] float32 of an object's G-buffer [h, w, *]."""
    if kind == "pixelart":
        return _pixel_art(buffer, hands, rng)
    if kind == "photo":
        rgba = _photo(buffer, hands, rng)
    else:
        look = {"lineart": "line", "pencil": "pencil", "cel": "cel", "blueprint": "blueprint"}[kind]
        batched = {name: values[None] for name, values in buffer.items()}
        rgba = draw(batched, look, seed=int(rng.integers(1 << 30)))[0].numpy().astype(np.float32)
        rgba[..., :3] = _in_hand(rgba[..., :3], kind, hands, rng)
    return _taken(rgba, hands, rng)


def _in_hand(rgb: np.ndarray, kind: str, hands: Hands, rng: np.random.Generator) -> np.ndarray:
    """The same drawing with other ink and paper."""
    if kind == "cel":
        return np.clip(rgb * rng.uniform(0.85, 1.1), 0.0, 1.0)
    base = rgb.mean(-1, keepdims=True)
    ink = (base - 0.25) / 0.67 if kind == "blueprint" else 1.0 - base
    wider = int(hands.wider_px[rng.integers(len(hands.wider_px))])
    ink = ndimage.grey_dilation(ink, size=(wider + 1, wider + 1, 1)) if kind != "pencil" else ink
    ink = np.clip(ink, 0.0, 1.0) * rng.uniform(*hands.strength)
    if kind == "blueprint":
        paper, pen = np.array(hands.blues[rng.integers(len(hands.blues))]), np.array([0.88, 0.93, 1.0])
    else:
        paper = np.array(hands.papers[rng.integers(len(hands.papers))])
        pen = np.array(hands.inks[rng.integers(len(hands.inks))])
    return (paper * (1.0 - ink) + pen * ink).astype(np.float32)


def _photo(buffer: GBuffer, hands: Hands, rng: np.random.Generator) -> np.ndarray:
    """A lit rendering: wrapped light from a side, exposure and tint; at times pale, glossy, rough, black and white."""
    alpha = buffer["alpha"].numpy()
    normal = torch.nn.functional.normalize(buffer["normal"], dim=-1).numpy()
    albedo = buffer["albedo"].numpy() / np.maximum(alpha[..., None], 1e-6)
    plain = rng.random()
    if plain < 0.3:  # one color: plaster, porcelain, paper; or any
        color = rng.uniform(0.6, 1.0) * rng.uniform(0.93, 1.0, 3) if plain < 0.15 else rng.uniform(0.05, 0.95, 3)
        albedo = np.broadcast_to(color, albedo.shape)
    light = rng.normal(size=3)
    light[2] = abs(light[2]) + 0.2
    light /= np.linalg.norm(light)
    wrap, ambient = rng.uniform(0.0, 1.0), rng.uniform(*hands.ambient) if rng.random() < 0.85 else 1.0
    cosine = np.clip((normal @ light + wrap) / (1.0 + wrap), 0.0, 1.0)[..., None]
    color = albedo * (ambient + (1.0 - ambient) * cosine)
    if rng.random() < 0.4:
        color = color + rng.uniform(0.1, 0.5) * np.clip(normal @ light, 0, 1)[..., None] ** rng.uniform(8, 40)
    color = color * rng.uniform(0.7, 1.2) * rng.uniform(0.9, 1.1, 3)
    if rng.random() < 0.2:
        color = np.repeat(color.mean(-1, keepdims=True), 3, -1)
    if rng.random() < 0.35:  # a rough or patterned surface: stone, cloth, grass
        cell = rng.integers(1, 9)
        grain = rng.normal(size=(max(2, color.shape[0] // cell), max(2, color.shape[1] // cell)))
        rough = np.asarray(
            Image.fromarray(grain.astype(np.float32)).resize(color.shape[1::-1], Image.Resampling.BICUBIC)
        )
        color = color * (1.0 + rng.uniform(0.02, 0.4) * rough[..., None])
    return np.concatenate([np.clip(color, 0.0, 1.0), alpha[..., None]], -1).astype(np.float32)


def _pixel_art(buffer: GBuffer, hands: Hands, rng: np.random.Generator) -> np.ndarray:
    """A small picture in a palette, enlarged by whole blocks or left as it is."""
    look = drawn_kind(buffer, "cel" if rng.random() < 0.5 else "photo", hands, rng)
    side = int(rng.integers(*hands.sprites_px))
    small = Image.fromarray(np.round(look * 255).astype(np.uint8), "RGBA").resize((side, side), Image.Resampling.BOX)
    flat = small.convert("RGB").quantize(int(rng.integers(*hands.palette)), dither=Image.Dither.NONE).convert("RGB")
    alpha = (np.asarray(small)[..., 3:] > 127).astype(np.float32)
    rgba = np.concatenate([np.asarray(flat, np.float32) / 255.0, alpha], -1)
    block = int(hands.blocks_px[rng.integers(len(hands.blocks_px))]) if rng.random() < 0.85 else 1
    return np.kron(rgba, np.ones((block, block, 1), np.float32))


def _taken(rgba: np.ndarray, hands: Hands, rng: np.random.Generator) -> np.ndarray:
    """What a camera, a scanner or the web does to a picture: size, blur, noise, exposure, JPEG."""
    side = int(rng.integers(110, 330))
    image = Image.fromarray(np.round(rgba * 255).clip(0, 255).astype(np.uint8), "RGBA")
    values = np.asarray(image.resize((side, side), Image.Resampling.BICUBIC), np.float32) / 255.0
    color = values[..., :3] * rng.uniform(0.93, 1.05) + rng.uniform(0.0, 0.02) * rng.normal(size=(side, side, 1))
    data = io.BytesIO()
    filled = color * values[..., 3:] + color[values[..., 3] > 0.5].mean(0) * (1.0 - values[..., 3:])
    picture = Image.fromarray(np.round(filled * 255).clip(0, 255).astype(np.uint8))
    if rng.random() < 0.6:
        picture.save(data, "JPEG", quality=int(rng.integers(*hands.quality)))
        picture = Image.open(data)
    return np.concatenate([np.asarray(picture, np.float32) / 255.0, values[..., 3:]], -1)
