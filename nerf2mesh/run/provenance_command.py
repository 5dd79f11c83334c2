"""nerf2mesh-provenance: keygen, show, verify, gate. It reads files alone; no run folder is needed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from nerf2mesh.priors.config import BUILTIN
from nerf2mesh.priors.foundation.zoo import MODEL_ZOO
from nerf2mesh.priors.materials import OWN
from nerf2mesh.rights import LICENSES, USES, Material, gate_table
from nerf2mesh.rights.inspect_file import read_record, show, verify
from nerf2mesh.rights.seal import make_key
from nerf2mesh.utils.argument_parser import ArgumentParser

CHANGED = 1
"""Exit code of `verify` where something is not as the record says."""


def main(arguments: Sequence[str]) -> int:
    """Runs one of the commands; the exit code. ValueError in one line for what the user can put right."""
    args = _parser().parse_args(arguments)
    return args.run(args)


def gate_markdown(with_builtin: bool = True) -> str:
    """The known priors x the three uses: verdict and clause, as a table of Markdown."""
    priors = [Material("prior", name, known.licence, "prior.name") for name, known in MODEL_ZOO.items()]
    builtin = [Material("prior", BUILTIN, OWN, "prior.name")] if with_builtin else []
    head, rows = gate_table([*builtin, *priors])
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def licenses_markdown() -> str:
    """The whole table of licences, as Markdown."""
    rows = [["name", "licence", *USES, "duties"], ["---"] * 6]
    for entry in LICENSES:
        words = [entry.terms(use).word for use in USES]
        duties = "; ".join(duty for duty in (entry.attribution, entry.share_alike) if duty)
        rows.append([f"`{entry.id}`", entry.title, *words, duties or "none"])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _parser() -> ArgumentParser:
    parser = ArgumentParser("nerf2mesh-provenance", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    keygen = commands.add_parser("keygen", help="make a private key for report.sign_key")
    keygen.add_argument("key", type=Path, help="the file to write; keep it secret")
    keygen.set_defaults(run=_keygen)
    shown = commands.add_parser("show", help="the record inside a GLB, USDZ, OBJ, PLY or PNG")
    shown.add_argument("file", type=Path)
    shown.add_argument("--json", action="store_true", help="as JSON")
    shown.set_defaults(run=_show)
    verified = commands.add_parser("verify", help="whether a file is as it was sealed; exit code 1 where not")
    verified.add_argument("file", type=Path)
    verified.add_argument("--key", default="", help="the public key that is expected")
    verified.add_argument("--material", type=Path, action="append", default=[], help="an input or weights to compare")
    verified.set_defaults(run=_verify)
    gate = commands.add_parser("gate", help="which prior may be used for what, with the clauses")
    gate.add_argument("--licenses", action="store_true", help="all licences instead of the priors")
    gate.set_defaults(run=_gate)
    return parser


def _keygen(args: argparse.Namespace) -> int:
    public = make_key(args.key)
    print(f"{args.key}: private key, keep it secret; sign with report.sign_key={args.key}\npublic key {public}")
    return 0


def _show(args: argparse.Namespace) -> int:
    if args.json:
        print(json.dumps(read_record(args.file)[3], indent=2))
    else:
        print("\n".join(show(args.file)))
    return 0


def _verify(args: argparse.Namespace) -> int:
    found = verify(args.file, args.key, args.material)
    print("\n".join([*found.lines, f"{args.file.name}: {'as recorded' if found.holds else 'NOT as recorded'}"]))
    return 0 if found.holds else CHANGED


def _gate(args: argparse.Namespace) -> int:
    print(licenses_markdown() if args.licenses else gate_markdown())
    return 0
