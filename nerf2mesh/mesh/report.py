"""What the steps of mesh building report: frozen values that `build` puts together into one dict for mesh.json.

Every step returns its own figures, and no step sees those of another. A figure is a JSON value: a number, a string, a
list or a dict of such. A step that was not run has None here and no entry in the dict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Figures = Mapping[str, object]


@dataclass(frozen=True)
class SurfaceReport:
    """Steps up to the repaired surface, before decimation."""

    threshold: Figures
    """logit and density of the surface, and the calibration's curve."""
    extract: Figures
    """Resolution, faces, evaluations of the field, blocks, and the figures of `sharpen` where it ran."""
    repair: Figures
    """Counts of pieces found, dropped and kept, and of split vertices."""

    def to_dict(self) -> dict[str, object]:
        """The entries of mesh.json, in the order of the steps."""
        return {"threshold": dict(self.threshold), "extract": dict(self.extract), "repair": dict(self.repair)}


@dataclass(frozen=True)
class PaintReport:
    """Steps that color the mesh; both are None where the field has no color."""

    unwrap: Figures | None = None
    bake: Figures | None = None


@dataclass(frozen=True)
class FinishReport:
    """Steps from the face budget to the finished mesh, once per level of detail."""

    simplify: Figures
    remesh: Figures | None
    paint: PaintReport
    mesh: Figures
    """`inspect_mesh` of the result."""

    def to_dict(self) -> dict[str, object]:
        """The entries of mesh.json, in the order of the steps; steps that were not run are left out."""
        steps = {
            "simplify": self.simplify,
            "remesh": self.remesh,
            "unwrap": self.paint.unwrap,
            "bake": self.paint.bake,
            "mesh": self.mesh,
        }
        return {name: dict(figures) for name, figures in steps.items() if figures is not None}


def joined_report(
    seconds: Mapping[str, float], surface: SurfaceReport, levels: Sequence[FinishReport]
) -> dict[str, object]:
    """The content of mesh.json: the first level's entries beside the surface's, further levels under "lods"."""
    report: dict[str, object] = {"seconds": dict(seconds), **surface.to_dict(), **levels[0].to_dict()}
    if len(levels) > 1:
        report["lods"] = [level.to_dict() for level in levels[1:]]
    return report
