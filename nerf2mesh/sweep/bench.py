"""The fidelity benchmark: configuration -> jobs -> launcher -> records -> tables."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from nerf2mesh.evaluate.protocols.baselines import BLIND, background
from nerf2mesh.evaluate.protocols.cases import object_names
from nerf2mesh.evaluate.protocols.names import results_name, split_yaw, with_yaws
from nerf2mesh.evaluate.protocols.objects import drawn_names
from nerf2mesh.evaluate.protocols.published import published_markdown
from nerf2mesh.evaluate.protocols.reference_meshes import require_meshes
from nerf2mesh.evaluate.tables import formats, tables
from nerf2mesh.evaluate.tables.ablation_table import ablation_report, figure
from nerf2mesh.evaluate.tables.page import Pictures, write_page
from nerf2mesh.evaluate.tables.results import Record, Results, machine_kind, score_case, today
from nerf2mesh.evaluate.tables.split_tables import split_report
from nerf2mesh.sweep.ablation import N_OBJECTS, ablation_methods, measured_protocol
from nerf2mesh.sweep.config import BenchConfig, LaunchConfig
from nerf2mesh.sweep.jobs import GIVEN, RUN_JOB, TURNTABLES, VIEWS, case_of
from nerf2mesh.sweep.launchers import JoblibLauncher, Launcher, LocalLauncher, RayLauncher, WorkerSpec
from nerf2mesh.sweep.origin import check_origin
from nerf2mesh.sweep.queue import Payload, Queue, job_id
from nerf2mesh.sweep.slurm import SlurmLauncher, slurm_parameters
from nerf2mesh.sweep.supervise import supervise, write_summary
from nerf2mesh.sweep.worker import Rules
from nerf2mesh.utils.atomic_write import atomic_write, atomic_write_text

FIGURE = "ablation.svg"
TIMES = 3
"""So often results that are damaged while the sweep runs are made again."""


def run_bench(config: BenchConfig) -> Path | None:
    """Runs what is not done yet and writes results.json, tables and page; the folder, or None with launch.wait=false.

    The same command on the same folder goes on; a wider one (more seeds, objects, values) adds its jobs.
    """
    folder = Path(config.output_dir or f"outputs/bench/{config.protocol}-{config.track}").resolve()
    launch = config.launch
    wanted = jobs(config)
    if config.protocol == "core":
        require_meshes({split_yaw(payload["object"])[0] for payload in wanted.values()}, config.data_dir)
    manifest = Path(config.data_dir) / "manifest.jsonl" if config.data_dir else None
    check_origin(folder, [settings for _, settings in methods(config)], manifest)
    queue = Queue.create(folder, wanted, retries=launch.retries, max_losses=launch.max_losses)
    Rules(retries=launch.retries, max_losses=launch.max_losses, lease_s=launch.lease_s).save(folder)
    if launch.retry_failed:
        queue.retry_failed()
    queue.refresh()
    for _ in range(0 if config.only_tables else TIMES):
        queue.remake_damaged()
        if queue.is_over():
            break
        workers = min(launch.workers, len(queue.jobs))
        launcher = make_launcher(launch, folder, workers)
        if not launch.wait:
            launcher.start(workers)
            return None
        supervise(queue, launcher, workers, lease_s=launch.lease_s, say_every_s=launch.say_every_s)
    print(write_tables(folder, queue, config))
    print(write_summary(queue).read_text(encoding="utf-8"), file=sys.stderr)
    return folder


def jobs(config: BenchConfig) -> dict[str, Payload]:
    """All jobs by name: of each case its baselines, then every method, so that a part of the jobs compares them on the
    same cases; seed after seed."""
    protocol = measured_protocol(config)
    common: Payload = {"protocol": protocol, "track": config.track, "dataset": config.dataset}
    common |= {"look": config.look} if config.track == "sketch" else {}
    common["data_dir"] = str(Path(config.data_dir).resolve()) if config.data_dir else None
    common["weights"] = {key: files[0] if key == "clip" else files for key, files in config.weights.given().items()}
    names, found = case_names(config), {}
    for seed, name in itertools.product(config.seeds, names):
        if config.baselines:
            payload = common | {"kind": "baselines", "object": name}
            found.setdefault(job_id(protocol, config.track, name, "baselines", payload=payload), payload)
        for method, overrides in methods(config):
            fit = {"kind": "fit", "object": name, "method": method, "seed": int(seed), "overrides": overrides}
            label = (protocol, config.track, name, method.removeprefix("nerf2mesh "), f"seed{seed}")
            found[job_id(*label, payload=common | fit)] = common | fit
    return found


def case_names(config: BenchConfig) -> list[str]:
    """The cases in their order: objects, those of one yaw after those of another."""
    where = {"track": config.track, "data_dir": config.data_dir, "dataset": config.dataset}
    protocol = measured_protocol(config)
    if protocol == "objects" and config.data_dir and not config.objects:
        names = drawn_names(config.data_dir, config.split, config.per_split, config.draw_seed)
    else:
        names = object_names(protocol, config.objects, **where)
    if not 0 <= config.n_objects <= len(names):
        raise ValueError(f"n_objects: expected 0 (all) to {len(names)}, got {config.n_objects}; lower it")
    count = config.n_objects or (N_OBJECTS if config.protocol == "ablation" and not config.objects else None)
    return with_yaws(names[:count], config.yaws)


def methods(config: BenchConfig) -> list[tuple[str, list[str]]]:
    """Each combination of preset and varied settings: its name in the tables, and its overrides.

    A name shows files without their folders, unless two methods would then be called the same.
    """
    if not config.fit:
        return []
    if config.protocol == "ablation":
        return ablation_methods(config)
    words = ["input=text"] if config.track == "text" else []
    varied, chosen = dict(_flat(config.vary)), []
    for preset in config.presets:
        for values in itertools.product(*varied.values()):
            settings = [*(f"{key}={value}" for key, value in zip(varied, values)), *config.overrides]
            chosen.append((preset, settings))
    names = [" ".join(["nerf2mesh", preset, *map(_without_folder, settings)]) for preset, settings in chosen]
    if len(set(names)) < len(names):
        names = [" ".join(["nerf2mesh", preset, *settings]) for preset, settings in chosen]
    return [(name, [f"preset={preset}", *words, *rest]) for name, (preset, rest) in zip(names, chosen)]


def _without_folder(setting: str) -> str:
    key, equals, value = setting.partition("=")
    return key + equals + value.rstrip("/").rpartition("/")[2]


def make_launcher(launch: LaunchConfig, folder: Path, workers: int, function: str = RUN_JOB) -> Launcher:
    """The launcher that `launch.kind` names, for jobs of the queue in `folder`.

    CPU threads per worker: `launch.threads`; else all cores shared among `workers` locally, and no limit on a cluster.
    """
    threads = launch.threads or (0 if launch.kind in ("slurm", "ray") else max(1, (os.cpu_count() or 1) // workers))
    os.environ["PYTHONSAFEPATH"] = "1"  # processes of joblib, Ray and submitit start as `python -m` (Python 3.11)
    spec = WorkerSpec(folder, function, threads)
    if launch.kind == "slurm":
        return SlurmLauncher(spec, slurm_parameters(launch))
    if launch.kind == "ray":
        return RayLauncher(spec, address=launch.ray_address, gpus=launch.gpus)
    return {"local": LocalLauncher, "joblib": JoblibLauncher}[launch.kind](spec)


def collect(queue: Queue, config: BenchConfig) -> Results:
    """The records of all jobs that are done; a job that was given up counts with the background's scores."""
    wanted, records, about = jobs(config), [], {}
    queue.refresh()
    for job, payload in wanted.items():
        state, result = queue.jobs[job], queue.result(job)
        if result is not None:
            about |= {payload["object"]: result["about"]} if result.get("about") else {}
            records += _records(result, state.before_s, job)
        elif state.status == "done":
            raise ValueError(
                f"results/{job}.json: expected the result of a job that is done, got none that is whole; "
                "give the same command again: it is made again"
            )
        elif state.status == "failed" and payload["kind"] == "fit":
            records.append(_failed(payload, state.history[-1], queue.folder))
    name = results_name(config.protocol, config.track, config.look)
    return Results(name, tuple(records), machine_kind(), today(), about=about)


def _records(result: Payload, before_s: float, job: str) -> list[Record]:
    """The records of a job, with the time that it took in vain."""
    try:
        return [Record(**{**record, "seconds": record["seconds"] + before_s}) for record in result["records"]]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"results/{job}.json: expected records of this version, got others ({error}); "
            "remove the file, then give the same command again: it is made again"
        ) from error


def write_tables(folder: Path, queue: Queue, config: BenchConfig) -> str:
    """Every table, each written whole or not at all; returns the Markdown."""
    results, names = collect(queue, config), [name for name, _ in methods(config)]
    results.save(folder / "results.json")
    records, first = results.records, names[0] if names else None
    blind = [name for name in BLIND if any(r.method == name for r in records)]
    notes, drawn = _notes(config), ""
    if config.protocol == "ablation":
        text = ablation_report(results, names[0], names[1:], blind, n_wanted=len(case_names(config)))
        drawn = figure(records, names[0], names[1:])
        atomic_write_text(folder / FIGURE, drawn)
    elif config.protocol == "objects":
        text = split_report(results, names, blind, n_wanted=len(case_names(config)), notes=notes)
    else:
        text = tables.report(results, first, blind, published=published_markdown(config.protocol), notes=notes)
        for other in names[1:]:
            text += f"\n## {other} against {first}\n\n{tables.verdict(records, other, names[:1])}\n"
    cost = tables.price_rows(records, names, config.price_per_hour, config.currency, config.power_w)
    if cost[1]:
        text += f"\n## {'Price and energy' if config.price_per_hour else 'Energy'}\n\n" + formats.markdown(*cost) + "\n"
    atomic_write_text(folder / "table.md", text)
    atomic_write_text(folder / "table.tex", tables.latex_means(results) + "\n")
    atomic_write_text(folder / "results.csv", formats.csv_text(records))
    means = tables.summary_rows(results)
    atomic_write_text(folder / "means.csv", f"# {tables.INTERVALS}\n" + formats.rows_csv(means))
    atomic_write_text(
        folder / "means.json", json.dumps({"intervals": tables.INTERVALS, "means": means}, indent=1) + "\n"
    )
    atomic_write_text(folder / "margins.json", formats.margins_json(records, first, blind) if first else "[]\n")
    with atomic_write(folder / "page.html") as part:
        write_page(part, results, _pictures(queue), method=first, baselines=blind, figure=drawn)
    return text


def _notes(config: BenchConfig) -> list[str]:
    """Which networks judged: LPIPS of two networks, or CLIP of two sizes, cannot be compared."""
    files = config.weights.given()
    said = [f"{key} by {' and '.join(Path(file).name for file in value)}" for key, value in files.items()]
    said += (
        ["no CLIP weights were given (weights.clip=FOLDER)"] if config.track == "text" and "clip" not in files else []
    )
    return ["Weights: " + "; ".join(said) + "."] if said else []


def _pictures(queue: Queue) -> Pictures:
    """What the jobs have drawn; of an object given from several sides and with several seeds, the first."""
    sheets, turntables, given = {}, {}, {}
    for job, payload in queue.payloads.items():
        views, name = queue.folder / "runs" / job / VIEWS, split_yaw(payload["object"])[0]
        for path in sorted(views.glob("*.png")):
            owner = _owner(path, payload)
            sheets.setdefault((owner, name), path)
        for path in sorted((views / TURNTABLES).glob("*.jpg")):
            turntables.setdefault((_owner(path, payload), name), path)
        if (views / TURNTABLES / GIVEN).is_file():
            given.setdefault(name, views / TURNTABLES / GIVEN)
    return Pictures(sheets, turntables, given)


def _owner(path: Path, payload: Payload) -> str:
    """The method that a picture is of: a job of a fit has one, whose name need not be one of a file."""
    return payload["method"] if payload["kind"] == "fit" else path.stem


def _failed(payload: Payload, why: str, sweep: Path) -> Record:
    case = case_of(payload, sweep)
    return Record(payload["method"], payload["object"], payload["seed"], score_case(case, background(case)), why)


def _flat(tree: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, list[object]]]:
    """vary's nested keys as dotted names; a single value is a list of one."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, list(value) if isinstance(value, list | tuple) else [value]
