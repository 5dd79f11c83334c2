"""Trivial results that every method must beat; each is a function from a Case to a Prediction.

Blind ones see only what a method sees: the input picture and its camera, or the prompt. Oracles are handed the truth:
some spoil the true views a little, to show how much of a picture metric comes from the background and the silhouette;
the true mesh is the floor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from nerf2mesh.evaluate.metrics.text_metrics import TextCase, colored_ball, described_object
from nerf2mesh.evaluate.protocols.scoring import Case, Prediction, render_views
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.types import Camera, Rendering


def background(case: Case | TextCase) -> Prediction:
    """Nothing at all: an empty mesh, the bare background in every view."""
    return Prediction(mesh=_mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64)))


def copied_input(case: Case) -> Prediction:
    """The input picture at every novel view; it has no shape, so geometry metrics do not apply."""
    return Prediction(render=lambda cameras: _same_everywhere(case.image, cameras))


def sphere(case: Case) -> Prediction:
    """A ball in the mean color, as deep as the origin, whose silhouette has the input mask's area and centroid."""
    mask, camera = case.image[..., 3] > 0.5, case.camera
    pixels = camera.pixel_centers()[mask]
    center, distance = _on_origin_plane(camera, pixels.mean(0, keepdim=True))[0], float(camera.position.norm())
    disc = math.sqrt(len(pixels) / math.pi) * distance / float(camera.focal_px[1])
    radius = disc if camera.orthographic else distance * math.sin(math.atan(disc / distance))
    from nerf2mesh.mesh.shapes import icosphere

    ball = icosphere(4, radius)
    color = case.image[mask][:, :3].mean(0).numpy()
    colors = np.broadcast_to(color, (len(ball.vertices), 3)).copy()
    return Prediction(mesh=_mesh(ball.vertices + center.numpy(), ball.faces, colors))


def extruded_silhouette(case: Case) -> Prediction:
    """The input's silhouette extruded along the viewing rays to a solid as deep as the silhouette is wide.

    It is centered at the origin's depth, projects exactly onto the input mask, and carries the input's colors on front,
    back and sides.
    """
    mask, camera = case.image[..., 3] > 0.5, case.camera
    columns = torch.nonzero(mask.any(0))[:, 0]
    distance = float(camera.position.norm())
    scale = 1.0 if camera.orthographic else distance
    width = float(columns[-1] - columns[0] + 1) * scale / float(camera.focal_px[0])
    corner_ids, quads = _pixel_quads(mask)
    grid = torch.stack(
        torch.meshgrid(torch.arange(camera.width_px + 1), torch.arange(camera.height_px + 1), indexing="xy"), -1
    )
    pixels = grid.reshape(-1, 2)[corner_ids].float()
    middle = _on_origin_plane(camera, pixels)
    near, far = (_moved_in_depth(camera, middle, side * 0.5 * width) for side in (-1.0, 1.0))
    colors = _corner_colors(case.image, mask).reshape(-1, 3)[corner_ids].numpy()
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    vertices = torch.cat([near, far]).numpy()
    return Prediction(mesh=_mesh(vertices, faces, np.concatenate([colors, colors])))


def true_silhouette(case: Case) -> Prediction:
    """The true silhouette of every novel view, filled with the input's mean color."""
    color = case.image[case.image[..., 3] > 0.5][:, :3].mean(0)
    return Prediction(
        render=lambda _: Rendering(case.truth.opacity[..., None] * color, case.truth.opacity, case.truth.depth)
    )


def turned_view(case: Case) -> Prediction:
    """The truth seen from 22.5 degrees further round."""

    def render(cameras: Camera) -> Rendering:
        views = render_views(case.known_mesh, cameras.turned(22.5), case.settings)
        return Rendering(views.rgb, views.opacity, views.depth)

    return Prediction(render=render)


def shifted_view(case: Case) -> Prediction:
    """The true views moved by one pixel to the right."""
    truth = case.truth
    rgb, opacity = (v.roll(1, dims=2) for v in (truth.rgb, truth.opacity))
    return Prediction(render=lambda _: Rendering(rgb, opacity, truth.depth.roll(1, dims=2)))


def true_mesh(case: Case) -> Prediction:
    """The truth measured as a result is: the floor of every metric."""
    return Prediction(mesh=case.mesh)


BLIND_BASELINES: tuple[Callable[[Case], Prediction], ...] = (background, copied_input, sphere, extruded_silhouette)
ORACLE_BASELINES: tuple[Callable[[Case], Prediction], ...] = (true_silhouette, turned_view, shifted_view, true_mesh)


def baselines_of(case: Case | TextCase) -> dict[str, Callable]:
    """The trivial results that a case allows, by name; of oracles, protocol `objects` has the true mesh alone."""
    if isinstance(case, TextCase):
        return named((background, colored_ball, *((described_object,) if case.mesh is not None else ())))
    oracles = () if case.mesh is None else ORACLE_BASELINES if not case.about else (true_mesh,)
    return named((*BLIND_BASELINES, *oracles))


def named(functions: Sequence[Callable]) -> dict[str, Callable]:
    """Functions by their names, in words."""
    return {f.__name__.replace("_", " "): f for f in functions}


BLIND = tuple(named((*BLIND_BASELINES, colored_ball)))
ORACLES = tuple(named((*ORACLE_BASELINES, described_object)))
"""Names of those that see what a method sees, and of those that are handed the truth."""


def _mesh(vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray | None = None) -> TriangleMesh:
    return TriangleMesh(vertices, faces, vertex_colors=colors)


def _same_everywhere(image: Float[Tensor, "h w 4"], cameras: Camera) -> Rendering:
    rgba = torch.cat([image[..., :3] * image[..., 3:], image[..., 3:]], dim=-1).movedim(-1, 0)[None]
    size = (cameras.height_px, cameras.width_px)
    rgba = rgba if rgba.shape[2:] == size else torch.nn.functional.interpolate(rgba, size=size, mode="area")
    rgb, opacity = rgba[0, :3].movedim(0, -1), rgba[0, 3]
    shape = tuple(cameras.batch_shape)
    opacity = opacity.expand(*shape, *opacity.shape)
    return Rendering(rgb.expand(*shape, *rgb.shape), opacity, torch.zeros_like(opacity))


def _on_origin_plane(camera: Camera, pixels: Float[Tensor, "p 2"]) -> Float[Tensor, "p 3"]:
    """Where the rays of pixels meet the plane through the origin that faces the camera."""
    rays, forward = camera.rays(pixels), -camera.camera_to_world[:3, 2]
    t = -(rays.origins @ forward) / (rays.directions @ forward)
    return rays.origins + t[:, None] * rays.directions


def _moved_in_depth(camera: Camera, points: Float[Tensor, "p 3"], amount: float) -> Float[Tensor, "p 3"]:
    """Points moved along their viewing rays until they are `amount` deeper along the viewing axis."""
    forward = -camera.camera_to_world[:3, 2]
    if camera.orthographic:
        return points + amount * forward
    offset = points - camera.position
    return camera.position + offset * (1.0 + amount / (offset @ forward))[:, None]


def _pixel_quads(mask: Bool[Tensor, "h w"]) -> tuple[Tensor, np.ndarray]:
    """The pixel corners in use, and the quads of the closed solid: index i is a near corner, i + count its far twin."""
    width = mask.shape[1]
    row, column = (index.numpy() for index in torch.nonzero(mask, as_tuple=True))
    across = width + 1
    corner = row * across + column
    ring = np.stack([corner, corner + across, corner + across + 1, corner + 1], axis=1)
    used, ring = np.unique(ring, return_inverse=True)
    ring, count = ring.reshape(-1, 4), len(used)
    padded = np.pad(mask.numpy(), 1)
    neighbors = ((0, -1), (1, 0), (0, 1), (-1, 0))
    quads = [ring, ring[:, ::-1] + count]
    for side, (dy, dx) in enumerate(neighbors):
        edge = ring[~padded[row + 1 + dy, column + 1 + dx]]
        a, b = edge[:, side], edge[:, (side + 1) % 4]
        quads.append(np.stack([b, a, a + count, b + count], axis=1))
    return torch.from_numpy(used), np.concatenate(quads)


def _corner_colors(image: Float[Tensor, "h w 4"], mask: Bool[Tensor, "h w"]) -> Float[Tensor, "h1 w1 3"]:
    """The mean color of the up to four masked pixels that meet at each pixel corner."""
    weighted = torch.cat([image[..., :3] * mask[..., None], mask[..., None].float()], dim=-1).movedim(-1, 0)[None]
    sums = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(weighted, (1, 1, 1, 1)), 2, stride=1)[0].movedim(
        0, -1
    )
    return sums[..., :3] / sums[..., 3:].clamp_min(1e-6)
