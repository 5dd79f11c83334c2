"""argparse whose errors are one line, "NAME: expected X, got Y; do Z", raised as a ValueError."""

from __future__ import annotations

import argparse
import re
from typing import NoReturn

_KINDS = {"int": "a whole number", "float": "a number", "Path": "a path"}


class ArgumentParser(argparse.ArgumentParser):
    """Raises ValueError in one line where argparse would print its usage and leave."""

    def error(self, message: str) -> NoReturn:
        """See the class."""
        raise ValueError(one_line(message, self.prog))


def one_line(message: str, prog: str) -> str:
    """argparse's `message` in the library's form; its own words where it has another form than those known here."""
    choice = re.fullmatch(r"argument (\S+): invalid choice: (.+) \(choose from (.+)\)", message, re.S)
    if choice:
        name, got, known = choice.groups()
        return f"{name}: expected one of {known.replace(chr(39), '')}, got {got}; choose one"
    kind = re.fullmatch(r"argument (\S+): invalid (\w+) value: (.+)", message, re.S)
    if kind:
        name, wanted, got = kind.groups()
        return f"{name}: expected {_KINDS.get(wanted, wanted)}, got {got}; correct it"
    count = re.fullmatch(r"argument (\S+): expected (.+) arguments?", message)
    if count:
        return f"{count[1]}: expected {count[2]} value{'' if count[2].endswith('one') else 's'}, got none; give it"
    missing = re.fullmatch(r"the following arguments are required: (.+)", message)
    if missing:
        return f"{missing[1]}: expected a value, got none; see {prog} --help"
    unknown = re.fullmatch(r"unrecognized arguments: (.+)", message, re.S)
    if unknown:
        return f"{prog}: expected arguments that it knows, got {unknown[1]}; see {prog} --help"
    return f"{prog}: {' '.join(message.split())}; see {prog} --help"
