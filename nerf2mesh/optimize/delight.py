"""Takes the light out of the given pictures before prior and field see them (`field.delight=before`).

No shape is known yet, but the silhouette says what a rounded body would be (`inflate`), and near pixels of one hue
mostly share their albedo (`light_fit`).

Letters
    s_i = log E(n_i) + d_i: the log shading of pixel i; E the irradiance of the light that is fitted to all pictures
    with the inflated normals n; d a smooth rest, which those normals do not know.
    d minimizes sum_ij w_ij rho((b_i - b_j) - (s_i - s_j)) / sum_ij w_ij + BEND mean |second differences of d|^2
    + RIDGE mean d^2, with the log luminances b, weights w and the robust cost rho of `light_fit`: a thin plate
    (Terzopoulos 1986) through the differences that paint does not explain.
A picture without its light is sRGB(c_i / exp(s_i)), c_i its linear colors. Hue and outline stay as they are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from nerf2mesh.inputs.config import DRAWINGS
from nerf2mesh.optimize.inflate import inflated_normals
from nerf2mesh.optimize.light_fit import Pairs, fit_light, joined, pairs_of, robust
from nerf2mesh.optimize.lighting import FACING, small
from nerf2mesh.render.shading import Light, relit
from nerf2mesh.types import Observations, View

BEND, RIDGE = 1.0, 0.02
STEPS = 80
INSIDE = 0.5
"""Opacity from which a pixel of the reduced picture belongs to the object."""


class Reduced(NamedTuple):
    """A picture of the fit's size: colors, the object's pixels, the inflated normals in world axes, and the pairs."""

    mask: Bool[Tensor, "h w"]
    normals: Float[Tensor, "h w 3"]
    pairs: Pairs


def delighted(observations: Observations, kind: str) -> tuple[Observations, Light]:
    """The observations with the light taken out of every colored view, and the light of `kind` that was found.

    Drawings, views of weight 0 and everything else stay as they are. The light is even where there is nothing to see.
    """
    chosen = [k for k, view in enumerate(observations.views) if view.weight > 0 and view.domain not in DRAWINGS]
    if not chosen or kind == "constant":
        return observations, Light()
    reduced = [reduce(observations.views[k]) for k in chosen]
    light = fit_light(kind, joined([picture.pairs for picture in reduced]))
    views = list(observations.views)
    for k, picture in zip(chosen, reduced, strict=True):
        views[k] = divided(views[k], log_shading(picture, light), picture.mask)
    return replace(observations, views=tuple(views)), light


def reduce(view: View) -> Reduced:
    """What is fitted of a view."""
    little = small(view)
    alpha, pose = little.image[..., 3], view.camera.camera_to_world[:3, :3].cpu().double()
    mask = alpha > INSIDE
    normals = torch.from_numpy(inflated_normals(mask.numpy())) @ pose.T
    facing = normals @ pose[:, 2] > FACING
    return Reduced(mask, normals, pairs_of(little.image[..., :3], normals, (alpha > 0.95) & facing))


def log_shading(picture: Reduced, light: Light) -> Float[Tensor, "h w"]:
    """s of the module, of one picture."""
    bare = light.irradiance(picture.normals).log()
    pairs, mask = picture.pairs, picture.mask
    if not len(pairs.rows) or float(pairs.weights.sum()) < 1.0:
        return bare
    left = pairs.bright - bare.reshape(-1)
    left = left[pairs.rows[:, 0]] - left[pairs.rows[:, 1]]
    rest = torch.zeros_like(bare, requires_grad=True)
    search = torch.optim.LBFGS([rest], max_iter=STEPS, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        search.zero_grad()
        value = rest_cost(rest, left, pairs, mask)
        value.backward()
        return value

    with torch.enable_grad():
        search.step(closure)  # pyright: ignore[reportArgumentType]
    shading = bare + rest.detach()
    seen = shading[mask].exp().mean()
    return shading - seen.log()


def rest_cost(
    rest: Float[Tensor, "h w"], left: Float[Tensor, "k"], pairs: Pairs, mask: Bool[Tensor, "h w"]
) -> Float[Tensor, ""]:
    """What d minimizes; left: the differences of the pairs that the light leaves."""
    flat = rest.reshape(-1)
    apart = left - (flat[pairs.rows[:, 0]] - flat[pairs.rows[:, 1]])
    fit = (pairs.weights * robust(apart)).sum() / pairs.weights.sum()
    return fit + BEND * bending(rest, mask) + RIDGE * rest[mask].square().mean()


def bending(values: Float[Tensor, "h w"], mask: Bool[Tensor, "h w"]) -> Float[Tensor, ""]:
    """Sum over the pixels of the mask of v_xx^2 + v_yy^2 + 2 v_xy^2, over their number; only where all taps are in."""
    total = values.new_zeros(())
    for v, m in ((values, mask), (values.T, mask.T)):
        taps = m[:-2] & m[1:-1] & m[2:]
        total = total + (v[:-2] - 2.0 * v[1:-1] + v[2:])[taps].square().sum()
    taps = mask[:-1, :-1] & mask[1:, 1:] & mask[:-1, 1:] & mask[1:, :-1]
    mixed = values[:-1, :-1] + values[1:, 1:] - values[:-1, 1:] - values[1:, :-1]
    return (total + 2.0 * mixed[taps].square().sum()) / mask.sum().clamp_min(1)


def divided(view: View, shading: Float[Tensor, "h w"], mask: Bool[Tensor, "h w"]) -> View:
    """The view, of any size, without its log shading of the fit's size; at the rim that of the nearest pixel inside."""
    from scipy.ndimage import distance_transform_edt

    if not bool(mask.any()):
        return view
    nearest = np.asarray(distance_transform_edt(~mask.numpy(), return_distances=False, return_indices=True))
    filled = torch.from_numpy(shading.numpy()[tuple(nearest)])[None, None]
    size = (view.image.shape[0], view.image.shape[1])
    large = F.interpolate(filled, size, mode="bilinear", align_corners=False)[0, 0]
    colors = relit(view.image[..., :3].cpu().double(), torch.exp(-large)).clamp(0.0, 1.0)
    image = torch.cat([colors.to(view.image), view.image[..., 3:]], dim=-1)
    return replace(view, image=image)
