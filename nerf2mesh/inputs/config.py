"""What a run may be told about its input."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from nerf2mesh.types import DEFAULT_DISTANCE, DEFAULT_FOV_DEG
from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import Elevation, FilePath, Length, OneOf, Share, Within, Words

DRAWINGS = ("sketch", "lineart", "drawing", "scribble")
DOMAINS = ("photo", *DRAWINGS)
FOREGROUND_METHODS = ("auto", "alpha", "plain", "grabcut", "rembg", "none")
KINDS = ("picture", "photos", "sheet")
SIDES = ("front", "front_left", "left", "back_left", "back", "back_right", "right", "front_right", "top", "bottom")
UPS = ("auto", "cameras", "x", "y", "z", "-x", "-y", "-z")
BOXES = ("auto", "masks", "file", "points", "cameras")


@dataclass(kw_only=True)
class PhotosConfig:
    """Several photographs of one object (`input=photos`); docs/photos.md has each layout."""

    max_photos: Annotated[int, Within(2, 10_000)] = 120
    """At most so many pictures of a folder or frames of a video are looked at, evenly picked. All of a capture with
    poses are."""
    up: Annotated[str, OneOf(*UPS)] = "auto"
    """The world's up direction: auto (+Z in transforms.json, else from the cameras), cameras (people hold them level),
    or an axis of the file's world: x, y, z, -x, -y, -z."""
    keep_front: bool = False
    """The file's x axis stays the object's front. False: the first photograph is at input.azimuth_deg."""
    box: Annotated[str, OneOf(*BOXES)] = "auto"
    """Where the object is: by the masks' visual hull, the file (aabb_scale, scale_mat), the sparse points, or what all
    cameras see; auto takes the first of these that is there."""
    min_registered: Share = 0.5
    """Share of photographs without poses that structure from motion has to place; fewer are refused."""
    turntable: bool = False
    """The object turned before a camera that stood still: structure from motion then looks at the object alone."""
    matching: Annotated[str, OneOf("auto", "exhaustive", "sequential")] = "auto"
    """Pairs that are matched: exhaustive, sequential (neighbors in time), or auto: sequential for videos and for more
    than 80 photographs."""
    cache_dir: FilePath | None = None
    """Where the found poses are kept; null takes ~/.cache/nerf2mesh (or XDG_CACHE_HOME)."""

    def __post_init__(self) -> None:
        check_ranges(self, "input.photos.")


@dataclass(kw_only=True)
class InputConfig:
    """One picture and the camera that is said to have taken it, several photographs, words, or pictures and words."""

    kind: Annotated[str, OneOf(*KINDS)] = "picture"
    """What `input=NAME` sets: picture (or words alone), photos, or sheet."""
    image: FilePath | None = None
    """Path of a PNG, JPEG or WebP picture. Null with a prompt: text to 3D. With input=photos a folder, a video, a
    transforms.json or a cameras.npz."""
    images: Annotated[list[FilePath], Length(0, 10_000)] = field(default_factory=list)
    """With input=photos and input=sheet the pictures one by one; input.image=[A,B] says the same."""
    views: Annotated[list[Annotated[str, OneOf(*SIDES)]], Length(0, 64)] = field(default_factory=list)
    """With input=sheet the sides that the figures show, in reading order; left is the object's own left. Empty takes
    what is usual for their number."""
    azimuths_deg: Annotated[list[Annotated[float, Within(-360.0, 360.0)]], Length(0, 10_000)] = field(
        default_factory=list
    )
    """With input=photos and no poses: from where each picture was taken, instead of structure from motion."""
    elevations_deg: Annotated[list[Elevation], Length(0, 10_000)] = field(default_factory=list)
    """The elevations that belong to azimuths_deg; empty takes elevation_deg for all."""
    elevation_deg: Elevation = 10.0
    """How far above the horizon the picture was taken from."""
    azimuth_deg: Annotated[float, Within(-360.0, 360.0)] = 0.0
    """0 looks at the object's front, 90 at the side that lies to its left (+Y)."""
    fov_deg: Annotated[float, Within(1.0, 150.0)] = DEFAULT_FOV_DEG
    """Vertical field of view of the square frame; it is assumed, a picture does not tell it."""
    distance: Annotated[float, Within(1.1, 1000.0)] = DEFAULT_DISTANCE
    """From the camera to the middle of the object, in world units (the object's box is 2 wide)."""
    size_px: Annotated[int, Within(16, 2048)] = 512
    """Side of the square view that the optimization and the texture see; a step costs the same for any."""
    foreground: Annotated[str, OneOf(*FOREGROUND_METHODS)] = "auto"
    """auto (alpha, else plain background, else GrabCut), or one of alpha, plain, grabcut, rembg, none."""
    plain_tolerance: Annotated[float, Within(0.0, 100.0)] = 9.0
    """Distance in CIE Lab up to which a color counts as the plain background."""
    recenter: bool = True
    """Move and scale the object to the middle of the frame. False keeps the picture's own framing (and its camera)."""
    fill: Annotated[float, Within(0.05, 1.0)] = 0.7
    """With `recenter`: the longer side of the object's box as a share of the frame."""
    domain: Annotated[str, OneOf(*DOMAINS)] = "photo"
    """photo, or for a picture made of strokes sketch, lineart, drawing or scribble: a ControlNet then reads the strokes
    themselves, and the paper's colors are not taken for the object's."""
    prompt: Words = ""
    """What the object is, for priors that read words; directions such as "side view" are added by the prior."""
    negative_prompt: Words = ""
    """What it is not to be."""
    photos: PhotosConfig = field(default_factory=PhotosConfig)

    def __post_init__(self) -> None:
        check_ranges(self, "input.")
        if self.images and self.kind not in ("photos", "sheet"):
            raise ValueError(
                f"input.images: expected one picture, got {len(self.images)}; say input=photos or input=sheet"
            )
        if self.views and self.kind != "sheet":
            raise ValueError(f"input.views: expected none with input={self.kind}, got {self.views}; say input=sheet")
        if self.azimuths_deg and self.kind != "photos":
            raise ValueError(
                f"input.azimuths_deg: expected none with input={self.kind}, got {self.azimuths_deg}; say input=photos"
            )
        if self.images and self.image:
            raise ValueError("input.images: expected none beside input.image, got both; leave one of them out")
