"""Compiles csrc into shared libraries with a C ABI: libn2m_cpu.so always, libn2m_cuda.so where nvcc is.

Standard library only, because setup.py runs this file before torch is installed. As a command:

    python -m nerf2mesh.kernels.build                          what `pip install` does, in place
    python -m nerf2mesh.kernels.build --cuda --resource-report  the CUDA library alone, with ptxas' resource usage
    python -m nerf2mesh.kernels.build --sanitize address,undefined --output build/asan

Obeyed: CXX, CXXFLAGS, N2M_CUDA (0: leave out, 1: a failure is an error), N2M_CUDA_ARCHITECTURES ("80;90"), MAX_JOBS.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# No -ffast-math: GCC before 13 would then switch the whole process to flush-to-zero when the library is loaded.
# The two -fno flags change no value; contraction to fused multiply-add is wanted.
CXX_FLAGS = ["-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-fno-math-errno", "-fno-trapping-math"]
CXX_FLAGS += ["-ffp-contract=fast", "-pthread", "-Wall", "-Wextra", "-Wno-psabi", "-Wno-unknown-pragmas"]
X86_FLAGS = {
    "_avx2": ["-mavx2", "-mfma", "-mf16c", "-mbmi", "-mbmi2"],
    "_avx512": ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mfma", "-mf16c", "-mbmi", "-mbmi2"],
}
CUDA_ARCHITECTURES = ("80", "86", "89", "90")
CUDA_FLAGS = ["-std=c++17", "-O3", "--expt-relaxed-constexpr", "-cudart", "static", "-Xcompiler", "-fPIC"]
CUDA_FLAGS += ["-Xcompiler", "-fvisibility=hidden", "--threads", "0"]
UNFUSED = ("raster",)
"""CUDA files without fused multiply-add: their results are then the CPU's to the bit."""


class BuildError(RuntimeError):
    """A compiler is missing or has failed; the text says which, with its last lines."""


def run(command: list[str]) -> str:
    """The command's output; BuildError with its last lines when it fails or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
    except OSError as error:
        raise BuildError(f"{command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-40:])
        raise BuildError(f"{shlex.join(command)}\n{tail}")
    return done.stdout + done.stderr


def digest(files: list[Path], flags: list[str]) -> str:
    """20 hexadecimal digits that change with a flag, or with a file's name or content."""
    state = hashlib.sha256("\0".join(flags).encode())
    for path in sorted(files):
        state.update(path.name.encode() + path.read_bytes())
    return state.hexdigest()[:20]


def inputs(source: Path, root: Path) -> list[Path]:
    """The file and what it includes with quotes, from csrc or from its own folder."""
    found, open_ones = {source}, [source]
    while open_ones:
        path = open_ones.pop()
        for name in re.findall(r'^\s*#include "([^"]+)"', path.read_text(encoding="utf-8"), re.MULTILINE):
            near = [p for p in (root / "csrc" / name, path.parent / name) if p.exists()]
            open_ones += [p for p in near if p not in found]
            found.update(near)
    return list(found)


def jobs() -> int:
    """Compilers at once: MAX_JOBS, else the number of cores up to 8."""
    return int(os.environ.get("MAX_JOBS") or min(8, os.cpu_count() or 1))


def cxx() -> list[str]:
    """The C++ compiler's command: CXX, else the first of the usual ones on the PATH; BuildError without any."""
    named = os.environ.get("CXX")
    if named:
        return shlex.split(named)
    for name in ("g++", "c++", "clang++"):
        if shutil.which(name):
            return [name]
    raise BuildError("no C++ compiler found; install g++ or clang++, or set CXX")


def find_nvcc() -> str | None:
    """nvcc from CUDA_HOME, the PATH, or the usual place."""
    for folder in (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH")):
        if folder and (Path(folder) / "bin" / "nvcc").exists():
            return str(Path(folder) / "bin" / "nvcc")
    usual = Path("/usr/local/cuda/bin/nvcc")
    return shutil.which("nvcc") or (str(usual) if usual.exists() else None)


def build_cpu(folder: Path, root: Path, extra: tuple[str, ...] = ()) -> Path:
    """The CPU library; `extra` flags go to the compiler and the linker."""
    objects = compile_cpu(sorted((root / "csrc" / "cpu").glob("*.cpp")), root, extra)
    objects.append(origin_object("cpu", root, ""))
    return link([*cxx(), "-shared", "-pthread", *extra, *objects, "-ldl"], folder / "libn2m_cpu.so")


def compile_cpu(sources: list[Path], root: Path, extra: tuple[str, ...] = ()) -> list[str]:
    """Object files, from the cache where nothing changed; _avx2 and _avx512 files get those instructions (x86 only)."""
    compiler = cxx()
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    named = shlex.split(os.environ.get("CXXFLAGS", ""))
    common = [*CXX_FLAGS, f"-I{root / 'csrc'}", f"-DN2M_X86={int(x86)}", *named, *extra]
    cache = root / "build" / "n2m"
    cache.mkdir(parents=True, exist_ok=True)

    def compile_one(source: Path) -> Path | None:
        isa = [flags for suffix, flags in X86_FLAGS.items() if source.stem.endswith(suffix)]
        if isa and not x86:
            return None
        flags = common + (isa[0] if isa else [])
        target = cache / f"{source.stem}-{digest(inputs(source, root), compiler + flags)}.o"
        if not target.exists():
            part = target.with_suffix(f".{os.getpid()}.tmp")
            run([*compiler, *flags, "-c", str(source), "-o", str(part)])
            part.replace(target)
        return target

    with ThreadPoolExecutor(jobs()) as pool:
        return [str(path) for path in pool.map(compile_one, sources) if path]


def sanitizer_flags(kinds: str) -> tuple[str, ...]:
    """For build_cpu: `kinds` as in -fsanitize=. A finding ends the program; scratch memory gets exact sizes."""
    return (
        f"-fsanitize={kinds}",
        "-fno-sanitize-recover=all",
        "-O1",
        "-g1",
        "-fno-omit-frame-pointer",
        "-DN2M_SANITIZED",
    )


def link(command: list[str], library: Path) -> Path:
    """Links aside and renames, so that a process which has the old library mapped keeps it."""
    library.parent.mkdir(parents=True, exist_ok=True)
    part = library.with_name(f".{library.name}.{os.getpid()}.tmp")
    run([*command, "-o", str(part)])
    part.replace(library)
    return library


def source_digest(kind: str, root: Path) -> str:
    """20 digits that change with a source or a flag of the library of `kind`, "cpu" or "cuda"."""
    sources = (root / "csrc" / kind).glob("*.cu" if kind == "cuda" else "*.cpp")
    files = {file for source in sources for file in inputs(source, root)}
    return digest(list(files), [*CUDA_FLAGS, *UNFUSED] if kind == "cuda" else CXX_FLAGS)


def origin_object(kind: str, root: Path, architectures: str) -> str:
    """An object file that holds what a library was built from, as the text n2m_KIND_built_from: digest, architectures.

    Who finds a library can then tell whether it fits the sources beside it: `built_from`.
    """
    text = f"{source_digest(kind, root)} {architectures}".strip()
    source = root / "build" / "n2m" / f"origin-{kind}-{os.getpid()}.cpp"
    symbol = f"n2m_{kind}_built_from"
    shown = '__attribute__((visibility("default")))'
    source.write_text(f'extern "C" {{ extern {shown} const char {symbol}[]; const char {symbol}[] = "{text}"; }}\n')
    target = source.with_suffix(".o")
    run([*cxx(), "-fPIC", "-c", str(source), "-o", str(target)])
    source.unlink()
    return str(target)


def built_from(library: Path, kind: str) -> list[str]:
    """The digest of the sources and the architectures; empty for a library that does not say it.

    Raises:
        OSError: it cannot be loaded.
    """
    try:
        text = (ctypes.c_char * 4096).in_dll(ctypes.CDLL(str(library)), f"n2m_{kind}_built_from").value
    except ValueError:
        return []
    return text.decode().split()


def architectures() -> list[str]:
    """What CUDA code is built for: N2M_CUDA_ARCHITECTURES, else the usual ones."""
    named = os.environ.get("N2M_CUDA_ARCHITECTURES", "").replace(",", ";").split(";")
    return [a.strip() for a in named if a.strip()] or list(CUDA_ARCHITECTURES)


def architecture_flags() -> list[str]:
    """Machine code for each architecture and PTX of the newest for those to come."""
    wanted = architectures()
    flags = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in wanted]
    return [*flags, f"-gencode=arch=compute_{wanted[-1]},code=compute_{wanted[-1]}"]


def build_cuda(folder: Path, root: Path, nvcc: str, report: list[str] | None = None) -> Path:
    """Compiles csrc/cuda/*.cu; `report` collects ptxas' text and switches the cache off."""
    flags = [*CUDA_FLAGS, *architecture_flags(), f"-I{root / 'csrc'}"]
    cache = root / "build" / "n2m"
    cache.mkdir(parents=True, exist_ok=True)

    def compile_one(source: Path) -> str:
        unfused = ["-fmad=false"] if source.stem in UNFUSED else []
        target = cache / f"{source.stem}-{digest(inputs(source, root), [nvcc, *flags, *unfused])}.cu.o"
        if report is not None or not target.exists():
            verbose = ["-Xptxas", "-v"] if report is not None else []
            part = target.with_suffix(f".{os.getpid()}.tmp")
            text = run([nvcc, *flags, *unfused, *verbose, "-c", str(source), "-o", str(part)])
            part.replace(target)
            if report is not None:
                report.append(text)
        return str(target)

    at_once = min(jobs(), max(2, 8 // len(architectures())))  # nvcc itself works on the architectures side by side
    with ThreadPoolExecutor(at_once) as pool:
        objects = list(pool.map(compile_one, sorted((root / "csrc" / "cuda").glob("*.cu"))))
    objects.append(origin_object("cuda", root, " ".join(architectures())))
    return link([nvcc, "-shared", "-cudart", "static", *architecture_flags(), *objects], folder / "libn2m_cuda.so")


def build_all(folder: Path, root: Path) -> list[Path]:
    """What an install builds. At most one warning; what could not be built is simply not there."""
    wish = os.environ.get("N2M_CUDA", "").strip()
    built, problems = [], []
    try:
        built.append(build_cpu(folder, root))
    except BuildError as error:
        problems.append(f"no native CPU library ({error}): the slower torch twins will serve")
    nvcc = None if wish == "0" else find_nvcc()
    try:
        if nvcc:
            built.append(build_cuda(folder, root, nvcc))
        elif wish == "1":
            raise BuildError("N2M_CUDA=1, but nvcc was found neither on PATH, nor in CUDA_HOME, nor in /usr/local/cuda")
        elif wish != "0":
            problems.append("nvcc not found: built for the CPU only (set CUDA_HOME, or N2M_CUDA=0 to silence this)")
    except BuildError as error:
        if wish == "1":
            raise
        problems.append(
            f"the CUDA library did not compile: built for the CPU only (N2M_CUDA=1 makes this an error)\n{error}"
        )
    if problems:
        print("warning: nerf2mesh: " + "; ".join(problems), file=sys.stderr)
    return built


def main() -> int:
    """The command line of this module; returns the exit code, 2 where a build has failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuda", action="store_true", help="build the CUDA library only; a failure is an error")
    parser.add_argument("--cpu", action="store_true", help="build the CPU library only; a failure is an error")
    parser.add_argument("--resource-report", action="store_true", help="print registers, spills and shared memory")
    parser.add_argument(
        "--sanitize", default="", help="sanitizers for the CPU library, e.g. address,undefined or thread"
    )
    parser.add_argument("--output", type=Path, default=Path(__file__).resolve().parent, help="folder for the libraries")
    arguments = parser.parse_args()
    root = Path(__file__).resolve().parents[2]
    if not (root / "csrc").is_dir():
        parser.error(f"no csrc in {root}: this command works in a source checkout (or an editable install of one)")
    try:
        if arguments.cuda:
            build_cuda_command(arguments, root, parser)
        elif arguments.cpu or arguments.sanitize:
            extra = sanitizer_flags(arguments.sanitize) if arguments.sanitize else ()
            print(build_cpu(arguments.output, root, extra))
        else:
            print(*build_all(arguments.output, root), sep="\n")
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def build_cuda_command(arguments: argparse.Namespace, root: Path, parser: argparse.ArgumentParser) -> None:
    """The CUDA library and, where asked for, the table of its kernels' resources; without nvcc the command ends."""
    nvcc = find_nvcc()
    if nvcc is None:
        parser.error("nvcc was found neither on PATH, nor in CUDA_HOME, nor in /usr/local/cuda")
    report: list[str] | None = [] if arguments.resource_report else None
    print(build_cuda(arguments.output, root, nvcc, report))
    if report is not None:
        print(resource_table("\n".join(report)))


def resource_table(text: str) -> str:
    """One line per kernel from ptxas -v; per architecture: registers / spilled bytes / static shared bytes."""
    table: dict[str, dict[str, str]] = {}
    name, arch, spills = "", "", "0"
    for line in text.splitlines():
        if "Compiling entry function" in line:
            name, arch = line.split("'")[1], line.split("'")[3]
        elif "spill stores" in line:
            spills = line.split("bytes stack frame, ")[1].split(" bytes spill")[0]
        elif "Used" in line and "registers" in line:
            registers = line.split("Used ")[1].split(" registers")[0]
            shared = line.split(" bytes smem")[0].split()[-1] if "bytes smem" in line else "0"
            table.setdefault(name, {})[arch] = f"{registers}/{spills}/{shared}"
    archs = sorted({arch for row in table.values() for arch in row})
    names = demangle(list(table))
    rows = [[names[name], *(row.get(arch, "-") for arch in archs)] for name, row in table.items()]
    return "\n".join("\t".join(row) for row in [["kernel (registers/spills/shared)", *archs], *sorted(rows)])


def demangle(names: list[str]) -> dict[str, str]:
    """Readable kernel names where binutils' c++filt is there."""
    tool = shutil.which("c++filt")
    if not tool:
        return {name: name for name in names}
    plain = subprocess.run(
        [tool], input="\n".join(names), capture_output=True, encoding="utf-8", errors="replace"
    ).stdout.splitlines()
    short = [
        p.replace("(anonymous namespace)::", "").replace("void ", "").replace("n2m::", "").split("(")[0] for p in plain
    ]
    return dict(zip(names, short))


if __name__ == "__main__":
    sys.exit(main())
