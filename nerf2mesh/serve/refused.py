"""A request that the server does not take, and the status of HTTP that says so."""

from __future__ import annotations


class Refused(Exception):
    """status: of HTTP. The message is one line for the sender."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
