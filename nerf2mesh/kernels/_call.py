"""Handing contiguous memory to a native library, and what every operator's implementation needs for that.

Everything a kernel writes is allocated by torch. On CUDA the work is enqueued on the current stream and nothing waits.
"""

from __future__ import annotations

import torch
from torch import Tensor

from . import _lib


def has_native(like: Tensor) -> bool:
    """Whether the library of the device of `like` is loaded; without it the torch twins serve."""
    return (_lib.cuda() if like.is_cuda else _lib.cpu()) is not None


def call(name: str, like: Tensor, *arguments: object) -> None:
    """Runs a native function where `like` is; tensors become pointers. Raises what `_lib.check` makes of its status."""
    values = [a.data_ptr() if isinstance(a, Tensor) else a for a in arguments]
    library = _lib.cuda() if like.is_cuda else _lib.cpu()
    assert library is not None, f"{name}: has_native was not asked"
    if like.is_cuda:
        with torch.cuda.device(like.device):
            stream = torch.cuda.current_stream(like.device).cuda_stream
            status = getattr(library, f"n2m_{name}_cuda")(*values, stream)
    else:
        library.n2m_set_threads(torch.get_num_threads())
        status = getattr(library, f"n2m_{name}")(*values)
    _lib.check(library, status, name)


def fresh(like: Tensor, *shape: int) -> Tensor:
    """Uninitialized float32 memory; a large piece of main memory is asked for in huge pages."""
    made = like.new_empty(shape, dtype=torch.float32)
    if made.numel() >= 1 << 20 and not made.is_cuda:
        library = _lib.cpu()
        assert library is not None, "memory for a native call, but has_native was not asked"
        library.n2m_prefer_huge_pages(made.data_ptr(), 4 * made.numel())
    return made


def packed(*tensors: Tensor) -> list[Tensor]:
    """Contiguous; on a GPU also aligned for loads of 16 bytes, which a slice of a larger tensor need not be."""
    return [aligned(t.contiguous()) for t in tensors]


def packed_given(*tensors: Tensor | None) -> list[Tensor | None]:
    """`packed` of arguments that may be missing: None stays None."""
    return [None if t is None else aligned(t.contiguous()) for t in tensors]


def aligned(t: Tensor) -> Tensor:
    """`t`, or on a GPU its copy where the memory does not begin at a multiple of 16 bytes."""
    return t.clone() if t.is_cuda and t.data_ptr() % 16 else t


def recordable(*tensors: Tensor) -> list[Tensor]:
    """Copies of inference tensors, which autograd refuses; call it outside of inference mode."""
    return [t.clone() if t.is_inference() else t for t in tensors]


def recordable_given(*tensors: Tensor | None) -> list[Tensor | None]:
    """`recordable` of arguments that may be missing: None stays None."""
    return [t.clone() if t is not None and t.is_inference() else t for t in tensors]


def keeps_capacity(like: Tensor) -> bool:
    """Whether buffers have the size of their capacity, whatever is found: where reading the count would wait."""
    return like.is_cuda
