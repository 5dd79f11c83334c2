"""Threads that compute beside a run without slowing its own down.

OpenMP gives each thread that computes a team of workers. Once all teams together are more than the processors, GNU's
OpenMP lets workers sleep between two parallel regions where they waited awake before (GOMP_SPINCOUNT), those of the
run too: each of its many small operations then waits until its workers wake up, although nobody uses the processors.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch


def start_thread(work: Callable[[], None], name: str, *, beside_run: bool) -> threading.Thread:
    """Starts a daemon thread. beside_run: torch computes in it without workers; all other threads keep theirs."""
    n_threads, begun = torch.get_num_threads(), threading.Event()

    def begin() -> None:
        if beside_run:
            torch.get_num_threads()  # a thread's first such call takes over the common number, and must not come later
            torch.set_num_threads(1)
        begun.set()
        work()

    thread = threading.Thread(target=begin, name=name, daemon=True)
    thread.start()
    begun.wait()
    if beside_run:
        torch.set_num_threads(n_threads)  # of threads to come, which the other call has changed too
    return thread
