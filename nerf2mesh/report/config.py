"""What a run shows of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import Elevation, FilePath, Length, Name, OneOf, Text, Within

LOGGERS = ("tensorboard", "wandb")


@dataclass(kw_only=True)
class ReportConfig:
    """Progress, turntable and the HTML report."""

    quiet: bool = False
    """No progress bar; warnings and the final paths are still printed."""
    turntable_frames: Annotated[int, Within(2, 10_000, also=(0,))] = 48
    """0 writes no turntable."""
    turntable_fps: Annotated[int, Within(1, 240)] = 16
    turntable_size_px: Annotated[int, Within(16, 4096)] = 256
    turntable_elevation_deg: Elevation = 15.0
    turntable_light: Annotated[str, OneOf("camera", "studio", "sky", "evening")] = "camera"
    """"camera" (a matte surface, lit from there), or one of three surroundings, which show roughness and metal."""
    html: bool = True
    confidence: bool = True
    """A map of how far the prior's guesses lie apart in each direction, in metrics.json too; with `html` alone. Only of
    a prior that guesses views with their opacity, as the built-in one does: 5 seconds of one core. docs/confidence.md
    says what the figures are good for."""
    loggers: Annotated[tuple[Annotated[str, OneOf(*LOGGERS)], ...], Length(0, 8)] = ()
    """Beside metrics.jsonl: tensorboard, wandb (see `loggers` for its offline mode)."""
    sign_key: FilePath | None = None
    """A private key of `nerf2mesh-provenance keygen`: the record inside meshes and previews is signed with it."""
    price_per_hour: Annotated[float, Within(0.0, 1e6)] = 0.0
    """What an hour of this machine costs; 0 names no price."""
    currency: Name = "EUR"
    """Of price_per_hour."""
    power_w: Annotated[float, Within(1.0, 1e6)] = 65.0
    """Power that is assumed, in watts, where the machine has no counter of energy that can be read: no measurement of
    this machine. docs/provenance.md says what is read."""
    viewer: bool = False
    """A live view of the run in the browser; needs the extra `viewer`. Its address is printed."""
    viewer_instant: bool = True
    """The viewer first shows what the built-in prior guesses in seconds (as preset=instant), until the run's first
    preview. Changes nothing of the run."""
    viewer_port: Annotated[int, Within(0, 65_535)] = 8080
    """0: any free one. A port that is taken is passed over for the next."""
    viewer_host: Annotated[str, Text(255, what="an address of this machine")] = "127.0.0.1"
    """Any other than this machine's own (127.0.0.1, localhost, ::1) is open to the network, by a token alone."""
    max_embedded_mesh_bytes: Annotated[int, Within(0, 1 << 40)] = 24_000_000
    """A larger mesh.glb is linked from the report, not embedded."""

    def __post_init__(self) -> None:
        check_ranges(self, "report.")
