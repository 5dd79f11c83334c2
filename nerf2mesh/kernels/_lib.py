"""Finds and loads the native libraries, once each; a failure is remembered, told once, and the torch twins serve.

The structures and signatures here mirror csrc/n2m_abi.h. Environment: N2M_LIBRARY_DIR points to another folder (a debug
or sanitizer build), N2M_CUDA_LIBRARY to another file of the CUDA library alone (to compare two), N2M_NATIVE=0 leaves
the libraries alone, N2M_ISA=scalar|avx2|avx512 caps the instruction set.
"""

from __future__ import annotations

import ctypes
import os
import warnings
from ctypes import POINTER, Structure, c_char_p, c_float, c_int32, c_int64, c_uint32, c_void_p
from functools import lru_cache
from pathlib import Path

import torch

from .layout import GridLayout

ABI_VERSION = 1


class Level(Structure):
    """n2m_level of csrc/n2m_abi.h: one level of a hash grid; `hashed` is 0 or 1."""

    _fields_ = [("scale", c_float), *((name, c_uint32) for name in ("resolution", "size", "offset", "hashed"))]


class Grid(Structure):
    """n2m_grid of csrc/n2m_abi.h: a hash grid; `half` says that its parameters are float16."""

    _fields_ = [
        ("levels", POINTER(Level)),
        *((name, c_int32) for name in ("n_dims", "n_levels", "n_features", "n_active", "smoothstep", "half")),
    ]


class March(Structure):
    """n2m_march of csrc/n2m_abi.h: the occupancy grid and the lattice of samples on a ray, in units of |rays_d|."""

    _fields_ = [
        ("resolution", c_int32),
        ("n_cascades", c_int32),
        *((name, c_float) for name in ("near", "far", "step")),
    ]


P, I32, I64, F32 = c_void_p, c_int32, c_int64, c_float
SIGNATURES = {
    "grid_forward": [POINTER(Grid), I64, P, P, P],
    "grid_jvp": [POINTER(Grid), I64, P, P, P, P, P],
    "grid_backward": [POINTER(Grid), I64, P, P, P, P, P],
    "grid_input_grad": [POINTER(Grid), I64, P, P, P, P, P, P],
    "march_count": [POINTER(March), I64, P, P, P, P, P, I64, P, P],
    "march_fill": [POINTER(March), I64, P, P, P, P, P, I64, P, P, P, P],
    "composite_forward": [I64, I32, F32, P, P, P, P, P, P, P, P, P, P],
    "composite_backward": [I64, I32, F32, *[P] * 14],
    "update_occupancy": [I64, P, P, I64, P, P, F32, F32, I32],
    "adam": [I64, P, P, P, P, F32, F32, F32, F32, F32, F32, F32, F32, I32, I32, I32],
}
CUDA_ONLY = {"adam_many": [I32, P, P, P, P], "rasterize": [P, P, P, P]}  # libraries built before have none of them
UNSUPPORTED, OUT_OF_MEMORY, INVALID, CUDA_ERROR = 1, 2, 4, 1000


@lru_cache(maxsize=256)
def level_table(layout: GridLayout) -> ctypes.Array:
    """The levels of a layout as a C array of `Level`."""
    rows = zip(layout.scales, layout.resolutions, layout.sizes, layout.offsets, layout.hashed)
    return (Level * layout.n_levels)(*(Level(s, r, n, o, int(h)) for s, r, n, o, h in rows))


@lru_cache(maxsize=1024)
def grid_struct(layout: GridLayout, n_active: int, half: bool) -> Grid:
    """The C view of a layout; the level table it points to lives in the cache of `level_table`."""
    table = level_table(layout)
    sizes = (layout.n_dims, layout.n_levels, layout.n_features, n_active, int(layout.smoothstep), int(half))
    made = Grid(ctypes.cast(table, POINTER(Level)), *sizes)
    made.keep_alive = table
    return made


def refusal(library: ctypes.CDLL, name: str) -> ValueError:
    """The error for a call of `name` that the library refused: its own words, "ARGUMENT: expected X, got Y"."""
    reason = library.n2m_last_error().decode() if hasattr(library, "n2m_last_error") else "an argument is out of range"
    return ValueError(f"{reason} (native {name})")


def check(library: ctypes.CDLL, status: int, name: str) -> None:
    """Raises what a kernel's status stands for: ValueError, MemoryError, or RuntimeError for CUDA's own errors."""
    if status in (UNSUPPORTED, INVALID):
        raise refusal(library, name)
    if status == OUT_OF_MEMORY:
        raise MemoryError(f"no memory for the scratch buffers of native {name}; take fewer rays or points at once")
    if status:
        raise RuntimeError(f"native {name}: CUDA error {status - CUDA_ERROR}")


def _open(file_name: str, other: str | None = None) -> ctypes.CDLL:
    folder = os.environ.get("N2M_LIBRARY_DIR")
    path = Path(other or Path(folder or Path(__file__).resolve().parent) / file_name)
    if not path.exists():
        raise OSError(f"{path} is not there")
    library = ctypes.CDLL(str(path))
    library.n2m_abi_version.restype = c_int32
    if library.n2m_abi_version() != ABI_VERSION:
        raise OSError(f"{path} was built from other sources (ABI {library.n2m_abi_version()}, wanted {ABI_VERSION})")
    return library


def _declare(library: ctypes.CDLL, suffix: str, extra: list[type]) -> None:
    if hasattr(library, "n2m_last_error"):  # a library that was built before it has none
        library.n2m_last_error.restype = c_char_p
    for name, arguments in SIGNATURES.items():
        function = getattr(library, f"n2m_{name}{suffix}")
        function.argtypes, function.restype = [*arguments, *extra], c_int32


@lru_cache(maxsize=1)
def cpu() -> ctypes.CDLL | None:
    """The CPU library, or None (with one warning) where it cannot be loaded."""
    if os.environ.get("N2M_NATIVE", "1") == "0":
        return None
    try:
        library = _open("libn2m_cpu.so")
    except (OSError, AttributeError) as error:
        warnings.warn(
            f"nerf2mesh runs on its plain torch operators, which are many times slower: {error}. "
            "A C++ compiler and `pip install --force-reinstall --no-deps nerf2mesh` (in a checkout: "
            "`python -m nerf2mesh.kernels.build`) bring the native ones.",
            stacklevel=2,
        )
        return None
    _declare(library, "", [])
    library.n2m_cpu_isa.restype = c_char_p
    library.n2m_prefer_huge_pages.argtypes = [c_void_p, c_int64]
    _lend_threads(library)
    isa = os.environ.get("N2M_ISA")
    if isa and library.n2m_set_isa(isa.encode()):
        raise ValueError(f"N2M_ISA: expected scalar, avx2 or avx512 and a processor that has it, got {isa!r}; unset it")
    return library


def _lend_threads(library: ctypes.CDLL) -> None:
    """Hands torch's own parallel_for over (exported since torch 2.10), so that only one pool is ever active."""
    try:
        torch_cpu = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        parallel_for = ctypes.cast(torch_cpu.torch_parallel_for, c_void_p)
    except (OSError, AttributeError):
        return
    library.n2m_set_parallel.argtypes = [c_void_p]
    library.n2m_set_parallel(parallel_for)


@lru_cache(maxsize=1)
def cuda() -> ctypes.CDLL | None:
    """The CUDA library, looked for at the first CUDA tensor; None (with one warning) where it cannot be loaded."""
    if os.environ.get("N2M_NATIVE", "1") == "0":
        return None
    try:
        library = _open("libn2m_cuda.so", os.environ.get("N2M_CUDA_LIBRARY"))
    except (OSError, AttributeError) as error:
        warnings.warn(
            f"nerf2mesh runs on its plain torch operators on this GPU, which are slower: {error}. With nvcc on the "
            "PATH, `N2M_CUDA=1 pip install --force-reinstall --no-deps nerf2mesh` builds the native ones.",
            stacklevel=2,
        )
        return None
    _declare(library, "_cuda", [c_void_p])
    for name, arguments in CUDA_ONLY.items():
        function = getattr(library, f"n2m_{name}_cuda", None)
        if function is not None:
            function.argtypes, function.restype = [*arguments, c_void_p], c_int32
    return library


def available() -> dict[str, str | None]:
    """What is loaded: the CPU library's instruction set (None: torch twins), and whether CUDA kernels are there."""
    library = cpu()
    has_gpu = torch.cuda.is_available()
    return {
        "cpu": library.n2m_cpu_isa().decode() if library else None,
        "cuda": "native" if has_gpu and cuda() else None,
        "threads": str(torch.get_num_threads()),
    }
