"""The light in the loop (`field.material=lambert`): fitted to the given pictures again and again as the shape comes.

Until `optimize.light_from` the light is even and the field is optimized as an emissive one is. Then, every
`optimize.light_every` steps, the field's normals at the given pictures are rendered and the light is fitted to the
pictures' shading (`light_fit`). Between fits it stands, and the field learns the albedo that it leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F

from nerf2mesh.fields import HashGridField
from nerf2mesh.fields.config import FieldConfig
from nerf2mesh.inputs.config import DRAWINGS
from nerf2mesh.optimize.config import OptimizeConfig
from nerf2mesh.optimize.light_fit import Pairs, fit_light, joined, pairs_of
from nerf2mesh.optimize.state import LoopState
from nerf2mesh.render import VolumeRenderer
from nerf2mesh.render.shading import N_VALUES, Light, ray_normals, shaded_rays
from nerf2mesh.types import Rays, Rendering, View

FIT_PX = 64
"""Longer side of the pictures to which the light is fitted."""
MOST_VIEWS = 4
FACING = 0.2
"""Least cosine between normal and direction to the eye: at outlines normals are poor."""


class Lighting:
    """The run's light; a part of the loop's state."""

    def __init__(self, kind: str, views: Sequence[View]) -> None:
        self.kind = kind
        self.views = [small(view) for view in views[:MOST_VIEWS]]
        self.light = Light()

    def state_dict(self) -> dict[str, Any]:
        """Tensors."""
        return {"values": self.light.values, "scale": torch.tensor(self.light.scale, dtype=torch.float64)}

    def load_state_dict(self, values: dict[str, Any]) -> None:
        """ValueError where the values are of another kind of light."""
        given = values["values"]
        if len(given) not in (0, N_VALUES[self.kind]) or not bool(torch.isfinite(given).all()):
            raise ValueError("a light of another kind")
        self.light = Light(self.kind, given.cpu().float(), float(values["scale"])) if len(given) else Light()

    def follow(self, step: int, config: OptimizeConfig, renderer: VolumeRenderer, field: HashGridField) -> None:
        """Fits the light where it is due at `step`."""
        first = int(config.light_from * config.steps)
        if step >= first and (step - first) % config.light_every == 0:
            self.fit(renderer, field)

    @torch.no_grad()
    def fit(self, renderer: VolumeRenderer, field: HashGridField) -> None:
        """The light of the given pictures by the field's present normals."""
        found = [_pairs(view, renderer, field) for view in self.views]
        self.light = fit_light(self.kind, joined(found), self.light)


def lighting_of(config: FieldConfig, views: Sequence[View]) -> Lighting | None:
    """None for an emissive field, and where the light is taken out before. ValueError as `check_light`."""
    if config.material == "emissive" or config.delight == "before":
        return None
    return Lighting(config.light, check_light(config, views))


def check_light(config: FieldConfig, views: Sequence[View]) -> list[View]:
    """The given views whose light can be found. ValueError where there are none and the material asks for it."""
    shown = [view for view in views if view.weight > 0 and view.domain not in DRAWINGS]
    if not shown and config.material != "emissive":
        raise ValueError(
            f"field.material={config.material}: expected a picture with the object's colors, whose light can be found, "
            "got none; use field.material=emissive"
        )
    return shown


def seen(rendering: Rendering, rays: Rays, field: HashGridField, light: Light | None) -> Rendering:
    """What the light shows of the field's albedo; the rendering itself where colors are emissive."""
    return rendering if light is None else shaded_rays(rendering, rays, field, light)


def lighting_in(state: LoopState) -> Lighting | None:
    """The run's light, made by `prepare`; None where colors are emissive."""
    return cast(Lighting | None, state.parts.get("light"))


def light_in(state: LoopState) -> Light | None:
    """The light as it was last found; None where colors are emissive."""
    lighting = lighting_in(state)
    return None if lighting is None else lighting.light


def small(view: View, size_px: int = FIT_PX) -> View:
    """The view at `size_px` on the CPU, straight alpha; what is unknown counts as empty."""
    image, (height, width) = view.image.cpu(), view.image.shape[:2]
    alpha = image[..., 3:] if view.known is None else image[..., 3:] * view.known.cpu()[..., None]
    shrink = min(1.0, size_px / max(height, width))
    size = (max(1, round(height * shrink)), max(1, round(width * shrink)))
    flat = torch.cat([image[..., :3] * alpha, alpha], dim=-1).permute(2, 0, 1)[None]
    small = F.interpolate(flat, size=size, mode="area")[0].permute(1, 2, 0)
    straight = torch.cat([small[..., :3] / small[..., 3:].clamp_min(1e-6), small[..., 3:]], dim=-1)
    return View(straight, view.camera.resized(size[1], size[0]))


def _pairs(view: View, renderer: VolumeRenderer, field: HashGridField) -> Pairs:
    rendering = renderer.render(view.camera)
    rays = view.camera.to(rendering.rgb.device).rays()
    normals = ray_normals(field, rays, rendering)
    facing = -(normals * rays.directions).sum(-1) > FACING
    known = (view.image[..., 3] > 0.95) & (rendering.opacity > 0.9).cpu() & facing.cpu()
    return pairs_of(view.image[..., :3], normals.cpu(), known)
