"""What a stranger may use up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from nerf2mesh.utils.range_check import check_ranges
from nerf2mesh.utils.ranges import Within

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The options of nerf2mesh-serve, one each."""

    body_mib: Annotated[float, Within(0.01, 1024.0)] = 16.0
    """Of a whole request, in MiB."""
    body_s: Annotated[float, Within(0.1, 3600.0)] = 60.0
    """A request that has not arrived after so many seconds is refused."""
    megapixels: Annotated[float, Within(0.001, 178.0)] = 25.0
    """Of a picture, once it is decoded."""
    job_s: Annotated[float, Within(1.0, 1e7)] = 3600.0
    """A job that has run for so many seconds is given up; the time before a restart of the server does not count."""
    workers: Annotated[int, Within(1, 256)] = 1
    """Jobs that run at once."""
    queue: Annotated[int, Within(1, 100_000)] = 100
    """Jobs that wait or run; more are refused."""
    disk_gib: Annotated[float, Within(0.001, 1e6)] = 20.0
    """Of the server's folder, in GiB; a fuller one takes no job until results are deleted."""
    free_gib: Annotated[float, Within(0.0, 1e6)] = 1.0
    """What has to stay free on the disk."""
    streams: Annotated[int, Within(1, 10_000)] = 32
    """Listeners to progress at once."""

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def body_bytes(self) -> int:
        """Largest request."""
        return int(self.body_mib * MIB)
