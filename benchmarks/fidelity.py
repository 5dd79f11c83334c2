"""How true the meshes are: `python -m benchmarks.fidelity --set core [--preset standard] [--objects spot,bob]`.

The sweep of `nerf2mesh-bench` (docs/sweeps.md says what the folder --out then holds), for who compares with
committed figures: --gate ends with exit code 1 where one is worse than in benchmarks/results, --commit writes there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from nerf2mesh.evaluate.protocols.baselines import BLIND, ORACLES
from nerf2mesh.evaluate.protocols.cases import HELD_OUT, object_names
from nerf2mesh.evaluate.protocols.names import LOOKS, PROTOCOLS, TRACKS
from nerf2mesh.evaluate.tables.gate import check, check_bars
from nerf2mesh.evaluate.tables.margin_bars import margin_bars
from nerf2mesh.evaluate.tables.results import Results
from nerf2mesh.sweep.bench import methods, run_bench
from nerf2mesh.sweep.config import BenchConfig, LaunchConfig

RESULTS_DIR = Path(__file__).parent / "results"


def main(argv: Sequence[str] | None = None) -> int:
    args = parse(argv)
    try:
        return run(args)
    except ValueError as error:
        print(f"fidelity: {error}", file=sys.stderr)
        return 2


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    def names(text: str) -> list[str]:
        return [word for word in text.split(",") if word]

    parser = argparse.ArgumentParser(prog="python -m benchmarks.fidelity", description=__doc__.split("\n\n")[0])
    parser.add_argument("--set", choices=PROTOCOLS, default="core", help="the protocol")
    parser.add_argument("--objects", type=names, default=[], help="some objects only, a,b")
    parser.add_argument("--n", type=int, help="the first so many objects")
    parser.add_argument("--families", choices=["training", "heldout"], default="training", help=f"of {HELD_OUT}")
    parser.add_argument("--track", choices=TRACKS, default="image", help="what the method is given")
    parser.add_argument("--look", choices=LOOKS, default="line", help="track sketch: the drawing's style")
    parser.add_argument("--data", help="the folder of a published data set, or of T3Bench's prompts")
    parser.add_argument("--preset", default="standard", help="the library's preset: preview, standard, high")
    parser.add_argument("--seeds", "--seed", type=names, default=["0"], help="0,1,2")
    parser.add_argument("--baselines-only", action="store_true", help="no fit, only the trivial results")
    parser.add_argument("--override", action="append", default=[], help="a setting of the fit, may be repeated")
    parser.add_argument("--jobs", type=int, default=1, help="workers, among which the cores are divided")
    parser.add_argument("--out", type=Path, help="folder for results and runs, by default a new one")
    parser.add_argument("--resume", action="store_true", help="go on in --out: what is finished is kept")
    parser.add_argument("--gate", action="store_true", help="compare with the committed results")
    parser.add_argument("--commit", action="store_true", help="add these results to the committed file")
    return parser.parse_args(argv)


def run(args: argparse.Namespace) -> int:
    config = bench_config(args)
    folder = run_bench(config)
    results = Results.load(folder / "results.json")
    method = next((name for name, _ in methods(config)), None)
    print("\n".join(line for _, line in (check_bars(results, method) if method else [])))
    if method and args.set == HELD_OUT:
        print("\n".join(str(found) for found in margin_bars(results.records, method, BLIND)))
    return 0 if _gate_and_commit(args, results, folder) else 1


def bench_config(args: argparse.Namespace) -> BenchConfig:
    protocol = args.set + ("-families" if args.set == HELD_OUT and args.families == "heldout" else "")
    objects = object_names(protocol, args.objects, track=args.track, data_dir=args.data)
    if args.n is not None and not 1 <= args.n <= len(objects):
        raise ValueError(f"--n: 1 to {len(objects)} wanted, got {args.n}")
    out = args.out or Path("outputs") / "fidelity" / datetime.now().strftime("%Y%m%d-%H%M%S")
    if (out / "results.json").exists() and not args.resume:
        raise ValueError(f"--out: a folder without results wanted, got {out}; choose another or add --resume")
    return BenchConfig(
        protocol=protocol,
        track=args.track,
        look=args.look,
        objects=tuple(objects[: args.n]),
        seeds=tuple(int(seed) for seed in args.seeds),
        presets=(args.preset,),
        overrides=tuple(args.override),
        fit=not args.baselines_only,
        data_dir=args.data,
        output_dir=str(out),
        launch=LaunchConfig(workers=args.jobs),
    )


def _gate_and_commit(args: argparse.Namespace, results: Results, folder: Path) -> bool:
    path, passed = RESULTS_DIR / f"{results.protocol}.json", True
    if args.gate:
        verdicts = check(results, Results.load(path), baselines=(*BLIND, *ORACLES))
        print("\n".join(str(v) for v in verdicts if not v.passed))
        passed = all(v.passed for v in verdicts)
        print(f"gate: {sum(v.passed for v in verdicts)} of {len(verdicts)} figures hold")
    if args.commit:
        (Results.load(path).merged(results) if path.exists() else results).save(path)
        path.with_suffix(".md").write_text((folder / "table.md").read_text())
        print(f"written: {path} and its table")
    return passed


if __name__ == "__main__":
    sys.exit(main())
