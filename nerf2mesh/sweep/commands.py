"""What nerf2mesh-bench does beside running a sweep: fetch data, look at a sweep, compare results, print a table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nerf2mesh.utils.argument_parser import ArgumentParser


def fetch(argv: Sequence[str]) -> None:
    """fetch FOLDER [NAME ...]: download the real data of the benchmarks, checked by SHA-256, with their licences."""
    from nerf2mesh.evaluate.protocols.data_sources import sources
    from nerf2mesh.evaluate.protocols.fetch import fetch as bring

    known = {source.name: source for source in sources()}
    names = {"nargs": "*", "metavar": "NAME", "help": f"{', '.join(known)}; by default all"}
    args = _parsed("fetch", fetch, argv, ("folder", {"type": Path}), ("names", names))
    unknown = [name for name in args.names if name not in known]
    if unknown:
        raise ValueError(f"fetch: expected names out of {', '.join(known)}, got {', '.join(unknown)}; correct them")
    bring([known[name] for name in args.names or known], args.folder)
    print(f"nerf2mesh-bench protocol=core data_dir={args.folder}")


def prepare(argv: Sequence[str]) -> None:
    """prepare DATASET FOLDER: read every object of gso, omniobject3d or objaverse once, with checksums in a list; goes
    on where it was stopped. Exit code 1 where an object cannot be read or, with --verify, a file has changed."""
    from nerf2mesh.evaluate.protocols.prepare import READERS, verify
    from nerf2mesh.evaluate.protocols.prepare import prepare as bring

    which = {"choices": list(READERS)}
    listing = {"type": Path, "help": "the list, by default FOLDER.jsonl beside the folder"}
    again = {"action": "store_true", "help": "read all bytes again and compare them with the list"}
    places = (("dataset", which), ("folder", {"type": Path}), ("--list", listing), ("--verify", again))
    args = _parsed("prepare", prepare, argv, *places)
    path = args.list or args.folder.with_name(f"{args.folder.resolve().name}.jsonl")
    if args.verify:
        wrong = verify(args.folder, path)
    else:
        found = bring(args.dataset, args.folder, path)
        wrong = [f"{entry.name}: {entry.wrong}" for entry in found if entry.wrong]
        print(f"{len(found)} objects, {sum(e.faces for e in found):,} faces, listed in {path}")
    print("\n".join(wrong) if wrong else "nothing is wrong")
    if wrong:
        sys.exit(1)


def status(argv: Sequence[str]) -> None:
    """status FOLDER: how a sweep stands, and what happened to its jobs."""
    from nerf2mesh.sweep.supervise import summary
    from nerf2mesh.sweep.worker import Rules

    args = _parsed("status", status, argv, ("folder", {"type": Path}))
    print(summary(Rules.load(args.folder).open(args.folder)), end="")


def compare(argv: Sequence[str]) -> None:
    """compare OLD NEW: each method of NEW against the one of the same name in OLD, with intervals and p."""
    from nerf2mesh.evaluate.tables.comparison import load_results, report

    method = {"help": "only this method of NEW"}
    against = {"help": "the method of OLD to compare with, by default that of the same name"}
    names = (("old", {}), ("new", {}), ("--method", method), ("--against", against))
    args = _parsed("compare", compare, argv, *names)
    print(report(load_results(args.old), load_results(args.new), args.method, args.against))


def conventions(argv: Sequence[str]) -> None:
    """conventions FOLDER: the meshes of a sweep by the conventions of several papers: scale, translation, rotation."""
    from nerf2mesh.sweep.conventions import convention_tables

    method = {"help": "only this method of the sweep"}
    count = {"type": int, "default": 0, "help": "only the first so many objects"}
    args = _parsed("conventions", conventions, argv, ("folder", {"type": Path}), ("--method", method), ("--n", count))
    if args.n < 0:
        raise ValueError(f"--n: expected 0 (all) or more, got {args.n}; correct it")
    print(convention_tables(args.folder, method=args.method, count=args.n))


def latex(argv: Sequence[str]) -> None:
    """latex FOLDER: means over objects, or one object's figures, as a booktabs table."""
    from nerf2mesh.evaluate.tables.comparison import load_results
    from nerf2mesh.evaluate.tables.formats import latex as as_latex
    from nerf2mesh.evaluate.tables.tables import latex_means, object_rows

    args = _parsed("latex", latex, argv, ("results", {}), ("--object", {"help": "one object instead of the means"}))
    results = load_results(args.results)
    records = results.records
    if args.object and args.object not in {r.object for r in records}:
        known = ", ".join(sorted({r.object for r in records}))
        raise ValueError(f"--object: expected one of {known}, got {args.object}; choose one of them")
    if args.object:
        heading, rows = object_rows(records, args.object)
        print(as_latex(heading, ("", rows)))
    else:
        print(latex_means(results))


def published(argv: Sequence[str]) -> None:
    """published PROTOCOL: the figures that papers printed, marked as such."""
    from nerf2mesh.evaluate.protocols.published import PUBLISHED, published_markdown

    args = _parsed("published", published, argv, ("protocol", {}))
    text = published_markdown(args.protocol)
    if not text:
        known = ", ".join(dict.fromkeys(table.protocol for table in PUBLISHED))
        raise ValueError(f"protocol: expected one with printed figures ({known}), got {args.protocol!r}; choose one")
    print(text)


def gate(argv: Sequence[str]) -> None:
    """gate RESULTS COMMITTED: every figure against the committed one, and the protocol's bars; exit code 1 where a
    figure is worse than its tolerance allows."""
    from nerf2mesh.evaluate.protocols.baselines import BLIND, ORACLES
    from nerf2mesh.evaluate.tables.comparison import load_results
    from nerf2mesh.evaluate.tables.gate import bar_lines, check

    args = _parsed("gate", gate, argv, ("results", {}), ("committed", {}))
    results = load_results(args.results)
    print("\n".join(bar_lines(results)))
    verdicts = check(results, load_results(args.committed), baselines=(*BLIND, *ORACLES))
    print("\n".join(str(verdict) for verdict in verdicts if not verdict.passed))
    print(f"gate: {sum(verdict.passed for verdict in verdicts)} of {len(verdicts)} figures hold")
    if not all(verdict.passed for verdict in verdicts):
        sys.exit(1)


def merge(argv: Sequence[str]) -> None:
    """merge RESULTS COMMITTED: add these results to the committed JSON file, and write its table beside it."""
    from nerf2mesh.evaluate.protocols.published import published_markdown
    from nerf2mesh.evaluate.tables.comparison import load_results
    from nerf2mesh.evaluate.tables.split_tables import split_report
    from nerf2mesh.evaluate.tables.tables import report
    from nerf2mesh.utils.atomic_write import atomic_write_text

    args = _parsed("merge", merge, argv, ("results", {}), ("committed", {"type": Path}))
    results, path = load_results(args.results), args.committed
    if path.exists():
        results = load_results(path).merged(results)
    methods, baselines = results.methods(), results.blind_baselines()
    if results.protocol.split("-")[0] == "objects":
        table = split_report(results, methods, baselines, n_wanted=len({r.object for r in results.records}))
    else:
        published = published_markdown(results.protocol)
        table = report(results, methods[0] if methods else None, baselines, published=published)
    results.save(path)
    atomic_write_text(path.with_suffix(".md"), table)
    print(f"written: {path} and its table")


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    f.__name__: f for f in (fetch, prepare, status, compare, conventions, latex, published, gate, merge)
}


def _parsed(name: str, command: Callable, argv: Sequence[str], *arguments: tuple[str, Any]) -> argparse.Namespace:
    parser = ArgumentParser(prog=f"nerf2mesh-bench {name}", description=command.__doc__)
    for word, options in arguments:
        parser.add_argument(word, **options)
    return parser.parse_args(argv)
