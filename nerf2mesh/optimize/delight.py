"""Takes the light out of the given pictures before prior and field see them (`field.delight=before`).

No shape is known yet, but a small network tells normals of the picture (`inputs.normals`), and where it is not sure the
silhouette says what a rounded body would have (`inflate`). Near pixels of one hue mostly share their albedo
(`light_fit`). Of `field.material=pbr` highlights are left out too, after what they say of the surface (`finish`).

Letters
    s_i = log E(n_i) + d_i: the log shading of pixel i; E the irradiance of the light that is fitted to all pictures
    with the normals n; d a smooth rest, which those normals do not know.
    d minimizes sum_ij w_ij rho((b_i - b_j) - (s_i - s_j)) / sum_ij w_ij + BEND mean |second differences of d|^2
    + RIDGE mean d^2, with the log luminances b, weights w and the robust cost rho of `light_fit`: a thin plate
    (Terzopoulos 1986) through the differences that paint does not explain.
A picture without its light is sRGB(c_i / exp(s_i)), c_i its linear colors. Hue and outline stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from nerf2mesh.evaluate.metrics.regions import cielab
from nerf2mesh.inputs.config import DRAWINGS
from nerf2mesh.inputs.normals.predict import picture_normals
from nerf2mesh.optimize.finish import MOST, Finish, Finishes, Highlight, find_highlights, same_hue, without
from nerf2mesh.optimize.inflate import inflated_normals
from nerf2mesh.optimize.light_fit import Pairs, fit_light, joined, pairs_of, robust
from nerf2mesh.optimize.lighting import FACING, small
from nerf2mesh.render.shading import Light, relit, to_linear
from nerf2mesh.types import Observations, View

BEND, RIDGE = 1.0, 0.02
STEPS = 80
GLOSS_PX = 96
"""Longer side of the pictures in which highlights are looked for."""
INSIDE = 0.5
"""Opacity from which a pixel of the reduced picture belongs to the object."""


class Reduced(NamedTuple):
    """A picture of the fit's size: the object's pixels, the guessed normals in world axes, and the pairs."""

    mask: Bool[Tensor, "h w"]
    normals: Float[Tensor, "h w 3"]
    pairs: Pairs


@dataclass(frozen=True, eq=False)
class Delighted:
    """Observations without their light, the light, and the finishes of what they show."""

    observations: Observations
    light: Light
    finishes: Finishes = field(default_factory=Finishes)


def delighted(observations: Observations, kind: str) -> tuple[Observations, Light]:
    """The observations with the light taken out of every colored view, and the light of `kind` that was found.

    Drawings, views of weight 0 and everything else stay as they are. The light is even where there is nothing to see.
    """
    found = taken_apart(observations, kind, glossy=False)
    return found.observations, found.light


def taken_apart(observations: Observations, kind: str, *, glossy: bool) -> Delighted:
    """As `delighted`; with `glossy` highlights are taken out too, and tell the finishes."""
    chosen = [k for k, view in enumerate(observations.views) if view.weight > 0 and view.domain not in DRAWINGS]
    if not chosen or kind == "constant":
        return Delighted(observations, Light())
    views, highlights = list(observations.views), [Highlights([], False) for _ in chosen]
    reduced = [reduce(views[k]) for k in chosen]
    if glossy:
        light = fit_light(kind, joined([picture.pairs for picture in reduced]))
        highlights = [highlights_of(views[k], light) for k in chosen]
        for k, some in zip(chosen, highlights, strict=True):
            views[k] = without_highlights(views[k], some)
        reduced = [reduce(views[k]) for k in chosen]
    light = fitted = fit_light(kind, joined([picture.pairs for picture in reduced]))
    finishes: list[Finish] = []
    for k, picture, some in zip(chosen, reduced, highlights, strict=True):
        lit = views[k]
        shading = without_metals(lit, log_shading(picture, fitted), picture.mask, some.found)
        views[k] = divided(lit, shading, picture.mask)
        finishes += [with_paint(highlight, lit, views[k]) for highlight in some.found]
        light = lamp_of_metal(lit, picture.mask, some.found) or light
    most = tuple(sorted(finishes, key=lambda finish: -finish.belief)[:MOST])
    return Delighted(replace(observations, views=tuple(views)), light, Finishes(most))


def guessed_normals(view: View, *, rounded: bool = False) -> Float[Tensor, "h w 3"]:
    """Unit normals in world axes of what a view shows, zero outside: the network's, of length m, and the inflated
    outline's by the rest, 1 - m; or `rounded`, the outline's alone."""
    image, pose = view.image.cpu(), view.camera.camera_to_world[:3, :3].cpu().double()
    mask = (image[..., 3] > INSIDE).numpy()
    if not mask.any():
        return torch.zeros(*mask.shape, 3, dtype=torch.float64)
    mixed = inflated_normals(mask)
    if not rounded:
        told = picture_normals(image.float().numpy()).astype(np.float64)
        mixed = told + (1.0 - np.linalg.norm(told, axis=-1, keepdims=True)) * mixed
    return F.normalize(torch.from_numpy(mixed) @ pose.T, dim=-1) * torch.from_numpy(mask)[..., None]


class Highlights(NamedTuple):
    """Of one view, and whether they were found with the rounded normals of its outline."""

    found: list[Highlight]
    rounded: bool


def highlights_of(view: View, light: Light) -> Highlights:
    """The highlights of a view, found at GLOSS_PX, by those of the two guesses of normals that explain them better: on
    a bottle the outline's, which are smooth, on most other things the network's."""
    little = small(view, GLOSS_PX)
    to_eye = -little.camera.to("cpu").rays().directions.double()
    tried = []
    for rounded in (False, True):
        normals = guessed_normals(little, rounded=rounded)
        facing = (normals * to_eye).sum(-1) > FACING
        known = (little.image[..., 3] > 0.95) & facing
        tried.append(Highlights(find_highlights(little.image[..., :3], normals, to_eye, known, light), rounded))
    return max(tried, key=lambda some: some.found[0].gain if some.found else 0.0)


def without_highlights(view: View, highlights: Highlights) -> View:
    """The view without them, at its own size."""
    if not highlights.found:
        return view
    image = view.image.cpu()
    normals, to_eye = (
        guessed_normals(view, rounded=highlights.rounded),
        -view.camera.to("cpu").rays().directions.double(),
    )
    colors = image[..., :3]
    for highlight in highlights.found:
        colors, _ = without(colors, normals, to_eye, highlight)
    return replace(view, image=torch.cat([colors, image[..., 3:]], dim=-1).to(view.image))


def without_metals(
    view: View, shading: Float[Tensor, "h w"], mask: Bool[Tensor, "h w"], highlights: Sequence[Highlight]
) -> Float[Tensor, "h w"]:
    """The log shading with none where a metal is, which has no shading of its own."""
    linear = to_linear(small(view).image[..., :3].double())
    for highlight in highlights:
        if highlight.found.metal:
            metal = same_hue(linear, highlight.hue) & mask
            shading = torch.where(metal, (1.0 - highlight.finish.belief) * shading, shading)
    return shading


def lamp_of_metal(view: View, mask: Bool[Tensor, "h w"], highlights: Sequence[Highlight]) -> Light | None:
    """The lamp by the first believed highlight of a metal that is most of what the view shows; None without one.

    A metal has no shading from which `fit_light` could tell a lamp. Its highlight does: about the lobe's middle the
    lamp is mirrored to the eye.
    """
    little = small(view)
    linear = to_linear(little.image[..., :3].double())
    for highlight in highlights:
        found = highlight.found
        share = float((same_hue(linear, highlight.hue) & mask).sum()) / max(1, int(mask.sum()))
        if found.metal and highlight.finish.belief > 0.5 and share > 0.5:
            eye = F.normalize(view.camera.camera_to_world[:3, 3].cpu().double(), dim=0)
            toward = 2.0 * (found.middle @ eye) * found.middle - eye
            return Light("directional", (found.lamp.norm() * toward).float())
    return None


def with_paint(highlight: Highlight, lit: View, bare: View) -> Finish:
    """The finish, its paint as the view without light has it where the lit one has the paint's hue."""
    colors = small(lit).image
    chosen = same_hue(to_linear(colors[..., :3].double()), highlight.hue) & (colors[..., 3] > 0.95)
    if not bool(chosen.any()):
        return highlight.finish
    paint = cielab(small(bare).image[..., :3][chosen]).median(0).values
    return replace(highlight.finish, paint=paint)


def reduce(view: View) -> Reduced:
    """What is fitted of a view."""
    little = small(view)
    alpha, pose = little.image[..., 3], view.camera.camera_to_world[:3, :3].cpu().double()
    mask = alpha > INSIDE
    normals = guessed_normals(little)
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
