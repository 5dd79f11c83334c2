"""Scores of an object that was asked for in words: no truth to compare with, only the prompt and what views show.

CLIP (weights that the user gives) measures the mean cosine of views and prompt, and R-precision: the share of views
whose own prompt is the nearest of all prompts of the set; 1 / (number of prompts) is what chance gives. Color
agreement needs no weights and says little: the share of covered pixels whose color has a name that the prompt says, by
`captions.color_name`; a ball in the right color reaches 1. The baselines `colored ball` and, where there is one,
`described object` show both ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from nerf2mesh.evaluate.metrics.perceptual import Clip
from nerf2mesh.evaluate.protocols.scoring import Prediction, Settings, as_prediction, render_views
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.types import Camera, Rendering

COLORS_RGB = {
    "black": (0.05, 0.05, 0.05),
    "grey": (0.5, 0.5, 0.5),
    "white": (1.0, 1.0, 1.0),
    "red": (0.85, 0.1, 0.1),
    "orange": (0.95, 0.5, 0.1),
    "brown": (0.45, 0.25, 0.1),
    "yellow": (0.95, 0.9, 0.1),
    "green": (0.1, 0.7, 0.15),
    "cyan": (0.1, 0.85, 0.85),
    "blue": (0.1, 0.25, 0.85),
    "purple": (0.5, 0.1, 0.8),
    "pink": (0.95, 0.3, 0.75),
}
"""One color of each name."""
_LEVELS = 32
_VIEWS_AT_ONCE = 16


@dataclass(frozen=True)
class TextCase:
    """One prompt, all prompts of its set, and the views in which the result is looked at."""

    name: str
    prompt: str
    prompts: tuple[str, ...]
    novel_cameras: Camera
    settings: Settings = field(default_factory=Settings)
    mesh: TriangleMesh | None = None
    """The object that the prompt describes, where there is one."""
    frame: Callable[[TriangleMesh], TriangleMesh] | None = None
    """What puts a mesh into the frame in which it is looked at; None: as it lies."""
    aggregate: Callable[[Float[Tensor, "n"]], float] | None = None
    """What makes one score of those of all views, besides their mean."""

    @property
    def given(self) -> tuple[object, ...]:
        """What a method is called with."""
        return (self.prompt,)


def score_words(case: TextCase, prediction: Prediction | TriangleMesh, clip: Clip | None = None) -> dict[str, float]:
    """color_agreement where the prompt names a color; clip_text, r_precision (and clip_t3bench) with CLIP weights."""
    prediction, wanted = as_prediction(prediction), color_words(case.prompt)
    if not wanted and clip is None:
        return {}
    own, agreement, cosines = case.prompts.index(case.prompt), [], []
    texts = None if clip is None else clip.texts(case.prompts).T
    for index in torch.arange(len(case.novel_cameras.camera_to_world)).split(_VIEWS_AT_ONCE):
        views = _views(case, prediction, case.novel_cameras[index])
        agreement.append(color_agreement(views, wanted))
        if clip is not None and texts is not None:
            cosines.append(clip.images(views.over(case.settings.background).clamp(0, 1)) @ texts)
    scores = {"color_agreement": float(torch.cat(agreement).mean())} if wanted else {}
    if clip is not None:
        table = torch.cat(cosines)
        scores |= {"clip_text": float(table[:, own].mean()), "r_precision": _share_nearest(table, own)}
        scores |= {"clip_t3bench": case.aggregate(table[:, own])} if case.aggregate else {}
    return scores


def color_words(prompt: str) -> list[str]:
    """The colors that a prompt names, in their order, each once ("gray" is grey)."""
    words = re.findall(r"[a-z]+", prompt.lower().replace("gray", "grey"))
    return list(dict.fromkeys(word for word in words if word in COLORS_RGB))


def color_agreement(views: Rendering, wanted: list[str]) -> Float[Tensor, "n"]:
    """The share of each view's covered pixels (opacity above one half) whose color is named so; 0 where none is."""
    names, covered = _color_table(), views.opacity > 0.5
    rgb = views.rgb / views.opacity.clamp_min(1e-6)[..., None]
    level = (rgb.clamp(0, 1) * (_LEVELS - 1)).round().long()
    index = names[(level[..., 0] * _LEVELS + level[..., 1]) * _LEVELS + level[..., 2]]
    hit = torch.isin(index, torch.tensor([list(COLORS_RGB).index(word) for word in wanted]))
    return (hit & covered).sum((1, 2)) / covered.sum((1, 2)).clamp_min(1)


def colored_ball(case: TextCase) -> Prediction:
    """A ball in the first color that the prompt names, grey where it names none."""
    from nerf2mesh.mesh.shapes import icosphere

    ball = icosphere(4, 0.6)
    color = COLORS_RGB[(color_words(case.prompt) or ["grey"])[0]]
    colors = np.tile(color, (len(ball.vertices), 1))
    return Prediction(mesh=TriangleMesh(ball.vertices, ball.faces, vertex_colors=colors))


def described_object(case: TextCase) -> Prediction:
    """The object whose caption the prompt is."""
    return Prediction(mesh=case.mesh)


def _views(case: TextCase, prediction: Prediction, cameras: Camera) -> Rendering:
    mesh = prediction.mesh
    if mesh is None:
        return prediction.rendered(cameras)
    if case.frame is not None:
        mesh = case.frame(mesh)
    return render_views(mesh, cameras, case.settings)


def _share_nearest(cosines: Float[Tensor, "n m"], own: int) -> float:
    return float((cosines.argmax(dim=1) == own).float().mean())


@lru_cache(maxsize=1)
def _color_table() -> Tensor:
    """The place in COLORS_RGB of the name of each color of a lattice, red slowest."""
    from nerf2mesh.procedural.captions import color_name

    axis, places = np.linspace(0, 1, _LEVELS), {word: k for k, word in enumerate(COLORS_RGB)}
    return torch.tensor([places[color_name(np.array([r, g, b]))] for r in axis for g in axis for b in axis])
