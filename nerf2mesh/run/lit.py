"""The fitted light on finished meshes: put on for comparisons with the picture, taken off colors that come from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from nerf2mesh.config import Config
from nerf2mesh.mesh.texture.given_views import Unlight
from nerf2mesh.optimize import Delighted, taken_apart
from nerf2mesh.render.shading import Light, relit, shaded
from nerf2mesh.run.result import Result
from nerf2mesh.types import Observations, Rendering


def albedo_input(config: Config, observations: Observations, begun: object | None) -> tuple[Delighted, Light | None]:
    """What prior and field are to see with the finishes that its highlights tell, and the light that was taken out of
    it: see `field.delight`.

    begun: of a round of refinement, whose pictures are painted over albedo and have no light.
    """
    material, before = config.field.material, config.field.delight == "before"
    if material == "emissive" or begun is not None or (not before and material == "lambert"):
        return Delighted(observations, Light()), None
    found = taken_apart(observations, config.field.light, glossy=material == "pbr")
    return (found, found.light) if before else (replace(found, observations=observations), None)


def light_of_views(result: Result) -> Light | None:
    """The light that the views of `result.observations` still show; None where they show albedo."""
    return result.light if result.config.field.delight == "along" else None


def without_light(light: Light) -> Unlight:
    """Divides colors by the light's irradiance; what it cannot have lit so brightly is white."""

    def unlight(colors: np.ndarray, normals: np.ndarray) -> np.ndarray:
        lit = light.irradiance(torch.from_numpy(np.ascontiguousarray(normals, np.float64)))
        return relit(torch.from_numpy(np.asarray(colors, np.float64)), 1.0 / lit).clamp(0.0, 1.0).numpy()

    return unlight


def lit_mesh(shown: Rendering, light: Light | None) -> Rendering:
    """A rasterized mesh of albedo as `light` shows it; unchanged without a light."""
    if light is None or shown.normal is None:
        return shown
    return shaded(shown, light.irradiance(F.normalize(shown.normal, dim=-1)))
