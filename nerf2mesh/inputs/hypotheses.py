"""Several answers to what a picture's object is, each with a score, and how sure the best one is.

Plain grounds are flooded from the border; the segmentation network answers, and GrabCut starts from its map or from the
middle of the picture. Each mask is scored by whether its edge lies on edges of the picture and by the network's map.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8

from nerf2mesh.inputs import grabcut
from nerf2mesh.inputs.bars import Window, content_window
from nerf2mesh.inputs.config import DRAWINGS, InputConfig
from nerf2mesh.inputs.hints import Hints
from nerf2mesh.inputs.mask_quality import EdgeMap, agreement, connectedness, overlap
from nerf2mesh.inputs.masks import tidy
from nerf2mesh.inputs.plain import background_plane, plain_mask
from nerf2mesh.inputs.segmentation.predict import object_probability

WORKING_PX = 480
"""Pictures are made this small for all that is not flooding."""
PLAIN_BORDER = 0.85
"""Share of the border that has to fit a plain background."""
BLANK = 0.5
"""Standard deviation in levels of 255 below which there is nothing to see."""
CLOSE = 0.12
"""Scores that differ by less are about the same."""
SAME = 0.93
"""Masks that overlap more than this are one answer."""


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """A mask [h, w] of the whole picture; edge, agreement in [0, 1] and the score made of them."""

    method: str
    mask: Bool[np.ndarray, "h w"]
    edge: float = 0.0
    agreement: float = 0.0
    score: float = 0.0


@dataclass(frozen=True, eq=False)
class Answers:
    """Hypotheses by falling score, at most three that differ; confidence in the first, 0 to 1."""

    ranked: list[Hypothesis]
    confidence: float
    window: Window
    hinted: bool
    probability: Float[np.ndarray, "h w"]


class Study:
    """What is known about a picture's content, without its bars, for making and scoring hypotheses."""

    def __init__(self, rgb: UInt8[np.ndarray, "h w 3"], config: InputConfig, hints: Hints) -> None:
        import cv2

        self.config, self.hints, self.rgb = config, hints, np.ascontiguousarray(rgb)
        height, width = rgb.shape[:2]
        scale = min(1.0, WORKING_PX / max(height, width))
        size = max(8, round(width * scale)), max(8, round(height * scale))
        self.small = cv2.resize(self.rgb, size, interpolation=cv2.INTER_AREA)
        self.edges = EdgeMap(self.small)
        self.sure = hints.scaled(scale).maps(*self.small.shape[:2])
        self.box = hints.scaled(scale).box_in(*self.small.shape[:2])

    @property
    def is_blank(self) -> bool:
        """Whether the picture is one color all over, so that nothing in it is an object."""
        return bool(self.small.reshape(-1, 3).std(0).max() < BLANK)

    @cached_property
    def probability(self) -> Float[np.ndarray, "h w"]:
        """The network's map of the small picture, with the hints worked in."""
        given = self.config.foreground_weights
        look = partial(object_probability, self.small, Path(given).expanduser() if given else None)
        return self.hints.imposed(look(self.box), self.sure, self.small, look)

    @cached_property
    def plane(self) -> tuple[Float[np.ndarray, "h w"], float]:
        """`background_plane` of the picture at its full size."""
        return background_plane(self.rgb.astype(np.float32) / 255.0)

    def masks(self) -> list[tuple[str, np.ndarray]]:
        """Methods and masks, at the size of the picture or of `small`."""
        probability = self.probability
        cut = grabcut.without_glints(grabcut.seeded(self.small, probability, self.sure))
        found = [("network", tidy(probability > 0.5)), ("network+grabcut", tidy(cut))]
        if not self.hints:
            found.append(("grabcut", grabcut.centered(self.small)))
        elif self.box is not None:
            found.append(("grabcut", grabcut.centered(self.small, self.box) & ~self.sure[1]))
        distance, fitting = self.plane
        if fitting > PLAIN_BORDER and not self.hints:
            flooded = plain_mask(distance, self.config.plain_tolerance, holes=self.config.domain not in DRAWINGS)
            found += [("plain", flooded), ("plain+network", self._joined(flooded))]
        return found

    def other_masks(self) -> list[tuple[str, np.ndarray]]:
        """Masks to choose from where the methods have fewer than three: more and less of the network's map."""
        return [(f"network at {level:.0%}", tidy(self.probability > level)) for level in (0.15, 0.85)]

    def _joined(self, flooded: np.ndarray) -> np.ndarray:
        """What the flood left, without what is none of it to the network (shadows), and with what it is sure of."""
        import cv2

        height, width = flooded.shape
        probability = cv2.resize(self.probability, (width, height), interpolation=cv2.INTER_LINEAR)
        reach = 2 * max(1, round(0.008 * max(height, width))) + 1
        near = cv2.dilate((probability > 0.3).astype(np.uint8), np.ones((reach, reach), np.uint8)).astype(bool)
        core = cv2.erode((probability > 0.8).astype(np.uint8), np.ones((reach, reach), np.uint8)).astype(bool)
        return tidy((flooded & near) | core)

    def scored(self, method: str, mask: np.ndarray) -> Hypothesis:
        """A hypothesis of the picture's size; its edge and agreement are measured at the small size."""
        small, large = _resized(mask, self.small.shape[:2]), _resized(mask, self.rgb.shape[:2])
        edge, agrees = self.edges.alignment(small), agreement(small, self.probability)
        within = float((small & (self.probability > 0.5)).sum() / max(small.sum(), 1))
        return Hypothesis(method, self.hints.kept(large), edge, agrees, _score(method, edge, agrees, within))


def study(rgb: UInt8[np.ndarray, "h w 3"], config: InputConfig, file_size_px: tuple[int, int], path: str) -> Answers:
    """The answers for a picture; hints count pixels of the file, which may have been larger."""
    height, width = rgb.shape[:2]
    hints = Hints.of(config, max(height, width) / max(file_size_px))
    hints.check(height, width, path)
    window = Window(0, height, 0, width) if hints else content_window(rgb)
    inner = Study(rgb[window.slices], config, hints)
    found = [] if inner.is_blank else [inner.scored(method, mask) for method, mask in inner.masks()]
    free = config.foreground not in ("network", "grabcut")
    if not free:
        found = [h for h in found if h.method.endswith(config.foreground)]
    last = [inner.scored(method, mask) for method, mask in inner.other_masks()] if found and free else []
    ranked = _different([*_ordered(found), *last])
    sure = _confidence(ranked, found) if ranked else 0.0
    padded = [replace(h, mask=_padded(h.mask, window, height, width)) for h in ranked]
    return Answers(padded, sure, window, bool(hints), inner.probability)


def _score(method: str, edge: float, agrees: float, within: float) -> float:
    """Of a mask whose share `within` lies where the network sees the object.

    A flood that ends on sharp edges everywhere and inside of the network's mask is the finer answer (spokes, gaps).
    """
    finer = 0.15 if method == "plain" and edge > 0.85 and within > 0.9 else 0.0
    return 0.6 * edge + 0.4 * agrees + finer + (0.03 if method == "plain" else 0.0)


def _ordered(found: list[Hypothesis]) -> list[Hypothesis]:
    """By falling score; a flood that sees the same object as the best answer, and scores about as well, comes first."""
    ranked = sorted(found, key=lambda h: -h.score)
    for h in ranked:
        if h.method == "plain" and h.score > ranked[0].score - CLOSE and overlap(h.mask, ranked[0].mask) > SAME:
            return [h, *(other for other in ranked if other is not h)]
    return ranked


def _different(ranked: list[Hypothesis]) -> list[Hypothesis]:
    """The best three that are neither empty nor full nor nearly the same as a better one."""
    kept: list[Hypothesis] = []
    for h in ranked:
        if 1e-3 < h.mask.mean() < 0.98 and all(overlap(h.mask, other.mask) < SAME for other in kept):
            kept.append(h)
    return kept[:3]


def _confidence(ranked: list[Hypothesis], found: list[Hypothesis]) -> float:
    """Of the best answer: its edge, the network's agreement, and the other methods' that see the same object."""
    best = ranked[0]
    others = [overlap(best.mask, h.mask) for h in found if h.method != best.method]
    support = max(others, default=0.0)
    return float((0.25 + 0.75 * best.edge) ** 0.5 * (0.5 * best.agreement + 0.5 * support) * connectedness(best.mask))


def _resized(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    import cv2

    if mask.shape == shape[:2]:
        return mask
    return cv2.resize(mask.astype(np.float32), (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR) > 0.5


def _padded(mask: np.ndarray, window: Window, height: int, width: int) -> np.ndarray:
    whole = np.zeros((height, width), bool)
    whole[window.slices] = mask
    return whole
