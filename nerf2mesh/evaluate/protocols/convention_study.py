"""One mesh measured by the convention of each paper: what scale, translation and rotation do to the same figure.

Nothing is fitted anew: the mesh is what a method returned, the truth is the case's. Three families of rows:
    papers       every entry of `conventions.CONVENTIONS`, and the library's own arithmetic under the name "nerf2mesh";
    alignments   TripoSR's arithmetic with each of `conventions.ALIGNMENTS`, all else equal: what alignment alone does;
    Magic123     no shape is compared there, only the picture at the given view.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from nerf2mesh.evaluate.metrics.images import psnr
from nerf2mesh.evaluate.protocols.conventions import ALIGNMENTS, CONVENTIONS, Convention, convention, measure
from nerf2mesh.evaluate.protocols.scoring import PSNR_OF_EQUALS, Case, render_views, score_geometry
from nerf2mesh.mesh import TriangleMesh

OWN, GIVEN_VIEW = "nerf2mesh", "magic123"
ALIGNED = "alignment: "
"""Starts the names of the rows that differ in alignment alone."""
GIVEN_VIEW_PX = 800
_SCALES = {
    "as given": ("none", "none"),
    "box": ("the truth's box, longest side {side:g}", "the truth's box"),
    "own boxes": ("each its own box, longest side {side:g}", "each its own box"),
    "mean": ("each its own extent in x and y, 1", "each its own mean"),
}
_ROTATIONS = {
    "none": "none",
    "icp": "ICP, moves too",
    "rotations": "best of 6,912",
    "rotations and icp": "best of 6,912, then ICP, moves too",
}


def study(case: Case, mesh: TriangleMesh, *, seed: int = 0) -> dict[str, dict[str, float]]:
    """Scores by the name of the row. A mesh without faces has only the library's own: the papers do not say."""
    own = replace(case, settings=replace(case.settings, convention=OWN))
    found = {OWN: score_geometry(own, mesh)}
    if len(mesh.faces):
        whole = convention("triposr")
        for kind in (*CONVENTIONS, *alignment_rows()):
            if kind.name == ALIGNED + whole.alignment:  # TripoSR's own row, at one threshold
                found[kind.name] = {key: found[whole.name][key] for key in ("chamfer", "chamfer_floor", "f_score_0.1")}
            else:
                found[kind.name] = measure(kind, mesh, case.known_mesh, camera=case.camera, seed=seed)
        found[GIVEN_VIEW] = {"psnr": given_view_psnr(case, mesh)}
    return found


def alignment_rows() -> list[Convention]:
    """TripoSR's arithmetic in [-1, 1]^3 with every alignment."""
    plain = replace(convention("triposr"), thresholds=(0.1,))
    return [replace(plain, name=ALIGNED + alignment, alignment=alignment) for alignment in ALIGNMENTS]


def given_view_psnr(case: Case, mesh: TriangleMesh) -> float:
    """PSNR (dB) at the given view alone, 800 px, white where the picture has no opacity, all other pixels unblended.

    Magic123's report (arXiv 2306.17843) compares pictures there only: a method that was given that very picture.
    """
    image = case.image.movedim(-1, 0)[None]
    big = torch.nn.functional.interpolate(image, size=(GIVEN_VIEW_PX, GIVEN_VIEW_PX), mode="area")[0].movedim(0, -1)
    target = torch.where(big[..., 3:] > 0, big[..., :3], 1.0)
    camera = case.camera.resized(GIVEN_VIEW_PX, GIVEN_VIEW_PX)
    view = render_views(mesh, camera, replace(case.settings, supersample=2))
    color = view.rgb / view.opacity.clamp_min(1e-6)[..., None]
    shown = torch.where(view.opacity[..., None] > 0, color, 1.0).clamp(0, 1)
    return float(psnr(shown, target).clamp_max(PSNR_OF_EQUALS))


def in_words(name: str) -> tuple[str, str, str, str]:
    """Scale, translation, rotation and what the Chamfer distance of a row is, for the table."""
    if name == OWN:
        return "none", "none", "none", "mean of both ways, point to triangle"
    if name == GIVEN_VIEW:
        return "none", "none", "none", "no shape is compared"
    kinds = {kind.name: kind for kind in (*CONVENTIONS, *alignment_rows())}
    kind = kinds[name]
    scale, translation = (words.format(side=kind.side) for words in _SCALES[kind.frame])
    points = f"{kind.samples:,} samples" if kind.samples else "what 16 views see"
    return scale, translation, _ROTATIONS[kind.alignment], f"{kind.reduce} of both ways, {points}"
