"""What a run may be told about its input."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from nerf2mesh.types import DEFAULT_DISTANCE, DEFAULT_FOV_DEG
from nerf2mesh.utils.range_check import check_ranges, checked
from nerf2mesh.utils.ranges import AutoElevation, AutoFov, Elevation, FilePath, Length, OneOf, Share, Within, Words

DRAWINGS = ("sketch", "lineart", "drawing", "scribble", "pencil", "blueprint")
"""Pictures made of strokes, whose paper is not the object's color."""
DOMAINS = ("auto", "photo", "cel", "pixelart", *DRAWINGS)
EXACT_KINDS = ("plan", "drawing")
"""Sheets whose geometry is read, not optimized."""
DEPTH_KINDS = ("auto", "world", "metric", "relative", "inverse")
NORMAL_AXES = ("auto", "opengl", "directx", "opencv", "inverted")
CANDIDATES = ("candidate1", "candidate2", "candidate3")
FOREGROUND_METHODS = ("auto", "alpha", "plain", "network", "grabcut", *CANDIDATES, "rembg", "birefnet", "none")
Pixels = Annotated[float, Within(0.0, 100_000.0)]
Point = tuple[Pixels, Pixels, Annotated[float, Within(0.0, 1.0)]]
KINDS = ("picture", "photos", "sheet", "frames", "plan", "drawing")
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
    poses: Annotated[str, OneOf("auto", "motion", "prior")] = "auto"
    """Photographs without poses and without input.azimuths_deg: motion (structure from motion), prior (the built-in
    prior finds the azimuths of 2 to 5), or auto: prior for 2 to 5, motion for more."""
    turntable: bool = False
    """The object turned before a camera that stood still: structure from motion then looks at the object alone."""
    matching: Annotated[str, OneOf("auto", "exhaustive", "sequential")] = "auto"
    """Pairs that are matched: exhaustive, sequential (neighbors in time, and 40 key frames with each other), or auto:
    sequential for more than 80 photographs or frames."""
    exposure: Annotated[str, OneOf("even", "keep")] = "even"
    """Photographs that structure from motion placed: even brings them to one exposure by the points that they share,
    keep takes them as they are."""
    cache_dir: FilePath | None = None
    """Where the found poses are kept; null takes ~/.cache/nerf2mesh (or XDG_CACHE_HOME)."""

    def __post_init__(self) -> None:
        check_ranges(self, "input.photos.")


@dataclass(kw_only=True)
class InputConfig:
    """One picture and the camera that is said to have taken it, several photographs, frames of a clip, words, pictures
    and words, or a sheet: a plan or a drawing."""

    kind: Annotated[str, OneOf(*KINDS)] = "picture"
    """What `input=NAME` sets: picture (or words alone), photos, sheet, frames (of a clip), plan (a floor plan), or
    drawing (a part)."""
    image: FilePath | None = None
    """Path of a PNG, JPEG or WebP picture. Null with a prompt: text to 3D. With input=photos a folder, a video, a
    transforms.json or a cameras.npz; with input=plan and input=drawing also a PDF, SVG or DXF."""
    images: Annotated[list[FilePath], Length(0, 10_000)] = field(default_factory=list)
    """With input=photos, input=sheet and input=frames the pictures one by one; input.image=[A,B] says the same."""
    frames: FilePath | None = None
    """With input=frames: a GIF, APNG, WebP or MP4, or a folder of pictures; input.image says the same. See
    docs/frames.md."""
    fps: Annotated[float, Within(0.0, 1000.0)] = 0.0
    """With input=frames: frames a second; 0 takes the file's own, 12 for a folder or a list."""
    range: Annotated[list[Annotated[int, Within(0, 1_000_000)]], Length(0, 2)] = field(default_factory=list)
    """With input=frames: [first,last], counted from 0, both of them taken; empty takes all."""
    every: Annotated[int, Within(1, 1000)] = 1
    """With input=frames: one frame of so many, from the first on."""
    sheet: Annotated[list[FilePath], Length(0, 64)] = field(default_factory=list)
    """With input=frames: more drawings of the object as it is in the first frame, read as by input=sheet, with
    `views`; they fix the shape that the clip moves."""
    views: Annotated[list[Annotated[str, OneOf(*SIDES)]], Length(0, 64)] = field(default_factory=list)
    """With input=sheet and input.sheet the sides that the figures show, in reading order; left is the object's own
    left. Empty takes what is usual for their number."""
    hull_margin: Annotated[float, Within(0.0, 1.0)] | None = 0.01
    """With input=sheet: nothing of the object is farther outside of any figure's outline than this share of its height.
    Null lets the figures pull at the object without such a bound."""
    azimuths_deg: Annotated[list[Annotated[float, Within(-360.0, 360.0)]], Length(0, 10_000)] = field(
        default_factory=list
    )
    """With input=photos and no poses: from where each picture was taken, instead of structure from motion or the
    prior's guess. With input=frames: from where each frame was taken; empty for a still camera."""
    elevations_deg: Annotated[list[Elevation], Length(0, 10_000)] = field(default_factory=list)
    """The elevations that belong to azimuths_deg; empty takes elevation_deg for all."""
    elevation_deg: AutoElevation = 10.0
    """How far above the horizon the picture was taken from; auto lets a small network tell (docs/viewpoint.md)."""
    azimuth_deg: Annotated[float, Within(-360.0, 360.0)] = 0.0
    """0 looks at the object's front, 90 at the side that lies to its left (+Y)."""
    fov_deg: AutoFov = DEFAULT_FOV_DEG
    """Vertical field of view of the square frame; a picture hardly tells it. With auto a small network guesses it, and
    the distance follows, so that the object keeps its size."""
    distance: Annotated[float, Within(1.1, 1000.0)] = DEFAULT_DISTANCE
    """From the camera to the middle of the object, in world units (the object's box is 2 wide)."""
    size_px: Annotated[int, Within(16, 2048)] = 512
    """Side of the square view that the optimization and the texture see; a step costs the same for any."""
    foreground: Annotated[str, OneOf(*FOREGROUND_METHODS)] = "auto"
    """auto (alpha, else the best of several answers), or one of alpha, plain, network, grabcut, candidate1 to
    candidate3 (after a run that stopped with a doubtful mask), rembg, birefnet (where you have their weights), none."""
    foreground_confidence: Share = 0.6
    """auto: below this confidence in the mask the run stops and shows candidates; 0 never stops."""
    box: Annotated[list[Pixels], Length(0, 4)] = field(default_factory=list)
    """A hint: [x0,y0,x1,y1] around the object in pixels of the picture, from the top left."""
    points: Annotated[list[Any], Length(0, 1000)] = field(default_factory=list)
    """Hints: [[x,y,1],...] in pixels of the picture; 1 inside the object, 0 outside of it."""
    foreground_weights: FilePath | None = None
    """Weights of nerf2mesh-train-foreground instead of those of the package."""
    foreground_model: FilePath = "ZhengPeng7/BiRefNet"
    """birefnet: its folder, or its name in the cache of the Hugging Face hub. Python files in it are run."""
    plain_tolerance: Annotated[float, Within(0.0, 100.0)] = 9.0
    """Distance in CIE Lab up to which a color counts as the plain background."""
    recenter: bool = True
    """Move and scale the object to the middle of the frame. False keeps the picture's own framing (and its camera)."""
    fill: Annotated[float, Within(0.05, 1.0)] = 0.7
    """With `recenter`: the longer side of the object's box as a share of the frame."""
    depth: FilePath | None = None
    """A depth map of the picture: 16-bit PNG, EXR or NPY, of the upright picture's size. See docs/maps.md."""
    depth_kind: Annotated[str, OneOf(*DEPTH_KINDS)] = "auto"
    """world (world units), metric (a positive factor is unknown; with `recenter` a shift too), relative (factor and
    shift are unknown, larger is farther), inverse (the same of 1 / depth, larger is nearer), or auto: relative or
    inverse, whichever fits the outline's rim."""
    depth_along: Annotated[str, OneOf("axis", "ray")] = "axis"
    """Whether the depth map measures along the viewing axis, as most renderers do, or along each ray."""
    normal: FilePath | None = None
    """A normal map of the picture: PNG, EXR or NPY, of the upright picture's size."""
    normal_axes: Annotated[str, OneOf(*NORMAL_AXES)] = "auto"
    """opengl (x right, y up, z towards the camera), directx (y down), opencv (y down, z away from the camera), inverted
    (all three against opengl), or auto: whatever fits the outline."""
    normal_frame: Annotated[str, OneOf("auto", "camera", "world")] = "auto"
    """The axes in which normals are given: the camera's, the world's (+Z up, front +X), or auto."""
    domain: Annotated[str, OneOf(*DOMAINS)] = "photo"
    """photo, cel or pixelart; or for a picture made of strokes sketch, lineart, drawing, scribble, pencil or blueprint:
    a ControlNet then reads the strokes themselves, and the paper's colors are not taken for the object's. auto looks at
    the picture, and takes it for a photo where it is not sure (docs/kinds-of-pictures.md)."""
    prompt: Words = ""
    """What the object is, for priors that read words; directions such as "side view" are added by the prior."""
    negative_prompt: Words = ""
    """What it is not to be."""
    author: Words = ""
    """Who made the picture (or the photographs, the drawing), for the record that the mesh carries."""
    licence: Words = ""
    """Under which licence it may be used: an SPDX name such as CC-BY-4.0, own for your own work, or what its giver
    says. See `use` and docs/provenance.md."""
    photos: PhotosConfig = field(default_factory=PhotosConfig)
    mm_per_px: Annotated[float, Within(0.0001, 1_000_000.0)] | None = None
    """Sheets: millimetres of the real thing that a pixel covers (of an SVG a user unit, of a DXF a drawing unit). Null:
    a DXF's own unit, or `scale`."""
    scale: Annotated[float, Within(0.0001, 1_000_000.0)] | None = None
    """Sheets with a size on paper (PDF, SVG, a scan that knows its dpi): 100 for a sheet 1:100."""
    page: Annotated[int, Within(1, 10_000)] = 1
    """The page of a PDF, from 1."""
    wall_layers: Annotated[list[Words], Length(0, 1000)] = field(default_factory=list)
    """Plans: the layers of a DXF or SVG that hold the walls; empty looks for their usual names."""
    wall_height_m: Annotated[float, Within(0.5, 20.0)] = 2.5
    """Plans: from floor to ceiling."""
    wall_min_m: Annotated[float, Within(0.01, 1.0)] = 0.06
    """Plans: thinner runs of ink are no walls."""
    wall_max_m: Annotated[float, Within(0.01, 3.0)] = 0.6
    """Plans: a wall's end is no wider; outlines of more enclose rooms."""
    door_head_m: Annotated[float, Within(0.5, 20.0)] = 2.0
    """Plans: height of the doors and passages."""
    window_sill_m: Annotated[float, Within(0.05, 20.0)] = 0.9
    """Plans: the windows' lower edge above the floor."""
    window_head_m: Annotated[float, Within(0.2, 20.0)] = 2.1
    """Plans: the windows' upper edge above the floor."""
    opening_max_m: Annotated[float, Within(0.5, 20.0)] = 4.0
    """Plans: a wider gap between walls is no opening."""
    slab_m: Annotated[float, Within(0.01, 1.0)] = 0.1
    """Plans: thickness of floors and ceilings."""
    elevations: Annotated[dict[str, FilePath], Length(0, 1000)] = field(default_factory=dict[str, str])
    """Plans: pictures of surfaces seen straight on, such as +input.elevations.south=FILE for a facade (north is up on
    the sheet), kitchen_north for a room's wall, kitchen_floor, kitchen_ceiling; see docs/plans-and-drawings.md."""
    gaps: Annotated[str, OneOf("open", "passage")] = "open"
    """Plans: what a gap between two rooms is where neither a door nor a window is drawn: open (one room with two parts)
    or passage (two rooms and an opening as high as a door)."""
    angle: Annotated[str, OneOf("auto", "third", "first")] = "auto"
    """Drawings: third-angle projection (the view from the top lies above the front view), first-angle (below it), or
    auto: whichever of both the sheet shows."""
    inner_lines: bool = True
    """Drawings: the lines inside the outlines say how deep pockets are and where the surface has steps; false takes the
    outlines alone."""
    fit: bool = False
    """Drawings: the visual hull of the views is a bound within which a density is optimized, so that the prior decides
    what the views leave open (experiment=drawing sets it). False: the hull itself is the part, at once and exactly."""

    def __post_init__(self) -> None:
        check_ranges(self, "input.")
        self._check_heights()
        self._check_frames()
        if self.images and self.kind not in ("photos", "sheet", "frames"):
            raise ValueError(
                f"input.images: expected one picture, got {len(self.images)}; say input=photos or input=sheet"
            )
        if self.views and self.kind != "sheet" and not self.sheet:
            raise ValueError(f"input.views: expected none with input={self.kind}, got {self.views}; say input=sheet")
        if self.elevations and self.kind != "plan":
            raise ValueError(
                f"input.elevations: expected none with input={self.kind}, got {', '.join(self.elevations)}; "
                "say input=plan"
            )
        if self.fit and self.kind != "drawing":
            raise ValueError(f"input.fit: expected false with input={self.kind}, got true; it belongs to input=drawing")
        if self.azimuths_deg and self.kind not in ("photos", "frames"):
            raise ValueError(
                f"input.azimuths_deg: expected none with input={self.kind}, got {self.azimuths_deg}; say input=photos"
            )
        if self.images and self.image:
            raise ValueError("input.images: expected none beside input.image, got both; leave one of them out")
        self._check_hints()
        self._check_maps()

    @property
    def is_exact(self) -> bool:
        """Whether the geometry is read from a sheet, and nothing is optimized."""
        return self.kind in EXACT_KINDS and not self.fit

    def without_questions(self) -> InputConfig:
        """For one picture of several: its best mask is taken, however doubtful; hints are for single pictures."""
        return replace(self, foreground_confidence=0.0, box=[], points=[])

    def _check_frames(self) -> None:
        """ValueError where settings of a clip stand beside another input; `frames` becomes `image`."""
        for name in ("frames", "range", "sheet"):
            if getattr(self, name) and self.kind != "frames":
                got = getattr(self, name)
                raise ValueError(f"input.{name}: expected none with input={self.kind}, got {got}; say input=frames")
        if len(self.range) == 1 or (self.range and self.range[0] >= self.range[1]):
            raise ValueError(f"input.range: expected [first,last] with first < last, got {self.range}; correct it")
        if self.frames and self.image not in (None, self.frames):
            raise ValueError(
                f"input.frames: expected none beside input.image, got {self.frames} and {self.image}; leave one out"
            )
        self.image = self.frames or self.image

    def _check_hints(self) -> None:
        """ValueError where the box or a point is not made of the right numbers."""
        if len(self.box) not in (0, 4):
            raise ValueError(f"input.box: expected [x0,y0,x1,y1], got {list(self.box)}; give four numbers in pixels")
        self.points = [checked(f"input.points[{i}]", Point, point) for i, point in enumerate(self.points)]
        if any(side not in (0, 1) for _, _, side in self.points):
            raise ValueError(
                f"input.points: expected [[x,y,1],...] with 1 inside and 0 outside, got {self.points}; "
                "correct the third numbers"
            )

    def _check_maps(self) -> None:
        """ValueError where a map has no picture that it could belong to."""
        for name in ("depth", "normal"):
            if getattr(self, name) and self.kind != "picture":
                raise ValueError(
                    f"input.{name}: expected none with input={self.kind}, got {getattr(self, name)}; maps come with "
                    "one picture (input=picture)"
                )

    def _check_heights(self) -> None:
        """ValueError where an opening does not fit into its wall."""
        for name in ("door_head_m", "window_head_m"):
            if getattr(self, name) > self.wall_height_m - 0.05:
                below = f"at most input.wall_height_m - 0.05 = {self.wall_height_m - 0.05:g}"
                raise ValueError(
                    f"input.{name}: expected {below}, got {getattr(self, name):g}; raise the walls or lower it"
                )
        if self.window_sill_m > self.window_head_m - 0.1:
            raise ValueError(
                f"input.window_sill_m: expected at most input.window_head_m - 0.1 = {self.window_head_m - 0.1:g}, "
                f"got {self.window_sill_m:g}; lower it"
            )
