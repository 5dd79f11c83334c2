"""What a run may be told about its input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from nerf2mesh.types import DEFAULT_DISTANCE, DEFAULT_FOV_DEG
from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import Elevation, FilePath, OneOf, Within, Words

DRAWINGS = ("sketch", "lineart", "drawing", "scribble")
DOMAINS = ("photo", *DRAWINGS)
FOREGROUND_METHODS = ("auto", "alpha", "plain", "grabcut", "rembg", "none")


@dataclass(kw_only=True)
class InputConfig:
    """One picture and the camera that is said to have taken it, words, or both."""

    image: FilePath | None = None
    """Path of a PNG, JPEG or WebP picture. Null with a prompt: text to 3D."""
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

    def __post_init__(self) -> None:
        check_ranges(self, "input.")
