"""What a run shows of itself."""

from __future__ import annotations

from dataclasses import dataclass

LOGGERS = ("tensorboard", "wandb")


@dataclass(kw_only=True)
class ReportConfig:
    """Progress, turntable and the HTML report."""

    quiet: bool = False
    """No progress bar; warnings and the final paths are still printed."""
    turntable_frames: int = 48
    """0 writes no turntable."""
    turntable_fps: int = 16
    turntable_size_px: int = 256
    turntable_elevation_deg: float = 15.0
    html: bool = True
    loggers: tuple[str, ...] = ()
    """Beside metrics.jsonl: tensorboard, wandb (see `loggers` for its offline mode)."""
    max_embedded_mesh_bytes: int = 24_000_000
    """A larger mesh.glb is linked from the report, not embedded."""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.loggers) - set(LOGGERS))
        if unknown:
            raise ValueError(
                f"report.loggers: expected some of {', '.join(LOGGERS)}, got {', '.join(unknown)}; correct it"
            )
        if self.turntable_frames < 0 or self.turntable_frames == 1:
            raise ValueError(
                f"report.turntable_frames: expected 0 (none) or at least 2, got {self.turntable_frames}; set it to 48"
            )
        if self.turntable_fps < 1 or self.turntable_size_px < 16:
            raise ValueError(
                f"report: expected turntable_fps >= 1 and turntable_size_px >= 16, "
                f"got {self.turntable_fps} and {self.turntable_size_px}; raise them"
            )
