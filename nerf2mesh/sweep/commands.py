"""What nerf2mesh-bench does beside running a sweep: look at one, compare two, print a table."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path


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


def latex(argv: Sequence[str]) -> None:
    """latex FOLDER: means over objects, or one object's figures, as a booktabs table."""
    from nerf2mesh.evaluate.tables.comparison import load_results
    from nerf2mesh.evaluate.tables.formats import latex as as_latex
    from nerf2mesh.evaluate.tables.tables import latex_means, object_rows

    args = _parsed("latex", latex, argv, ("results", {}), ("--object", {"help": "one object instead of the means"}))
    results = load_results(args.results)
    records = results.records
    if args.object and args.object not in {r.object for r in records}:
        raise ValueError(f"--object: one of {', '.join(sorted({r.object for r in records}))} wanted, got {args.object}")
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
        raise ValueError(f"protocol: one with printed figures ({known}) wanted, got {args.protocol!r}")
    print(text)


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {f.__name__: f for f in (status, compare, latex, published)}


def _parsed(
    name: str, command: Callable, argv: Sequence[str], *arguments: tuple[str, dict[str, object]]
) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"nerf2mesh-bench {name}", description=command.__doc__)
    for word, options in arguments:
        parser.add_argument(word, **options)
    return parser.parse_args(argv)
