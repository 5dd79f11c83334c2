"""Which pixels of a picture are the object.

Every method takes RGBA uint8 [h, w, 4] and returns straight RGBA float32 [h, w, 4] in [0, 1] whose alpha is the mask.
Colors at the mask's edge are cleaned of the background that shines through them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, UInt8

from nerf2mesh.inputs.candidates import UncertainMask
from nerf2mesh.inputs.config import CANDIDATES, DRAWINGS, InputConfig
from nerf2mesh.inputs.downloaded import birefnet_probability, rembg_matte
from nerf2mesh.inputs.hypotheses import PLAIN_BORDER, Answers, study
from nerf2mesh.inputs.masks import matte, parts, tidy
from nerf2mesh.inputs.picture import Picture
from nerf2mesh.inputs.plain import background_plane, plain_mask

ISLAND_SHARE = 0.005
"""Of the largest opaque part's area: smaller parts of an alpha channel are dust."""
FAINT = 0.03
"""Alpha up to here does not join two parts."""


@dataclass(frozen=True)
class Foreground:
    """rgba [h, w, 4] float32, straight alpha; `method` says how the mask was found."""

    rgba: Float[np.ndarray, "h w 4"]
    method: str
    warnings: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The mask's share of the picture."""
        return float(self.rgba[..., 3].mean())


def find_foreground(picture: Picture, config: InputConfig) -> Foreground:
    """The object, by the configured method; `auto` takes alpha, a drawing's paper by flooding, else the best of
    several answers (`hypotheses`).

    Raises:
        UncertainMask: `auto` has no answer that is sure enough; it holds the candidates.
        ValueError: the mask is empty or covers the whole picture, or the method does not fit the picture.
    """
    rgb = picture.rgba[..., :3]
    method = config.foreground
    if method == "none":
        opaque = np.ones((*rgb.shape[:2], 1), np.float32)
        return Foreground(np.concatenate([_unit(rgb), opaque], -1), method)
    if method == "alpha" or (method == "auto" and _is_cut_out(picture) and not (config.box or config.points)):
        found = _alpha(picture)
    elif method == "plain" or (method == "auto" and _is_on_paper(picture, config)):
        found = _plain(picture, config)
    elif method == "rembg":
        found = Foreground(rembg_matte(rgb), method, [_guessed(method)])
    elif method == "birefnet":
        mask = tidy(birefnet_probability(rgb, config.foreground_model) > 0.5)
        found = Foreground(matte(_unit(rgb), mask), method, [_guessed(method)])
    else:
        found = _answered(picture, config)
    _check_mask(picture, found)
    return found


def find_figures(picture: Picture, config: InputConfig) -> Foreground:
    """All that stands on a page: with `auto` and a plain ground, what a flood of the ground leaves, not one object."""
    config = config.without_questions()
    if config.foreground == "auto" and not _is_cut_out(picture):
        _, fitting = background_plane(_unit(picture.rgba[..., :3]))
        config = replace(config, foreground="plain") if fitting > PLAIN_BORDER else config
    return find_foreground(picture, config)


def _is_cut_out(picture: Picture) -> bool:
    return picture.has_alpha and bool((picture.rgba[..., 3] < 128).mean() > 1e-3)


def _is_on_paper(picture: Picture, config: InputConfig) -> bool:
    """Whether it is a drawing on a plain ground: flooding finds it, where the methods for photographs take its strokes
    for the object."""
    if config.domain not in DRAWINGS or config.box or config.points:
        return False
    return background_plane(_unit(picture.rgba[..., :3]))[1] > PLAIN_BORDER


def _answered(picture: Picture, config: InputConfig) -> Foreground:
    """The best hypothesis, the best of one method, or a candidate."""
    rgb, method = picture.rgba[..., :3], config.foreground
    answers = study(rgb, config, picture.file_size_px, picture.path)
    ranked = answers.ranked
    if method in CANDIDATES:
        number = CANDIDATES.index(method)
        if number >= len(ranked):
            raise ValueError(
                f"input.foreground: expected one of {len(ranked)} candidates for {picture.path}, got {method}; "
                "choose a lower one"
            )
        return _matted(rgb, answers, number, [])
    if not ranked:
        return Foreground(np.concatenate([_unit(rgb), np.zeros((*rgb.shape[:2], 1), np.float32)], -1), method)
    sure = answers.confidence
    if method == "auto" and not answers.hinted and sure < config.foreground_confidence:
        raise UncertainMask(rgb, [h.mask for h in ranked], sure, picture.path)
    said = [] if ranked[0].method == "plain" else [f"{_guessed(ranked[0].method)} (confidence {sure:.2f})"]
    return _matted(rgb, answers, 0, said)


def _matted(rgb: UInt8[np.ndarray, "h w 3"], answers: Answers, number: int, said: list[str]) -> Foreground:
    """A hypothesis with its edge cleaned; bars that were left out do not shine into it."""
    height, width = rgb.shape[:2]
    h, window = answers.ranked[number], answers.window
    if window.area < height * width:
        said = [*said, f"bars or a frame around {window.area / (height * width):.0%} of the picture were left out"]
    rgba = np.concatenate([_unit(rgb), np.zeros((height, width, 1), np.float32)], -1)
    rgba[window.slices] = matte(_unit(rgb[window.slices]), h.mask[window.slices])
    return Foreground(rgba, h.method, said)


def _guessed(method: str) -> str:
    return f"the mask was guessed by {method}; look at it"


def _alpha(picture: Picture) -> Foreground:
    """The picture's own alpha without its small islands, which would make the object's box too large."""
    from scipy import ndimage

    rgba = picture.rgba.astype(np.float32) / 255.0
    solid = rgba[..., 3] > 0.5
    if not solid.any():
        return Foreground(rgba, "alpha")
    labels, count = parts(solid)
    kept = tidy(solid, ISLAND_SHARE * ndimage.sum_labels(solid, labels, np.arange(1, count + 1)).max())
    labels, _ = parts(rgba[..., 3] > FAINT, np.ones((3, 3)))
    with_object = np.unique(labels[kept])
    removed = (labels > 0) & ~np.isin(labels, with_object)
    rgba[removed, 3] = 0.0
    if not removed.any():
        return Foreground(rgba, "alpha")
    said = f"{removed.sum()} pixels of alpha apart from the object were taken for dust and left out; look at the mask"
    return Foreground(rgba, "alpha", [said])


def _plain(picture: Picture, config: InputConfig) -> Foreground:
    rgb = _unit(picture.rgba[..., :3])
    distance, fitting = background_plane(rgb)
    warnings = []
    if fitting < 0.6:
        warnings.append(f"only {fitting:.0%} of the picture's border fits a plain background; look at the mask")
    mask = plain_mask(distance, config.plain_tolerance, holes=config.domain not in DRAWINGS)
    return Foreground(matte(rgb, mask), "plain", warnings)


def _check_mask(picture: Picture, found: Foreground) -> None:
    share = found.share
    hint = "cut the object out (PNG with transparency)"
    if share < 1e-3:
        raise ValueError(
            f"input.image: expected an object in {picture.path}, got an empty mask by {found.method} "
            f"({share:.2%} of the picture); {hint} or try another input.foreground"
        )
    if share > 0.98:
        raise ValueError(
            f"input.image: expected background around the object in {picture.path}, got a full mask by {found.method} "
            f"({share:.1%} of the picture); {hint}, try another input.foreground, "
            f"or say input.foreground=none to take the whole picture"
        )


def _unit(rgb: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    return rgb.astype(np.float32) / 255.0
