"""The few values that travel between rooms: cameras, rays, views, observations, renderings.

Frames and letters
    World: right-handed, +Z up, the object inside the box [-1, 1]^3, its front along +X. Azimuth 0 looks at the front
    and grows counter-clockwise seen from above; elevation is above the horizon.
    Camera: OpenGL axes (x right, y up, looking along -z). A pixel's center is at (column + 0.5, row + 0.5),
    rows grow downward. Images are float32 in [0, 1], sRGB, channels last.
    Depth is the distance along a unit ray direction, in world units.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# torch's own annotations leave out some results (norm, broadcast_tensors).

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import EllipsisType

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from nerf2mesh.utils.device_copy import to_device

Index = int | slice | EllipsisType | Tensor | None | tuple[int | slice | EllipsisType | Tensor | None, ...]
"""What a batch of cameras is indexed with, as a tensor is."""


@dataclass(frozen=True)
class Rays:
    """World-space rays; `directions` has unit length. Shapes [..., 3]."""

    origins: Float[Tensor, "*n 3"]
    directions: Float[Tensor, "*n 3"]

    def flatten(self) -> Rays:
        """The same rays in one list: [*n, 3] -> [N, 3], N the product of *n."""
        return Rays(self.origins.reshape(-1, 3), self.directions.reshape(-1, 3))


@dataclass(frozen=True)
class Camera:
    """One camera or a batch of cameras of one image size.

    camera_to_world: [*b, 4, 4], OpenGL axes. focal_px, principal_px: [*b, 2] as (x, y). For an orthographic camera
    focal_px is the number of pixels that one world unit covers.
    """

    camera_to_world: Float[Tensor, "*b 4 4"]
    focal_px: Float[Tensor, "*b 2"]
    principal_px: Float[Tensor, "*b 2"]
    width_px: int
    height_px: int
    orthographic: bool = False

    @property
    def batch_shape(self) -> torch.Size:
        """The shape *b of the batch; empty for a single camera."""
        return self.camera_to_world.shape[:-2]

    @property
    def position(self) -> Float[Tensor, "*b 3"]:
        """The camera's center in world axes, [*b, 3]."""
        return self.camera_to_world[..., :3, 3]

    @property
    def azimuth_deg(self) -> Float[Tensor, "*b"]:
        """Azimuth of the position seen from the origin, in [-180, 180]: 0 at +X, 90 at +Y."""
        x, y, _ = self.position.unbind(-1)
        return torch.rad2deg(torch.atan2(y, x))

    @property
    def elevation_deg(self) -> Float[Tensor, "*b"]:
        """Elevation of the position above the horizon, in [-90, 90]."""
        x, y, z = self.position.unbind(-1)
        return torch.rad2deg(torch.atan2(z, torch.hypot(x, y)))

    def __getitem__(self, index: Index) -> Camera:
        return replace(
            self,
            camera_to_world=self.camera_to_world[index],
            focal_px=self.focal_px[index],
            principal_px=self.principal_px[index],
        )

    def to(self, device: torch.device | str) -> Camera:
        """The same cameras with their tensors on `device`."""
        return replace(
            self,
            camera_to_world=to_device(self.camera_to_world, device),
            focal_px=to_device(self.focal_px, device),
            principal_px=to_device(self.principal_px, device),
        )

    def resized(self, width_px: int, height_px: int) -> Camera:
        """The same view at another image size."""
        scale = self.focal_px.new_tensor([width_px / self.width_px, height_px / self.height_px])
        return replace(
            self,
            focal_px=self.focal_px * scale,
            principal_px=self.principal_px * scale,
            width_px=width_px,
            height_px=height_px,
        )

    def turned(self, azimuth_deg: float | Tensor) -> Camera:
        """The camera moved by `azimuth_deg` around the world's Z axis."""
        angle = torch.deg2rad(torch.as_tensor(azimuth_deg, dtype=torch.float32, device=self.focal_px.device))
        turn = torch.eye(4, device=self.focal_px.device).expand(*angle.shape, 4, 4).clone()
        turn[..., 0, 0] = turn[..., 1, 1] = torch.cos(angle)
        turn[..., 1, 0] = torch.sin(angle)
        turn[..., 0, 1] = -turn[..., 1, 0]
        return replace(self, camera_to_world=turn @ self.camera_to_world)

    def pixel_centers(self) -> Float[Tensor, "h w 2"]:
        """[h, w, 2] as (x, y) in pixels: (column + 0.5, row + 0.5), on the device of `focal_px`."""
        device = self.focal_px.device
        y, x = torch.meshgrid(
            torch.arange(self.height_px, device=device) + 0.5,
            torch.arange(self.width_px, device=device) + 0.5,
            indexing="ij",
        )
        return torch.stack([x, y], dim=-1)

    def rays(self, pixels: Float[Tensor, "*p 2"] | None = None) -> Rays:
        """Rays through `pixels` (x, y) given in pixels, all centers [h, w, 2] by default.

        Returns origins and directions of shape [*b, *p, 3].
        """
        pixels = self.pixel_centers() if pixels is None else pixels
        spread = (...,) + (None,) * (pixels.ndim - 1) + (slice(None),)
        offset = (pixels - self.principal_px[spread]) / self.focal_px[spread]
        x, y = offset[..., 0], -offset[..., 1]
        rotation = self.camera_to_world[..., :3, :3]
        rotation = rotation.reshape(*self.batch_shape, *(1,) * (pixels.ndim - 1), 3, 3)
        position = self.position[spread]
        if self.orthographic:
            in_plane = torch.stack([x, y, torch.zeros_like(x)], dim=-1)
            origins = position + (rotation @ in_plane[..., None])[..., 0]
            directions = -rotation[..., 2].expand_as(origins)
            return Rays(origins, directions.contiguous())
        local = torch.stack([x, y, -torch.ones_like(x)], dim=-1)
        directions = (rotation @ local[..., None])[..., 0]
        directions = directions / directions.norm(dim=-1, keepdim=True)
        return Rays(position.expand_as(directions).contiguous(), directions)

    def project(self, points: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, "*b n 2"], Float[Tensor, "*b n"]]:
        """Pixel coordinates (x, y) of world points, and their depth along the viewing axis (negative: behind)."""
        rotation, position = self.camera_to_world[..., :3, :3], self.position[..., None, :]
        local = (points - position) @ rotation
        depth = -local[..., 2]
        scale = torch.ones_like(depth) if self.orthographic else depth.clamp_min(1e-8)
        plane = torch.stack([local[..., 0], -local[..., 1]], dim=-1) / scale[..., None]
        return plane * self.focal_px[..., None, :] + self.principal_px[..., None, :], depth

    @staticmethod
    def orbit(
        azimuth_deg: float | Tensor,
        elevation_deg: float | Tensor,
        *,
        distance: float | Tensor = 3.2,
        fov_deg: float | Tensor = 40.0,
        width_px: int = 256,
        height_px: int | None = None,
        orthographic: bool = False,
    ) -> Camera:
        """Cameras that look at the origin; the angles broadcast to the batch shape.

        `fov_deg` is the vertical field of view. An orthographic camera shows at the origin what a perspective one of
        the same distance and field of view shows there.
        """
        height_px = width_px if height_px is None else height_px
        values = [torch.as_tensor(v, dtype=torch.float32) for v in (azimuth_deg, elevation_deg, distance, fov_deg)]
        azimuth, elevation, radius, fov = torch.broadcast_tensors(*values)
        azimuth, elevation, fov = torch.deg2rad(azimuth), torch.deg2rad(elevation), torch.deg2rad(fov)
        sin_a, cos_a, sin_e, cos_e = azimuth.sin(), azimuth.cos(), elevation.sin(), elevation.cos()
        zero = torch.zeros_like(azimuth)
        right = torch.stack([-sin_a, cos_a, zero], dim=-1)
        up = torch.stack([-sin_e * cos_a, -sin_e * sin_a, cos_e], dim=-1)
        back = torch.stack([cos_e * cos_a, cos_e * sin_a, sin_e], dim=-1)
        pose = torch.eye(4).expand(*azimuth.shape, 4, 4).clone()
        pose[..., :3, :] = torch.stack([right, up, back, back * radius[..., None]], dim=-1)
        focal = 0.5 * height_px / torch.tan(0.5 * fov)
        focal = focal / radius if orthographic else focal
        principal = torch.tensor([0.5 * width_px, 0.5 * height_px]).expand(*azimuth.shape, 2)
        return Camera(pose, focal[..., None].repeat_interleave(2, -1), principal, width_px, height_px, orthographic)

    @staticmethod
    def stack(cameras: list[Camera]) -> Camera:
        """A batch from single cameras of one size and kind."""
        kinds = {(c.width_px, c.height_px, c.orthographic) for c in cameras}
        if len(kinds) != 1:
            raise ValueError(f"cameras: expected one image size and projection, got {sorted(kinds)}; resize them first")
        return replace(
            cameras[0],
            camera_to_world=torch.stack([c.camera_to_world for c in cameras]),
            focal_px=torch.stack([c.focal_px for c in cameras]),
            principal_px=torch.stack([c.principal_px for c in cameras]),
        )


DEPTH_KINDS = ("world", "scale", "affine", "inverse")


@dataclass(frozen=True)
class DepthMap:
    """How far a view's pixels are, [h, w], where `known`; what else is to be found out is said by `kind`.

    world: in world units. scale: all of them times one positive number. affine: times a positive number, plus another.
    inverse: as affine, of 1 / depth (disparity). along_axis: measured along the viewing axis, else along the ray.
    """

    values: Float[Tensor, "h w"]
    known: Bool[Tensor, "h w"]
    kind: str = "world"
    along_axis: bool = True

    def __post_init__(self) -> None:
        assert self.kind in DEPTH_KINDS and self.values.shape == self.known.shape


@dataclass(frozen=True)
class Carving:
    """What a view's inner lines take away: all inside a region of the frame that lies before a plane, seen from there.

    clearance: as of a View, of that region. height: of the plane, in world units along the sight, from the origin
    towards the camera. behind: all that lies beyond the plane instead.
    """

    clearance: Float[Tensor, "rows columns"]
    height: float
    behind: bool = False


@dataclass(frozen=True)
class View:
    """What is known from one side: a straight-alpha RGBA image [h, w, 4] and the camera that took it.

    known [h, w] is False where the picture says nothing, such as beyond the photograph's border; None: all is known.
    normal [h, w, 3]: unit normals of the surface in world axes, zeros where nothing is known.
    clearance: of an exact silhouette, how deep each point of a grid over the frame lies inside it, in world units,
    negative outside; the grid may be finer than the image. Nothing of the object is where it is negative.
    carvings: what is known to be empty inside such a silhouette.
    """

    image: Float[Tensor, "h w 4"]
    camera: Camera
    weight: float = 1.0
    domain: str = "photo"
    known: Bool[Tensor, "h w"] | None = None
    depth: DepthMap | None = None
    normal: Float[Tensor, "h w 3"] | None = None
    clearance: Float[Tensor, "rows columns"] | None = None
    carvings: tuple[Carving, ...] = ()

    @property
    def maps(self) -> tuple[Tensor, ...]:
        """The tensors of `depth` and `normal`, as far as there are any."""
        depth = () if self.depth is None else (self.depth.values, self.depth.known)
        return depth if self.normal is None else (*depth, self.normal)

    def __post_init__(self) -> None:
        shape, kind = tuple(self.image.shape), self.image.dtype
        if len(shape) != 3 or shape[2] != 4:
            raise ValueError(f"View.image: expected the shape [h, w, 4], got {list(shape)}; put the channels last")
        if not kind.is_floating_point:
            raise ValueError(f"View.image: expected floats in [0, 1], got {kind}; divide 8 bits by 255")
        sizes = {tuple(values.shape[:2]) for values in self.maps} - {shape[:2]}
        if sizes:
            raise ValueError(
                f"View.depth, View.normal: expected {list(shape[:2])} pixels as the image has, got "
                f"{[list(size) for size in sizes]}; resample them"
            )
        low, high = (float(bound) for bound in self.image.detach().aminmax()) if self.image.numel() else (0.0, 0.0)
        if not (low >= -1e-3 and high <= 1.0 + 1e-3):
            raise ValueError(f"View.image: expected values in [0, 1], got {low:g} to {high:g}; scale them")


@dataclass(frozen=True)
class Clip:
    """Frames of one object that moves; the first is what the field shows.

    images [f, h, w, 4]: straight-alpha RGBA. cameras: a batch [f] of their size. times_s: f rising times in seconds.
    """

    images: Float[Tensor, "f h w 4"]
    cameras: Camera
    times_s: tuple[float, ...]

    def __post_init__(self) -> None:
        n = len(self.times_s)
        assert n >= 2 and self.images.shape[0] == n and tuple(self.cameras.batch_shape) == (n,)
        assert tuple(self.images.shape[1:3]) == (self.cameras.height_px, self.cameras.width_px)


@dataclass(frozen=True)
class Observations:
    """All that the user gave, made ready: views (the first is the reference), prompts, and notes for the report.

    There may be no views where there is a prompt: text to 3D. clip: frames in which the object moves; the views then
    show it as it is in the first.
    """

    views: tuple[View, ...] = ()
    prompt: str = ""
    notes: dict[str, object] = field(default_factory=dict[str, object])
    negative_prompt: str = ""
    clip: Clip | None = None


@dataclass(frozen=True)
class Rendering:
    """A rendered image or batch of rays. Color and normals are premultiplied by opacity; no background is added.

    rgb [..., 3] sRGB, opacity [...], depth [...] (opacity-weighted mean distance along the ray, 0 without a hit),
    normal [..., 3] in world axes or None, `extra` for anything else a renderer measured.
    """

    rgb: Float[Tensor, "*p 3"]
    opacity: Float[Tensor, "*p"]
    depth: Float[Tensor, "*p"]
    normal: Float[Tensor, "*p 3"] | None = None
    extra: dict[str, Tensor] = field(default_factory=dict[str, Tensor])

    @property
    def rgba(self) -> Float[Tensor, "*p 4"]:
        """Premultiplied RGBA."""
        return torch.cat([self.rgb, self.opacity[..., None]], dim=-1)

    def over(self, background: float | Tensor) -> Float[Tensor, "*p 3"]:
        """The color in front of `background` (a grey level, or a color that broadcasts to [..., 3])."""
        return self.rgb + (1.0 - self.opacity[..., None]) * background


DEFAULT_DISTANCE = 3.2
DEFAULT_FOV_DEG = 40.0
