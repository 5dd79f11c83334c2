"""What a run may be told about its input."""

from __future__ import annotations

from dataclasses import dataclass

from nerf2mesh.types import DEFAULT_DISTANCE, DEFAULT_FOV_DEG

DRAWINGS = ("sketch", "lineart", "drawing", "scribble")
DOMAINS = ("photo", *DRAWINGS)
FOREGROUND_METHODS = ("auto", "alpha", "plain", "grabcut", "rembg", "none")


@dataclass(kw_only=True)
class InputConfig:
    """One picture and the camera that is said to have taken it, words, or both."""

    image: str | None = None
    """Path of a PNG, JPEG or WebP picture. Null with a prompt: text to 3D."""
    elevation_deg: float = 10.0
    """How far above the horizon the picture was taken from."""
    azimuth_deg: float = 0.0
    """0 looks at the object's front, 90 at the side that lies to its left (+Y)."""
    fov_deg: float = DEFAULT_FOV_DEG
    """Vertical field of view of the square frame; it is assumed, a picture does not tell it."""
    distance: float = DEFAULT_DISTANCE
    """From the camera to the middle of the object, in world units (the object's box is 2 wide)."""
    size_px: int = 512
    """Side of the square view that the optimization and the texture see; a step costs the same for any."""
    foreground: str = "auto"
    """auto (alpha, else plain background, else GrabCut), or one of alpha, plain, grabcut, rembg, none."""
    plain_tolerance: float = 9.0
    """Distance in CIE Lab up to which a color counts as the plain background."""
    recenter: bool = True
    """Move and scale the object to the middle of the frame. False keeps the picture's own framing (and its camera)."""
    fill: float = 0.7
    """With `recenter`: the longer side of the object's box as a share of the frame."""
    domain: str = "photo"
    """photo, or for a picture made of strokes sketch, lineart, drawing or scribble: a ControlNet then reads the strokes
    themselves, and the paper's colors are not taken for the object's."""
    prompt: str = ""
    """What the object is, for priors that read words; directions such as "side view" are added by the prior."""
    negative_prompt: str = ""
    """What it is not to be."""

    def __post_init__(self) -> None:
        if self.foreground not in FOREGROUND_METHODS:
            raise ValueError(
                f"input.foreground: expected one of {', '.join(FOREGROUND_METHODS)}, got {self.foreground!r}; set one"
            )
        if self.domain not in DOMAINS:
            raise ValueError(f"input.domain: expected one of {', '.join(DOMAINS)}, got {self.domain!r}; choose one")
        _check("input.elevation_deg", self.elevation_deg, -90.0, 90.0)
        _check("input.fov_deg", self.fov_deg, 1.0, 150.0)
        _check("input.distance", self.distance, 1.1, 1000.0)
        _check("input.size_px", self.size_px, 16, 2048)
        _check("input.fill", self.fill, 0.05, 1.0)
        _check("input.plain_tolerance", self.plain_tolerance, 0.0, 100.0)


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name}: expected {low:g} to {high:g}, got {value:g}; set {name}=... within these bounds")
