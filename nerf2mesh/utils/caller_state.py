"""A call of the library under any settings of its caller, which it leaves as it found them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch


@contextmanager
def usual_state() -> Iterator[None]:
    """Inside: gradients, float32 and the CPU as torch's defaults. After: the caller's own, with threads and seeds."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    seeds = torch.get_rng_state(), np.random.get_state(), random.getstate()
    with ExitStack() as inside:
        inside.enter_context(torch.inference_mode(False))
        inside.enter_context(torch.enable_grad())
        if torch.get_default_device().type != "cpu":  # entering a device costs time at every call of torch
            inside.enter_context(torch.device("cpu"))
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
            torch.set_rng_state(seeds[0])
            np.random.set_state(seeds[1])
            random.setstate(seeds[2])
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
