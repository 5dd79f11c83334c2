"""Objects under known lights, and how near colors come to their albedo: what benchmark `materials` measures with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nerf2mesh.api import Result
from nerf2mesh.evaluate.metrics.regions import cielab
from nerf2mesh.evaluate.protocols.canonical import input_camera
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.objects.folder import ObjectEntry, ObjectFolder
from nerf2mesh.objects.surface import see
from nerf2mesh.objects.views import PLAIN, place
from nerf2mesh.render import rasterize_mesh
from nerf2mesh.render.shading import Light, relit, to_linear, to_srgb
from nerf2mesh.types import Camera, Observations, View

Lit = Callable[[Tensor], Tensor]
"""Unit normals [..., 3] -> irradiance / pi [...]."""
VIEW_PX = 96
BEHIND = slice(3, 6)
"""Of the eight views: azimuths 135, 180 and 225 degrees."""


def lamp(direction: Sequence[float], ambient: float, strength: float) -> Lit:
    """An even light and a far lamp."""
    toward = torch.nn.functional.normalize(torch.tensor(direction, dtype=torch.float64), dim=0)
    return lambda n: ambient + strength * (n.double() @ toward).clamp_min(0.0)


LIGHTS: dict[str, Lit] = {
    "lamp": lamp((0.6, -1.0, 1.0), 0.5, 0.8),
    "sky": lambda n: 0.35 + 0.65 * (1.0 + n[..., 2].double()) / 2.0,
    "side": lamp((0.3, 1.0, 0.3), 0.3, 1.0),
}
UNSEEN = lamp((0.6, 0.8, -0.1), 0.4, 0.8)


@dataclass(frozen=True)
class Truth:
    """Of one set of views: albedo and normals [v, s, s, 3], what is covered [v, s, s]."""

    camera: Camera
    albedo: Tensor
    normal: Tensor
    covered: Tensor


def novel_cameras() -> Camera:
    """Eight views all around at the given one's elevation."""
    return Camera.orbit(torch.arange(8) * 45.0, torch.full((8,), 20.0), width_px=VIEW_PX)


def truth_of(folder: ObjectFolder, entry: ObjectEntry, camera: Camera, light: Lit | None = None) -> Truth:
    """The object as it is (sRGB), or as `light` shows it, exposed so that at most 1 % of the values are clipped."""
    surface = see(place(folder.read(entry), np.random.default_rng([7, *entry.path.name.encode()[:16]]), PLAIN), camera)
    colors = torch.from_numpy(surface.albedo)
    if light is not None:
        linear = to_linear(colors.double()) * light(torch.from_numpy(surface.normal))[:, None]
        colors = to_srgb(linear / linear.quantile(0.99).clamp_min(1.0)).clamp(0.0, 1.0).float()
    rgba = torch.from_numpy(surface.rgba(colors.numpy()))
    normal = torch.from_numpy(surface.images(surface.normal))
    straight = rgba[..., :3] / rgba[..., 3:].clamp_min(1e-6)
    return Truth(camera, straight, torch.nn.functional.normalize(normal, dim=-1), rgba[..., 3] > 0.99)


def observed(shown: Truth) -> Observations:
    """The first of the views as a given picture."""
    rgba = torch.cat([shown.albedo[0], shown.covered[0, ..., None].float()], dim=-1)
    return Observations((View(rgba, input_camera()),))


def mesh_colors(result: Result, camera: Camera) -> Truth:
    """`colors_of` the result's mesh."""
    assert result.mesh is not None
    return colors_of(result.mesh, camera)


def colors_of(mesh: TriangleMesh, camera: Camera) -> Truth:
    """The mesh's straight colors, its normals, and what it covers."""
    shown = rasterize_mesh(mesh, camera, supersample=2)
    assert shown.normal is not None
    straight = shown.rgb / shown.opacity.clamp_min(1e-4)[..., None]
    return Truth(camera, straight, torch.nn.functional.normalize(shown.normal, dim=-1), shown.opacity > 0.99)


def scaled(colors: Tensor, wanted: Tensor) -> Tensor:
    """sRGB colors [n, 3] times the factor in linear light that brings them nearest to the wanted ones."""
    a, b = to_linear(colors.double()), to_linear(wanted.double())
    return to_srgb(a * ((a * b).sum() / a.square().sum().clamp_min(1e-12))).clamp(0.0, 1.0)


def psnr(colors: Tensor, wanted: Tensor) -> float:
    """Of colors [n, 3] after `scaled`."""
    return float(-10.0 * (scaled(colors, wanted) - wanted.double()).square().mean().clamp_min(1e-10).log10())


def scores(found: Truth, true: Truth, which: slice = slice(None)) -> dict[str, float]:
    """Albedo and relit PSNR in the views `which`, and the mean angle between the normals in degrees."""
    both = (found.covered & true.covered)[which]
    a, b = found.albedo[which][both], true.albedo[which][both]
    lit_a = relit(a.double(), UNSEEN(found.normal[which][both]))
    lit_b = relit(b.double(), UNSEEN(true.normal[which][both]))
    cosine = (found.normal[which][both] * true.normal[which][both]).double().sum(-1).clamp(-1.0, 1.0)
    return {"albedo": psnr(a, b), "relit": psnr(lit_a, lit_b), "normals_deg": float(cosine.acos().rad2deg().mean())}


def hidden_error(found: Truth, true: Truth) -> dict[str, float]:
    """Mean errors of lightness and chroma seen from behind, after the factor of all views."""
    both = found.covered & true.covered
    image = torch.zeros_like(true.albedo, dtype=torch.float64)
    image[both] = scaled(found.albedo[both], true.albedo[both])
    back = both[BEHIND]
    apart = cielab(image[BEHIND][back]) - cielab(true.albedo[BEHIND][back])
    return {"lightness": float(apart[:, 0].abs().mean()), "chroma": float(apart[:, 1:].norm(dim=-1).mean())}


def light_errors(found: Light, true: Lit, seen: Truth) -> dict[str, object]:
    """Standard deviation of the log ratio of found and true irradiance over the given view, and of an even light's."""
    normals = seen.normal[seen.covered].double()
    off = (found.irradiance(normals) / true(normals)).log()
    errors = {"light_error": float(off.std()), "even_light_error": float(true(normals).log().std())}
    return {"light": found.to_dict(), **errors}
