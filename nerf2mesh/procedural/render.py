"""Renders batches of procedural scenes by sphere tracing: RGBA, depth and normals from any cameras.

Shapes: B scenes, V views, N = B * V rows (one image each), M rays a row. Coordinates come first ([3, N, M]) so that the
compiled loops run over contiguous memory. A cone-marching pass at a quarter of the size finds which pixels can see the
object and where their rays may start; only those are traced. Colors are sRGB values used as they are (a look, not a
light transport); opacity is antialiased by rendering at `supersample` times the size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nerf2mesh.procedural.parts import SHAPE, scene_albedo, scene_distance
from nerf2mesh.types import Camera

BOUND = 1.25
"""Rays are traced inside this radius; scenes are normalized to stay within about 1."""
COARSE = 4
"""Side of the pixel blocks that one cone stands for."""
CHUNK_RAYS = {"cpu": 1 << 17}
"""Rays traced together; elsewhere than on a CPU many, since each call of a compiled function costs the host."""
MANY_RAYS = 1 << 20


@dataclass(frozen=True)
class Scenes:
    """A batch of scenes: parts, one similarity that puts them into the world box, and a light each.

    shapes [B, K, N_SHAPE], colors [B, K, N_COLOR]; world = rotation @ (scene - center) * scale with rotation
    [B, 3, 3], center [B, 3], scale [B]; light [B, 5]: direction, ambient share, gain.
    """

    shapes: Tensor
    colors: Tensor
    rotation: Tensor
    center: Tensor
    scale: Tensor
    light: Tensor

    def __len__(self) -> int:
        return self.scale.shape[0]

    def __getitem__(self, index: object) -> Scenes:
        return Scenes(*(value[index] for value in self.__dict__.values()))

    def to(self, device: torch.device | str) -> Scenes:
        """The scenes on another device."""
        return Scenes(*(value.to(device) for value in self.__dict__.values()))

    def distance(self, points: Tensor) -> Tensor:
        """Signed distance bound in world units [B, R] at world points [B, R, 3]."""
        local = points @ self.rotation / self.scale[:, None, None] + self.center[:, None]
        return scene_distance(self.shapes, *local.unbind(-1)) * self.scale[:, None]


class SceneRenderer:
    """Sphere tracing of scene batches; `compiled` fuses the inner loops (minutes to compile, then far faster)."""

    def __init__(
        self, *, cone_steps: int = 20, n_steps: int = 20, supersample: int = 2, compiled: bool = False
    ) -> None:
        self.cone_steps, self.n_steps, self.supersample, self.compiled = cone_steps, n_steps, supersample, compiled
        self.scene_distance = torch.compile(scene_distance, dynamic=True) if compiled else scene_distance
        self._albedo = torch.compile(scene_albedo, dynamic=True) if compiled else scene_albedo

    @torch.no_grad()
    def render(self, scenes: Scenes, cameras: Camera, *, albedo: bool = False) -> dict[str, Tensor]:
        """Images from cameras of batch shape [B, V].

        Returns rgba [B, V, h, w, 4] with premultiplied color, and at the supersampled size depth (distance along the
        ray in world units, 0 where nothing is hit), normal (world axes) and, if asked for, albedo.
        """
        width, height = cameras.width_px * self.supersample, cameras.height_px * self.supersample
        n_scenes, n_views = cameras.batch_shape
        rows = scenes[torch.arange(n_scenes, device=scenes.scale.device).repeat_interleave(n_views)]
        start = self._cones(rows, cameras, width, height)
        o, d, _ = _scene_rays(rows, cameras.resized(width, height))
        out = o.new_zeros(len(rows), o.shape[-1], 11 if albedo else 8)
        for n_parts, chunk, pixels in _chunks(start, _n_parts(rows.shapes)):
            shot = _gather(o[:, chunk], pixels), _gather(d[:, chunk], pixels)
            at = torch.gather(start[chunk], 1, pixels)
            values = self._trace(rows[chunk], *shot, at, pixel=2.4 / width, n_parts=n_parts)
            out[chunk[:, None], pixels] = values[..., : out.shape[-1]]
        rgba = out[..., :4].reshape(-1, height, width, 4).permute(0, 3, 1, 2)
        rgba = F.avg_pool2d(rgba, self.supersample).permute(0, 2, 3, 1)
        shape = (n_scenes, n_views)
        images = {
            "rgba": rgba.reshape(*shape, cameras.height_px, cameras.width_px, 4),
            "depth": out[..., 4].reshape(*shape, height, width),
            "normal": out[..., 5:8].reshape(*shape, height, width, 3),
        }
        return images | ({"albedo": out[..., 8:].reshape(*shape, height, width, 3)} if albedo else {})

    def _cones(self, rows: Scenes, cameras: Camera, width: int, height: int) -> Tensor:
        """Where each fine ray may start [N, height * width] in scene units; infinity where it cannot hit."""
        small = cameras.resized(width // COARSE, height // COARSE)
        o, d, (near, far) = _scene_rays(rows, small)
        block = 2.4 / width * COARSE * 0.8 / rows.scale[:, None]
        t = near
        shapes = rows.shapes
        for _ in range(self.cone_steps):
            x, y, z = o + t * d
            t = torch.minimum(t + (self.scene_distance(shapes, x, y, z) - block).clamp_min(0), far)
        t = torch.where(t < far - 1e-4, t, torch.inf)
        t = t.reshape(-1, 1, height // COARSE, width // COARSE)
        return F.interpolate(t, scale_factor=COARSE, mode="nearest").flatten(1)

    def _trace(self, rows: Scenes, o: Tensor, d: Tensor, t: Tensor, *, pixel: float, n_parts: int) -> Tensor:
        """Premultiplied RGBA, depth, normal, albedo [N, M, 11] of rays (scene frame, [3, N, M]) started at t [N, M]."""
        shapes, colors = rows.shapes[:, :n_parts].contiguous(), rows.colors[:, :n_parts].contiguous()
        inside = torch.isfinite(t)
        t = torch.where(inside, t, 0.0)
        scale = rows.scale[:, None]
        for _ in range(self.n_steps):
            x, y, z = o + t * d
            t = t + self.scene_distance(shapes, x, y, z)
        x, y, z = o + t * d
        hit = inside & (self.scene_distance(shapes, x, y, z) < 0.2 * pixel / scale) & (t < 1e4)
        normal = self._normal(shapes, x, y, z) @ rows.rotation.transpose(1, 2)
        albedo = self._albedo(shapes, colors, x, y, z)
        rgb = (albedo * _shading(rows.light, normal)).clamp(0, 1)
        values = torch.cat([rgb, torch.ones_like(rgb[..., :1]), (t * scale)[..., None], normal, albedo], dim=-1)
        return torch.where(hit[..., None], values, 0.0)

    def _normal(self, shapes: Tensor, x: Tensor, y: Tensor, z: Tensor, h: float = 2e-3) -> Tensor:
        """Outward unit normals [N, M, 3], scene axes, by differences on a tetrahedron."""
        a, b, c, d = (
            self.scene_distance(shapes, x + sx * h, y + sy * h, z + sz * h)
            for sx, sy, sz in ((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1))
        )
        normal = torch.stack([a - b - c + d, d + c - a - b, d + b - a - c], dim=-1)
        return normal / normal.norm(dim=-1, keepdim=True).clamp_min(1e-8)


def _n_parts(shapes: Tensor) -> Tensor:
    """Parts used by each row, rounded up to a few sizes so that few kernels are compiled."""
    used = (shapes[..., SHAPE["cz"]] > -40).sum(-1)
    most = shapes.shape[1]
    return torch.where(used <= most // 2, most // 2, most)


def _scene_rays(rows: Scenes, cameras: Camera) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Ray origins and directions [3, N, M] in scene units, and (near, far) [N, M] of the bounding sphere."""
    rays = cameras.rays()
    o, d = (value.reshape(len(rows), -1, 3) for value in (rays.origins, rays.directions))
    scale = rows.scale[:, None]
    middle = -(o * d).sum(-1)
    half = (BOUND**2 - (o + middle[..., None] * d).square().sum(-1)).clamp_min(0).sqrt()
    o = o @ rows.rotation / scale[..., None] + rows.center[:, None]
    d = d @ rows.rotation
    span = ((middle - half) / scale, (middle + half) / scale)
    return o.permute(2, 0, 1).contiguous(), d.permute(2, 0, 1).contiguous(), span


def _chunks(start: Tensor, n_parts: Tensor) -> list[tuple[int, Tensor, Tensor]]:
    """Groups of rows with similar work: (parts, row numbers [n], pixel numbers [n, m]); padding pixels start at
    infinity. A GPU is waited for once."""
    count, parts = torch.stack([torch.isfinite(start).sum(1), n_parts]).tolist()
    order = sorted((row for row in range(len(count)) if count[row]), key=lambda row: (parts[row], count[row]))
    limit = CHUNK_RAYS.get(start.device.type, MANY_RAYS)
    groups, at = [], 0
    while at < len(order):
        last = at + 1
        while (
            last < len(order)
            and parts[order[last]] == parts[order[at]]
            and (last + 1 - at) * count[order[last]] <= limit
        ):
            last += 1
        chunk = torch.tensor(order[at:last], device=start.device)
        pixels = torch.argsort(start[chunk].isinf().byte(), dim=1, stable=True)[:, : count[order[last - 1]]]
        groups.append((parts[order[at]], chunk, pixels))
        at = last
    return groups


def _gather(values: Tensor, pixels: Tensor) -> Tensor:
    return torch.gather(values, 2, pixels.expand(3, -1, -1))


def _shading(light: Tensor, normal: Tensor) -> Tensor:
    """Half-Lambert light from one direction over an ambient share, [N, M, 1]."""
    cosine = (normal * light[:, None, :3]).sum(-1, keepdim=True)
    ambient, gain = light[:, None, 3:4], light[:, None, 4:5]
    return gain * (ambient + (1.0 - ambient) * (0.5 + 0.5 * cosine))
