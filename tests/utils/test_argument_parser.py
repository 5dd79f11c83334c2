"""argparse's errors in one line, with what was expected and what came."""

from __future__ import annotations

from pathlib import Path

import pytest

from nerf2mesh.utils.argument_parser import ArgumentParser


def parser() -> ArgumentParser:
    made = ArgumentParser("tool")
    made.add_argument("mesh", type=Path)
    made.add_argument("--kind", choices=("auto", "biped"), default="auto")
    made.add_argument("--size", type=int)
    made.add_argument("--share", type=float)
    made.add_argument("--out", required=True)
    return made


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a", "--out", "b", "--kind", "snake"], "--kind: expected one of auto, biped, got 'snake'; choose one"),
        (["a", "--out", "b", "--size", "1.5"], "--size: expected a whole number, got '1.5'; correct it"),
        (["a", "--out", "b", "--share", "much"], "--share: expected a number, got 'much'; correct it"),
        (["a", "--out"], "--out: expected one value, got none; give it"),
        (["a"], "--out: expected a value, got none; see tool --help"),
        ([], "mesh, --out: expected a value, got none; see tool --help"),
        (["a", "--out", "b", "c", "--d"], "tool: expected arguments that it knows, got c --d; see tool --help"),
        (["a", "--s", "1", "--out", "b"], "tool: ambiguous option: --s could match --size, --share; see tool --help"),
    ],
)
def test_one_line(arguments: list[str], said: str) -> None:
    with pytest.raises(ValueError) as caught:
        parser().parse_args(arguments)
    assert str(caught.value) == said


def test_commands_below_it_say_the_same_way() -> None:
    made = ArgumentParser("tool")
    made.add_subparsers(dest="what", required=True).add_parser("show").add_argument("--n", type=int)
    with pytest.raises(ValueError, match=r"^--n: expected a whole number, got 'x'; correct it$"):
        made.parse_args(["show", "--n", "x"])
    with pytest.raises(ValueError, match=r"^what: expected one of show, got 'hide'; choose one$"):
        made.parse_args(["hide"])


def test_what_is_right_is_parsed_as_ever() -> None:
    asked = parser().parse_args(["a", "--out", "b", "--size", "3"])
    assert (asked.mesh, asked.out, asked.size, asked.kind) == (Path("a"), "b", 3, "auto")
