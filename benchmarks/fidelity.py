"""How true the meshes are: `python -m benchmarks.fidelity --set core [--preset standard] [--objects spot,bob]`.

Fits each object's input picture with the library, scores the exported mesh and the field beside the trivial baselines,
prints the table, and writes results.json, results.csv, margins.json, table.md and page.html under --out. With --gate
the result is compared with the committed file (exit code 1 where it is worse); --commit writes that file.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from nerf2mesh.evaluate import protocols, tables
from nerf2mesh.evaluate.baselines import BLIND_BASELINES, ORACLE_BASELINES
from nerf2mesh.evaluate.gate import check, check_bars
from nerf2mesh.evaluate.page import write_page, write_png, write_sheet
from nerf2mesh.evaluate.procedural_objects import procedural
from nerf2mesh.evaluate.published import published_markdown
from nerf2mesh.evaluate.results import Record, Results, machine_kind, named, run_case, today
from nerf2mesh.evaluate.scoring import Case, Prediction
from nerf2mesh.mesh import TriangleMesh
from nerf2mesh.types import Camera

RESULTS_DIR = Path(__file__).parent / "results"
SETS = {"core": protocols.core, "procedural": procedural}


def main(argv: Sequence[str] | None = None) -> int:
    args = parse(argv)
    try:
        return run(args)
    except ValueError as error:
        print(f"fidelity: {error}", file=sys.stderr)
        return 2


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fidelity", description=__doc__.split("\n\n")[0])
    parser.add_argument("--set", choices=sorted(SETS), default="core", help="the protocol")
    parser.add_argument("--preset", default="standard", help="the library's preset: preview, standard, high")
    parser.add_argument("--objects", type=lambda text: [t for t in text.split(",") if t], help="some objects only, a,b")
    parser.add_argument(
        "--seeds", "--seed", type=lambda text: [int(t) for t in text.split(",")], default=[0], help="0,1,2"
    )
    parser.add_argument("--baselines-only", action="store_true", help="no fit, only the trivial results")
    parser.add_argument("--oracles", action="store_true", help="also the baselines that are handed the true views")
    parser.add_argument(
        "--override", action="append", default=[], help="a config override for the fit, may be repeated"
    )
    parser.add_argument("--out", type=Path, help="folder for results and run folders, by default a new one")
    parser.add_argument("--resume", action="store_true", help="go on in --out: finished records and runs are kept")
    parser.add_argument("--gate", action="store_true", help="compare with the committed results")
    parser.add_argument("--commit", action="store_true", help="add these results to the committed file")
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> int:
    cases = SETS[args.set](args.objects)
    baselines = named(BLIND_BASELINES + (ORACLE_BASELINES if args.oracles else ()))
    method = None if args.baselines_only else " ".join(["nerf2mesh", args.preset, *args.override])
    results = _started(args)
    done = {(r.method, r.object, r.seed) for r in results.records}
    for record in _records(args, cases, baselines, method, done):
        results = results.merged(Results(args.set, (record,), results.machine, results.created))
        results.save(args.out / "results.json")
        state = f"failed: {record.failed}" if record.failed else f"{record.seconds:.1f} s"
        print(f"{record.object}: {record.method} (seed {record.seed}), {state}", file=sys.stderr)
    print(_write_tables(args.out, results, method, list(baselines)))
    print("\n".join(line for _, line in (check_bars(results, method) if method else [])))
    return 0 if _gate_and_commit(args, results, list(baselines)) else 1


def library_method(preset: str, seed: int, overrides: Sequence[str], folder: Path):
    """The library as a method: writes the picture, fits it with the protocol's camera, reads back the exported mesh."""

    def fit(image: Float[Tensor, "h w 4"], camera: Camera) -> Prediction:
        from nerf2mesh.api import fit

        folder.mkdir(parents=True, exist_ok=True)
        write_png(folder / "input.png", image)
        fov_deg = float(2 * torch.rad2deg(torch.atan(0.5 * camera.height_px / camera.focal_px[1])))
        given = {
            "elevation_deg": float(camera.elevation_deg),
            "azimuth_deg": float(camera.azimuth_deg),
            "distance": float(camera.position.norm()),
            "fov_deg": fov_deg,
            "foreground": "alpha",
            "recenter": "false",
        }
        settings = [f"input.{key}={v if isinstance(v, str) else round(v, 4)}" for key, v in given.items()]
        settings = [f"preset={preset}", *settings, f"seed={seed}", *overrides]
        result = fit(image=folder / "input.png", overrides=settings, output_dir=folder / "run")
        exported = folder / "run" / "mesh.glb"
        mesh = TriangleMesh.from_file(exported) if exported.exists() else result.mesh
        return Prediction(mesh=mesh, render=result.render)

    return fit


def _write_tables(out: Path, results: Results, method: str | None, baselines: list[str]) -> str:
    """Writes table.md, results.csv, margins.json and page.html; returns the Markdown."""
    text = tables.report(results, method, baselines, published=published_markdown(results.protocol))
    (out / "table.md").write_text(text)
    (out / "results.csv").write_text(tables.csv_text(results.records))
    if method is not None:
        (out / "margins.json").write_text(tables.json_text(results.records, method, baselines))
    sheets = {(path.stem, path.parent.parent.name): path for path in sorted(out.glob("*/views/*.png"))}
    write_page(out / "page.html", results, sheets, method=method, baselines=baselines)
    return text


def _started(args: argparse.Namespace) -> Results:
    """Empty results, or with --resume those of the folder. Old figures never pass for new ones unasked."""
    args.out = args.out or Path("outputs") / "fidelity" / datetime.now().strftime("%Y%m%d-%H%M%S")
    path = args.out / "results.json"
    if args.resume and path.exists():
        return Results.load(path)
    if path.exists():
        raise ValueError(f"--out: a folder without results wanted, got {args.out}; choose another or add --resume")
    return Results(args.set, (), machine_kind(), today())


def _records(args: argparse.Namespace, cases: list[Case], baselines: dict, method: str | None, done: set):
    """The records that are not done yet, as they come."""
    for case in cases:
        folder = args.out / case.name
        write_sheet(folder / "views" / "truth.png", case, case.mesh)
        for name, baseline in baselines.items():
            if (name, case.name, 0) not in done:
                yield run_case(name, baseline, case, is_baseline=True)
                write_sheet(folder / "views" / f"{name}.png", case, baseline(case))
        for seed in args.seeds if method else ():
            if (method, case.name, seed) not in done:
                yield _fit_record(args, case, method, seed, folder)


def _fit_record(args: argparse.Namespace, case: Case, method: str, seed: int, folder: Path) -> Record:
    """One fit in a run folder of its own, scored; its views are drawn where it did not fail."""
    run_name = re.sub(r"[^\w.=-]+", "-", method)
    fitted, found = library_method(args.preset, seed, args.override, folder / f"{run_name}-seed{seed}"), []

    def fit_and_keep(image: Tensor, camera: Camera) -> Prediction:
        found.append(fitted(image, camera))
        return found[0]

    record = run_case(method, fit_and_keep, case, seed=seed)
    if not record.failed:
        write_sheet(folder / "views" / f"{method.replace('/', '-')}.png", case, found[0])
    return record


def _gate_and_commit(args: argparse.Namespace, results: Results, baselines: list[str]) -> bool:
    path = RESULTS_DIR / f"{args.set}.json"
    passed = True
    if args.gate:
        verdicts = check(results, Results.load(path), baselines=baselines)
        print("\n".join(str(v) for v in verdicts if not v.passed))
        passed = all(v.passed for v in verdicts)
        print(f"gate: {sum(v.passed for v in verdicts)} of {len(verdicts)} figures hold")
    if args.commit:
        (Results.load(path).merged(results) if path.exists() else results).save(path)
        print(f"written: {path}")
    return passed


if __name__ == "__main__":
    sys.exit(main())
