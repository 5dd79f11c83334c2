"""report.html: all that a run has to show in one file, which opens from the disk with no network.

The report reads the run folder (see `write_report`), so that it can be written again at any time; what never becomes a
file of its own is passed in.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any, cast

from nerf2mesh.report import sections
from nerf2mesh.report.config import ReportConfig
from nerf2mesh.report.directions import SPREAD, least_sure, spread_section
from nerf2mesh.report.metrics_log import series
from nerf2mesh.report.run_files import RunFiles, read_picture
from nerf2mesh.report.threshold import threshold_charts
from nerf2mesh.report.viewer import page, viewer_figure
from nerf2mesh.types import Observations
from nerf2mesh.utils.atomic_write import atomic_write_text
from nerf2mesh.utils.regular_file import is_regular, read_regular
from nerf2mesh.utils.without_paths import without_paths

TURNTABLES = ("turntable.mp4", "turntable.gif", "turntable.png")
RESULT_FILES = (
    "mesh.glb",
    "mesh.obj",
    "mesh.ply",
    "mesh.stl",
    "mesh.3mf",
    "mesh.usdz",
    "mesh.fbx",
    "mesh.abc",
    *TURNTABLES,
)


def write_report(
    folder: str | Path,
    *,
    title: str | None = None,
    observations: Observations | None = None,
    facts: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    stages: Mapping[str, Mapping[str, Any]] | None = None,
    warnings: Iterable[str] = (),
    config: ReportConfig | None = None,
) -> Path:
    """Write `folder`/report.html and return its path.

    Everything is optional; a section with nothing to show is left out.

    Args:
        folder: the run folder. Read from it, where present: config.yaml, overrides.yaml or overrides, versions.json,
            provenance.json, metrics.jsonl, metrics.json, timings.json, cost.json, warnings.json, rooms.json,
            previews/*.png, confidence.png, mesh.glb, turntable.mp4|gif|png.
        title: by default the input's name, else the folder's.
        observations: the views and notes that `load_observations` returned.
        facts: about the mesh: what `build_mesh` reports, or `inspect_mesh` alone.
        metrics: name -> number or {"value", "baseline", "better": "higher" | "lower", "unit"}; default metrics.json.
        stages: `StageClock.to_dict()`; default timings.json.
        warnings: raised during the run; added to those of the input and of warnings.json.

    Absolute paths are cut to the file's name. Files that are damaged, of other types or no regular ones are left out
    and named among the warnings.
    """
    folder, config = Path(folder), config or ReportConfig()
    notes: Mapping[str, Any] = observations.notes if observations is not None else {}
    framed = observations.views[0].image if observations is not None and observations.views else None
    files = RunFiles.read(folder)
    measured = files.measures if metrics is None else metrics
    clocked = files.stages if stages is None else stages
    of_input = cast(Iterable[str], notes.get("warnings", ()))
    noted = [*without_paths([*of_input]), *files.warnings, *without_paths([*warnings])]
    title = title or Path(str(notes.get("path") or folder.resolve().name)).stem
    spread = measured.get(SPREAD)
    parts = [
        f"<h1>{escape(title)}</h1>{_lead(files, clocked, facts)}",
        _top(folder, config, sections.input_pictures(notes, framed)),
        sections.section("Warnings", _list(dict.fromkeys(noted)), "warnings"),
        sections.section("Rooms", sections.room_table(files.rooms)),
        _columns(
            sections.section("Mesh", sections.mesh_facts(facts or {}, _sizes(folder))),
            sections.section("Metrics", sections.metric_table(measured)),
        ),
        sections.section("How sure the prior is", spread_section(spread, _guesses(folder, spread))),
        sections.section("Threshold of the surface", threshold_charts(facts or {})),
        sections.section("Along the run", sections.timeline(_previews(folder))),
        sections.section("Curves", sections.curve_panels(series(files.rows))),
        sections.section("Time and memory", sections.stage_table(clocked)),
        sections.section("Energy and cost", sections.cost_table(files.cost)),
        sections.section("Whose work it is", sections.rights_table(files.provenance)),
        sections.section("How it was made", _making(files)),
    ]
    text = page(f"{title} - nerf2mesh", f"<main>{''.join(parts)}</main>")
    return atomic_write_text(folder / "report.html", text)


def _lead(files: RunFiles, stages: Mapping[str, Mapping[str, Any]], facts: Mapping[str, Any] | None) -> str:
    provenance = files.provenance
    versions = files.versions or provenance.get("versions", {})
    said = []
    if stages:
        seconds = sum(float(stage.get("seconds", 0.0)) for stage in stages.values())
        said.append(f"made in <b>{sections.show_seconds(seconds)}</b>")
    faces = (facts or {}).get("faces") or dict((facts or {}).get("mesh") or {}).get("faces")
    if faces:
        said.append(f"<b>{escape(sections.show(faces))}</b> triangles")
    if provenance.get("seed") is not None:
        said.append(f"seed <b>{escape(str(provenance['seed']))}</b>")
    code = provenance.get("code") or {}
    if code.get("commit"):
        said.append(f"code <b>{escape(code['commit'][:10])}{' + changes' if code.get('dirty') else ''}</b>")
    where = versions.get("gpu") or versions.get("machine")
    said += [escape(str(where))] if where else []
    return f'<p class="lead">{" &middot; ".join(said)}</p>'


def _top(folder: Path, config: ReportConfig, pictures: str) -> str:
    """The mesh beside the input and the turntable."""
    mesh, side = folder / "mesh.glb", sections.section("Input", pictures)
    turntable = next((folder / name for name in TURNTABLES if is_regular(folder / name)), None)
    moving = sections.moving_picture(turntable) if turntable else ""
    if is_regular(mesh) and mesh.stat().st_size <= config.max_embedded_mesh_bytes:
        glb = read_regular(mesh, limit_bytes=config.max_embedded_mesh_bytes)
        main = sections.section("Result", viewer_figure(glb))
    elif is_regular(mesh):
        size = sections.show_bytes(mesh.stat().st_size)
        main = sections.section(
            "Result", f'<p><a href="mesh.glb">mesh.glb</a> ({size}) is too large to be shown here.</p>'
        )
    else:
        main, moving = sections.section("Result", moving), ""
    side += sections.section("Turntable", moving)
    if not (main and side):
        return f'<div class="top alone">{main or side}</div>' if main or side else ""
    return f'<div class="top">{main}<div>{side}</div></div>'


def _guesses(folder: Path, spread: Any) -> str:
    """The guesses of the least sure direction; nothing where the picture is missing or damaged."""
    path, caption = folder / "confidence.png", f"Guesses of the least sure direction: {least_sure(spread)}"
    try:
        return sections.picture(read_picture(path), caption) if is_regular(path) else ""
    except ValueError:
        return ""


def _previews(folder: Path) -> list[Path]:
    """The pictures along the run; a link to a folder elsewhere is left out."""
    place = folder / "previews"
    return [] if place.is_symlink() else list(place.glob("*.png"))


def _columns(*blocks: str) -> str:
    filled = [block for block in blocks if block]
    return f'<div class="columns" style="margin-bottom: 18px">{"".join(filled)}</div>' if filled else ""


def _making(files: RunFiles) -> str:
    words = escape(" ".join(files.overrides))
    line = f"<p>Overrides: <code>{words}</code></p>" if words else ""
    return (
        line
        + sections.folded("Configuration", files.config_text)
        + sections.folded("Versions", _json_text(files.versions))
        + sections.folded("Provenance: inputs and weights", _json_text(files.provenance))
    )


def _json_text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) if value else ""


def _sizes(folder: Path) -> dict[str, str]:
    return {
        name: sections.show_bytes((folder / name).stat().st_size) for name in RESULT_FILES if is_regular(folder / name)
    }


def _list(items: Iterable[str]) -> str:
    body = "".join(f"<li>{escape(str(item))}</li>" for item in items)
    return f"<ul>{body}</ul>" if body else ""
