"""What happens between field and file: `python -m benchmarks.meshes [--objects spot,p03] [--data FOLDER]`.

For each of 22 objects (20 of the shape grammar, Spot and Bob) a field is fitted from 60 posed views (no prior), meshed,
exported to GLB, read back and judged: topology against the truth's, face budget, self-intersections, Khronos'
validator, overlapping texels, and the file's looks against the field's from 24 cameras. One object at a time, each
leaving OUT/NAME.json, mesh and field; what is there is not done again. --commit writes benchmarks/results/meshes.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.posed_views import FitConfig, fit_posed_views
from nerf2mesh.evaluate.protocols.procedural_objects import COUNT, FIRST_SEED, procedural_mesh
from nerf2mesh.evaluate.protocols.reference_meshes import load_mesh, require_meshes
from nerf2mesh.evaluate.tables.results import machine_kind, today
from nerf2mesh.fields import HashGridField
from nerf2mesh.mesh import FieldAccess, MeshConfig, TriangleMesh, build_mesh, inspect_mesh, save_mesh
from nerf2mesh.mesh.surface.repair import keep_largest
from nerf2mesh.mesh.texture.bake import FieldViews, bake_loss
from nerf2mesh.mesh.texture.unwrap import unwrap
from nerf2mesh.render import VolumeRenderer

ROOT = Path(__file__).resolve().parents[1]
RESULT = Path(__file__).parent / "results" / "meshes.json"
NAMES = (*(f"p{k:02d}" for k in range(COUNT)), "spot", "bob")
BAKE_BAR_DB = 30.0
N_CAMERAS = 24
UNWRAP_FACES, UNWRAP_BAR_S = 50_000, 20.0
GENUS_SHARE = 18 / 22
"""Of the objects that must have the truth's genus; every other check must hold for all."""


def main(argv: Sequence[str] | None = None) -> int:
    args = parse(argv)
    try:
        require_meshes(args.objects, args.data)
    except ValueError as error:
        print(f"meshes: {error}".replace("data_dir", "--data"), file=sys.stderr)
        return 2
    args.out.mkdir(parents=True, exist_ok=True)
    if args.threads:
        torch.set_num_threads(args.threads)
    for name in args.objects:
        path = args.out / f"{name}.json"
        if not path.exists() or args.again:
            record = measure(name, args)
            path.write_text(json.dumps(record, indent=1), encoding="utf-8")
        print(line(json.loads(path.read_text(encoding="utf-8"))), flush=True)
    records = [
        json.loads((args.out / f"{name}.json").read_text(encoding="utf-8"))
        for name in NAMES
        if (args.out / f"{name}.json").exists()
    ]
    print(summary(records))
    if args.commit:
        RESULT.write_text(
            json.dumps({"machine": machine_kind(), "date": today(), "objects": records}, indent=1) + "\n",
            encoding="utf-8",
        )
        print(f"written: {RESULT.relative_to(ROOT)}")
    return 0 if passed(records) else 1


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.meshes", description=__doc__.split("\n\n")[0])
    parser.add_argument("--objects", type=lambda text: text.split(","), default=list(NAMES), help="some only: spot,p03")
    parser.add_argument("--out", type=Path, default=Path("outputs/meshes"), help="folder; what it holds is kept")
    parser.add_argument("--data", type=Path, help="the folder with spot and bob (nerf2mesh-bench fetch FOLDER)")
    parser.add_argument("--again", action="store_true", help="measure again; fitted fields are kept")
    parser.add_argument("--steps", type=int, default=FitConfig().steps, help="of the fit")
    parser.add_argument("--resolution", type=int, default=192)
    parser.add_argument("--faces", type=int, default=20_000, help="the budget")
    parser.add_argument("--settle", type=float, default=0.006, help="mesh.settle_limit: 0 keeps outline and volume")
    parser.add_argument("--unwrap", action="store_true", help=f"also time the unwrap of {UNWRAP_FACES:,} faces")
    parser.add_argument("--threads", type=int, default=0, help="of the CPU; 0 leaves torch's choice")
    parser.add_argument("--commit", action="store_true", help="write the results that the repository holds")
    args = parser.parse_args(argv)
    unknown = sorted(set(args.objects) - set(NAMES))
    if unknown:
        parser.error(f"--objects: expected names out of {', '.join(NAMES)}, got {', '.join(unknown)}")
    return args


def truth(name: str, data_dir: Path | None = None) -> TriangleMesh:
    """The object in the canonical frame, its largest piece alone: what is kept of the mesh."""
    if name.startswith("p"):
        mesh = procedural_mesh(FIRST_SEED + int(name[1:]))
    else:
        mesh = load_mesh(name, data_dir)
    return mesh.welded()


def fitted(name: str, mesh: TriangleMesh, args: argparse.Namespace) -> tuple[HashGridField, VolumeRenderer, float]:
    """The object's field, from the folder where it is there; and the seconds that the fit took."""
    path, config = args.out / f"{name}-{args.steps}.pt", FitConfig(steps=args.steps)
    began = time.perf_counter()
    if not path.exists():
        field, renderer = fit_posed_views(mesh, config, lambda said: print(f"{name}: {said}", file=sys.stderr))
        kept = {"field": field.state_dict(), "occupancy": renderer.occupancy.state_dict()}
        torch.save({**kept, "seconds": time.perf_counter() - began}, path)
    field, renderer = fit_posed_views(mesh, FitConfig(steps=0, n_views=1, size_px=8))
    state = torch.load(path, weights_only=True)
    field.load_state_dict(state["field"])
    renderer.occupancy.load_state_dict(state["occupancy"])
    return field.eval(), renderer, state["seconds"]


def measure(name: str, args: argparse.Namespace) -> dict[str, object]:
    """One object's record: figures, and `checks` by name."""
    original = truth(name, args.data)
    wanted = inspect_mesh(keep_largest(original, 1)[0])
    field, renderer, fit_s = fitted(name, original, args)
    access = FieldAccess.of(field, renderer.occupancy, renderer)
    config = MeshConfig(
        resolution=args.resolution, target_faces=args.faces, texture_size=1024, settle_limit=args.settle
    )
    began = time.perf_counter()
    mesh, report = build_mesh(access, config)
    seconds = time.perf_counter() - began
    path = save_mesh(mesh, args.out / f"{name}.glb")
    again = TriangleMesh.from_file(path)
    figures = inspect_mesh(again, self_intersections=True)
    bake = bake_loss(again, FieldViews.of(access, N_CAMERAS, config.bake_view_size_px))
    record: dict[str, object] = {
        "object": name,
        "settings": {"steps": args.steps, "resolution": args.resolution, "faces": args.faces},
        "fit_psnr": field_psnr(original, renderer),
        "truth": {key: wanted[key] for key in ("genus", "components", "volume")},
        "truth_pieces": inspect_mesh(original)["components"],
        "mesh": figures,
        "bake": bake,
        "fit": report["bake"].get("fit"),
        "settled": report["bake"].get("settled"),
        "threshold_density": report["threshold"]["density"],
        "validator": validator_counts(path),
        "unwrap": report["unwrap"],
        "seconds": {"fit": fit_s, "mesh": seconds, **report["seconds"]},
    }
    if args.unwrap:
        record["unwrap_50k"] = timed_unwrap(access)
    return record | {"checks": checks(record)}


def field_psnr(mesh: TriangleMesh, renderer: VolumeRenderer) -> float:
    """How well the field shows the object, over white, at cameras that it was not fitted to."""
    from nerf2mesh.mesh.extract.calibrate import view_ring
    from nerf2mesh.render import rasterize_mesh

    cameras = view_ring(4, 128)
    truth_rgb = rasterize_mesh(mesh, cameras, supersample=2).over(1.0)
    error = (renderer.render(cameras).over(1.0) - truth_rgb).square().mean((1, 2, 3))
    return float((-10.0 * error.log10()).mean())


def timed_unwrap(access: FieldAccess) -> dict[str, float]:
    config = MeshConfig(resolution=256, target_faces=UNWRAP_FACES, texture=False, bake_views=0)
    mesh, _ = build_mesh(access, config)
    began, cpu = time.perf_counter(), sum(map(float, _times()))
    _, report = unwrap(mesh, 2048)
    used = sum(map(float, _times())) - cpu
    return {"faces": mesh.n_faces, "seconds": time.perf_counter() - began, "cpu_seconds": used, **report}


def _times() -> tuple[float, ...]:
    import os

    return os.times()[:4]


def validator_counts(path: Path) -> list[int] | None:
    """Errors, warnings, infos of Khronos' validator; None where node or the package is missing."""
    spec = importlib.util.spec_from_file_location("gltf_validator", ROOT / "tests" / "mesh" / "gltf_validator.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if module.find_package() is None:
        return None
    issues = module.validate(path)
    return [issues[key] for key in ("numErrors", "numWarnings", "numInfos")]


def checks(record: dict) -> dict[str, bool]:
    mesh, budget = record["mesh"], record["settings"]["faces"]
    found = {
        "watertight": mesh["watertight"] and mesh["boundary_edges"] == 0,
        "edge_manifold": mesh["nonmanifold_edges"] == 0,
        "one_component": mesh["components"] == 1,
        "genus": mesh["genus"] == record["truth"]["genus"],
        "face_budget": 0.99 * budget <= mesh["faces"] <= budget,
        "no_self_intersection": mesh["self_intersections"] == 0,
        "no_texel_overlap": mesh["uv"]["overlapping_texels"] == 0,
        "bake": record["bake"]["psnr"] >= BAKE_BAR_DB,
    }
    if record["validator"] is not None:
        found["validator"] = not any(record["validator"])
    if "unwrap_50k" in record:
        found["unwrap_50k"] = record["unwrap_50k"]["seconds"] < UNWRAP_BAR_S
    return found


def line(record: dict) -> str:
    mesh, bake = record["mesh"], record["bake"]
    failed = [name for name, good in record["checks"].items() if not good]
    return (
        f"{record['object']:>5}: field {record['fit_psnr']:.1f} dB, {mesh['faces']} faces, genus {mesh['genus']} "
        f"(truth {record['truth']['genus']}), bake {bake['psnr']:.1f} dB, foreground {bake['foreground_psnr']:.1f}, "
        f"color {bake['color_psnr']:.1f}, mask IoU {bake['mask_iou']:.3f}, {record['seconds']['mesh']:.0f} s; "
        + (f"NOT: {', '.join(failed)}" if failed else "all checks hold")
    )


def passed(records: list[dict]) -> bool:
    names = {name for record in records for name in record["checks"]}
    return bool(records) and all(_share(records, name)[2] for name in names)


def summary(records: list[dict]) -> str:
    names = list(dict.fromkeys(name for record in records for name in record["checks"]))
    rows = [
        f"{name}: {good} of {n}{'' if ok else '  below the bar'}"
        for name in names
        for good, n, ok in [_share(records, name)]
    ]
    return "\n".join(rows)


def _share(records: list[dict], name: str) -> tuple[int, int, bool]:
    values = [record["checks"][name] for record in records if name in record["checks"]]
    least = GENUS_SHARE if name == "genus" else 1.0
    return sum(values), len(values), sum(values) >= least * len(values)


if __name__ == "__main__":
    sys.exit(main())
