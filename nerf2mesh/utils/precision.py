"""Which floating-point type a device multiplies fast."""

from __future__ import annotations

from functools import lru_cache

import torch


def fast_dtype(precision: str, device: str | torch.device) -> torch.dtype:
    """The torch type of a `precision` setting: "float32", "float16", "bfloat16", or "auto".

    "auto" is bfloat16 where the device multiplies it in hardware, else float32. A CPU without such instructions (AVX2
    alone) emulates bfloat16: a training step of the built-in prior then took 24 times as long as in float32.
    """
    if precision == "auto":
        return torch.bfloat16 if _multiplies_bfloat16(torch.device(device)) else torch.float32
    return {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}[precision]


def dtype_name(dtype: torch.dtype) -> str:
    """The `precision` setting that names `dtype`."""
    return str(dtype).removeprefix("torch.")


@lru_cache(maxsize=16)
def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # Private, but the only way to ask; where it is gone, float32 is right and merely slower.
    ask = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return device.type == "cpu" and ask()
