"""Commands speak UTF-8, whatever the locale says."""

from __future__ import annotations

import io
import locale
import os
import sys


def speak_utf8() -> None:
    """Starts this command anew in Python's UTF-8 mode where the locale has another encoding (PEP 540).

    Names of files, prompts and the libraries' own files then mean the same everywhere. What a terminal cannot show is
    escaped. Call it before anything is loaded.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    known = {sys.getfilesystemencoding(), locale.getpreferredencoding(False)}
    if os.name != "posix" or not sys.executable or all(name.replace("-", "").lower() == "utf8" for name in known):
        return
    environment = os.environ | {"PYTHONUTF8": "1"}
    os.execve(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]], environment)
