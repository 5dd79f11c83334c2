"""Which pixels of a picture are the object.

Every method takes RGBA uint8 [h, w, 4] and returns straight RGBA float32 [h, w, 4] in [0, 1] whose alpha is the mask.
Colors at the mask's edge are cleaned of the background that shines through them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from nerf2mesh.inputs.config import InputConfig
from nerf2mesh.inputs.picture import Picture

EDGE_PX = 2
"""Width of the band at the mask's edge whose pixels are taken for mixtures of object and background."""

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
    """The object, by the configured method; `auto` takes alpha, else a plain background, else GrabCut.

    Raises:
        ValueError: the mask is empty or covers the whole picture, or the method does not fit the picture.
    """
    method = _choose(picture, config) if config.foreground == "auto" else config.foreground
    if method == "none":
        opaque = np.ones((*picture.rgba.shape[:2], 1), np.float32)
        return Foreground(np.concatenate([_rgb(picture.rgba), opaque], -1), method)
    if method == "alpha":
        found = _alpha(picture)
    elif method == "plain":
        found = _plain(picture, config.plain_tolerance)
    else:
        found = Foreground(_METHODS[method](picture.rgba), method, [f"the mask was guessed by {method}; look at it"])
    _check_mask(picture, found)
    return found


def background_plane(rgb: Float[np.ndarray, "h w 3"]) -> tuple[Float[np.ndarray, "h w"], float]:
    """Distance in CIE Lab to the picture's background, taken as a color that is linear in x and y.

    The plane is fitted to a thin frame along the border, in three rounds that leave outliers (an object touching the
    border) out. Returns the distances [h, w] and the share of the border that fits within 9 units.
    """
    import cv2

    lab = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2Lab)
    height, width = lab.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    terms = np.stack([np.ones_like(x), x / width - 0.5, y / height - 0.5], axis=-1)
    border = _border(height, width)
    samples, colors = terms[border], lab[border]
    keep = np.linalg.norm(colors - np.median(colors, axis=0), axis=-1) < 25.0
    for _ in range(3):
        if keep.sum() < 12:
            break
        plane = np.linalg.lstsq(samples[keep], colors[keep], rcond=None)[0]
        error = np.linalg.norm(samples @ plane - colors, axis=-1)
        keep = error < 9.0
    else:
        return np.linalg.norm(terms @ plane - lab, axis=-1), float(keep.mean())
    return np.full((height, width), np.inf, np.float32), 0.0


def _choose(picture: Picture, config: InputConfig) -> str:
    if picture.has_alpha and (picture.rgba[..., 3] < 128).mean() > 1e-3:
        return "alpha"
    _, fitting = background_plane(_rgb(picture.rgba))
    return "plain" if fitting > 0.85 else "grabcut"


def _alpha(picture: Picture) -> Foreground:
    """The picture's own alpha without its small islands, which would make the object's box too large."""
    from scipy import ndimage

    rgba = picture.rgba.astype(np.float32) / 255.0
    solid = rgba[..., 3] > 0.5
    if not solid.any():
        return Foreground(rgba, "alpha")
    labels, count = _parts(solid)
    kept = _tidy(solid, ISLAND_SHARE * ndimage.sum_labels(solid, labels, np.arange(1, count + 1)).max())
    labels, _ = _parts(rgba[..., 3] > FAINT, np.ones((3, 3)))
    with_object = np.unique(labels[kept])
    removed = (labels > 0) & ~np.isin(labels, with_object)
    rgba[removed, 3] = 0.0
    if not removed.any():
        return Foreground(rgba, "alpha")
    said = f"{removed.sum()} pixels of alpha apart from the object were taken for dust and left out; look at the mask"
    return Foreground(rgba, "alpha", [said])


def _parts(mask: Bool[np.ndarray, "h w"], structure: np.ndarray | None = None) -> tuple[Int[np.ndarray, "h w"], int]:
    """The number of each pixel's connected part, from 1 (0: outside of the mask), and how many parts there are."""
    from scipy import ndimage

    return cast("tuple[np.ndarray, int]", ndimage.label(mask, structure))  # without `output` always a pair


def _plain(picture: Picture, tolerance: float) -> Foreground:
    rgb = _rgb(picture.rgba)
    distance, fitting = background_plane(rgb)
    warnings = []
    if fitting < 0.6:
        warnings.append(f"only {fitting:.0%} of the picture's border fits a plain background; look at the mask")
    mask = ~_flooded(distance, tolerance)
    return Foreground(_matte(rgb, _tidy(mask)), "plain", warnings)


def _flooded(distance: Float[np.ndarray, "h w"], tolerance: float) -> Bool[np.ndarray, "h w"]:
    """Background-like pixels connected to the border, and large enclosed regions of nearly the exact background."""
    from scipy import ndimage

    labels, count = _parts(distance < tolerance)
    touching = np.unique(labels[_border(*labels.shape)])
    is_background = np.zeros(count + 1, bool)
    is_background[touching[touching > 0]] = True
    if count and is_background.any():
        noise = float(np.median(distance[is_background[labels]]))
        index = np.arange(1, count + 1)
        area = ndimage.sum_labels(np.ones_like(distance), labels, index)
        typical = ndimage.median(distance, labels, index)
        # The hole of a handle has the background's own color; a white eye before white is small.
        is_background[1:] |= (area > 0.004 * labels.size) & (typical <= max(1.5 * noise, 1.0))
    return is_background[labels]


def _grabcut(rgba: UInt8[np.ndarray, "h w 4"]) -> Float[np.ndarray, "h w 4"]:
    """GrabCut (Rother et al. 2004): the border is background, an inset ellipse starts as the object."""
    import cv2
    from scipy import ndimage

    height, width = rgba.shape[:2]
    scale = min(1.0, 480.0 / max(height, width))
    small_size = (max(8, round(width * scale)), max(8, round(height * scale)))
    small = cv2.resize(np.ascontiguousarray(rgba[..., :3]), small_size, interpolation=cv2.INTER_AREA)
    cv2.setRNGSeed(0)  # its k-means draws from a process-wide generator
    y, x = np.mgrid[0 : small_size[1], 0 : small_size[0]]
    radius = np.hypot((x + 0.5) / small_size[0] * 2 - 1, (y + 0.5) / small_size[1] * 2 - 1)
    state = np.where(radius < 0.85, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    state[_border(*state.shape)] = cv2.GC_BGD
    models = np.zeros((1, 65)), np.zeros((1, 65))
    unused = (0, 0, 0, 0)  # the rectangle: the mask says where to begin
    cv2.grabCut(cv2.cvtColor(small, cv2.COLOR_RGB2BGR), state, unused, *models, 6, cv2.GC_INIT_WITH_MASK)
    found = ((state == cv2.GC_FGD) | (state == cv2.GC_PR_FGD)).astype(np.float32)
    mask = _tidy(cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5)
    holes = ndimage.binary_fill_holes(mask) & ~mask
    mask |= holes & ~_tidy(holes, 0.1 * mask.sum())  # glints and dark spots of the object, not the hole of a ring
    return _matte(_rgb(rgba), mask)


def _rembg(rgba: UInt8[np.ndarray, "h w 4"]) -> Float[np.ndarray, "h w 4"]:
    try:
        from rembg import remove
    except ImportError as error:
        raise ValueError(
            "input.foreground: expected the package rembg, got none installed; pip install rembg, or use "
            "input.foreground=grabcut"
        ) from error
    return np.asarray(remove(np.ascontiguousarray(rgba[..., :3])), np.float32)[..., :4] / 255.0


_METHODS = {"grabcut": _grabcut, "rembg": _rembg}


def _tidy(mask: Bool[np.ndarray, "h w"], min_area: float | None = None) -> Bool[np.ndarray, "h w"]:
    """Drop specks: components of fewer pixels than `min_area`, by default 3 percent of the largest one."""
    from scipy import ndimage

    labels, count = _parts(mask)
    if not count:
        return mask
    area = ndimage.sum_labels(mask, labels, np.arange(count + 1))
    area[0] = 0
    return (area >= (0.03 * area.max() if min_area is None else min_area))[labels] & mask


def _matte(rgb: Float[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 4"]:
    """Alpha and clean colors at the mask's edge.

    In a band of EDGE_PX on both sides of the edge the pixel is c = a F + (1 - a) B with F and B the nearest sure object
    and background colors; a is the least-squares solution, and F replaces c.
    """
    sure_object, sure_background = _depth(mask) > EDGE_PX, _depth(~mask) > EDGE_PX
    alpha = mask.astype(np.float32)
    if not sure_object.any() or not sure_background.any():
        return np.concatenate([rgb, alpha[..., None]], -1)
    band = ~(sure_object | sure_background)
    front, back = rgb[_nearest(sure_object)], rgb[_nearest(sure_background)]
    span = front - back
    contrast = (span**2).sum(-1)
    mixed = np.clip(((rgb - back) * span).sum(-1) / np.maximum(contrast, 1e-8), 0.0, 1.0)
    solvable = band & (contrast > 0.02)  # about 0.08 per channel: below that the noise would decide
    alpha[solvable] = mixed[solvable]
    color = np.where(band[..., None], front, rgb)
    return np.concatenate([color, alpha[..., None]], -1).astype(np.float32)


def _depth(mask: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Distance in pixels from each pixel of the mask to the nearest one outside of it."""
    from scipy import ndimage

    return cast("np.ndarray", ndimage.distance_transform_edt(mask))  # None only with arrays to write into


def _nearest(mask: Bool[np.ndarray, "h w"]) -> tuple[np.ndarray, ...]:
    """Row and column, each [h, w], of the mask's pixel nearest to each pixel."""
    from scipy import ndimage

    indices = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    return tuple(cast("np.ndarray", indices))


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


def _border(height: int, width: int) -> Bool[np.ndarray, "h w"]:
    thickness = max(1, min(height, width) // 100)
    border = np.ones((height, width), bool)
    border[thickness:-thickness, thickness:-thickness] = False
    return border


def _rgb(rgba: UInt8[np.ndarray, "h w 4"]) -> Float[np.ndarray, "h w 3"]:
    return rgba[..., :3].astype(np.float32) / 255.0
