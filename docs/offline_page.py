"""Hook of the docs site: no page loads anything from the network.

The theme's offline plugin adds a script from a public host that lets the search work on pages opened as files; the
pages read the same without it, and search works wherever the site is served.
"""

from __future__ import annotations

import re

SCRIPT = re.compile(r'<script src="https://unpkg\.com/iframe-worker/shim"></script>')


def on_post_page(output: str, **_: object) -> str:
    """A page without that script."""
    return SCRIPT.sub("", output)


def on_post_template(output_content: str, **_: object) -> str:
    """The same for pages that are templates, such as 404.html."""
    return SCRIPT.sub("", output_content)
