"""A multinomial logistic regression on `features`; `python -m benchmarks domain` fits it and measures it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float

from nerf2mesh.inputs.config import DRAWINGS
from nerf2mesh.inputs.domain.features import NAMES, features

KINDS = ("photo", "lineart", "pencil", "cel", "blueprint", "pixelart")
PACKAGED = Path(__file__).with_name("kinds.json")
SUPPOSED = "lineart"
"""With auto the object is first cut out as if it were drawn."""
SURE = 0.9
"""Probability from which a picture is taken for another kind than a photo."""
FARTHEST = 6.0
"""Standard deviations at which a feature is cut: pictures unlike any that was seen must not be sure of anything."""


@dataclass(frozen=True)
class Verdict:
    """The kind that a run acts on, the most probable one and its probability."""

    acted: str
    likely: str
    probability: float

    @property
    def text(self) -> str:
        """Such as "lineart (0.97)"; where the run acts on another kind, that too."""
        said = f"{self.likely} ({self.probability:.2f})"
        return said if self.acted == self.likely else f"{said}, not sure: taken for a {self.acted}"


def classified(rgba: Float[np.ndarray, "h w 4"]) -> Verdict:
    """The kind of a cut-out picture, straight alpha in [0, 1]; a photo where no other kind is SURE."""
    chances = kind_probabilities(rgba)
    best = int(chances.argmax())
    return Verdict(KINDS[acted_on(chances)], KINDS[best], float(chances[best]))


def acted_on(chances: Float[np.ndarray, "6"]) -> int:
    """The number of the kind that a run acts on: the most probable one where it is SURE, or where the kinds made of
    strokes, which are acted on alike, are SURE together; else 0, a photo."""
    best, strokes = int(chances.argmax()), [number for number, kind in enumerate(KINDS) if kind in DRAWINGS]
    together = chances[strokes].sum() if best in strokes else chances[best]
    return best if together >= SURE else 0


def understood(domain: str, rgba: Float[np.ndarray, "h w 4"]) -> tuple[str, dict[str, object], list[str]]:
    """The domain of a run: the user's word, or with auto what the cut-out picture looks like; then also the note for
    the report and, where it is no photo for certain, the warning."""
    if domain != "auto":
        return domain, {}, []
    verdict = classified(rgba)
    notes: dict[str, object] = {"kind": {"kind of picture": verdict.text}}
    if verdict.acted != "photo":
        paper = ", so that its paper is not taken for the object's color" if verdict.acted in DRAWINGS else ""
        return verdict.acted, notes, [f"the picture was taken for {verdict.text}{paper}; input.domain says otherwise"]
    if verdict.likely != "photo":
        return "photo", notes, [f"the picture looks like {verdict.text}; input.domain says what it is"]
    return "photo", notes, []


def kind_probabilities(rgba: Float[np.ndarray, "h w 4"]) -> Float[np.ndarray, "6"]:
    """One for each of KINDS, of sum 1."""
    fitted = _fitted()
    return probabilities(features(rgba)[None], fitted["mean"], fitted["std"], fitted["weight"], fitted["bias"])[0]


def probabilities(
    found: Float[np.ndarray, "n k"],
    mean: Float[np.ndarray, "k"],
    std: Float[np.ndarray, "k"],
    weight: Float[np.ndarray, "c k"],
    bias: Float[np.ndarray, "c"],
) -> Float[np.ndarray, "n c"]:
    """The softmax of a linear map of standardized features."""
    scores = np.clip((found - mean) / std, -FARTHEST, FARTHEST) @ weight.T + bias
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    return scores / scores.sum(-1, keepdims=True)


@lru_cache(maxsize=1)
def _fitted() -> dict[str, np.ndarray]:
    stored = json.loads(PACKAGED.read_text(encoding="utf-8"))
    assert stored["features"] == list(NAMES) and stored["kinds"] == list(KINDS), "fit it again: benchmarks domain"
    return {name: np.array(stored[name], np.float64) for name in ("mean", "std", "weight", "bias")}
