"""NVIDIA's run-time compiler, which needs no device: does it take a source, without a warning?"""

from __future__ import annotations

import ctypes
import importlib.util
from functools import cache
from pathlib import Path

from dspsep.kernels.gpu._launch import _OPTIONS

__all__ = ["check", "library"]

#: What CuPy adds to the options of every source.
_ADDED = ("-ftz=true", "--device-as-default-execution-space")
#: An old GPU, and one of the data centres of today.
ARCHITECTURES = ("compute_75", "compute_90")


@cache
def library() -> ctypes.CDLL | None:
    """Return the compiler, as the package nvidia-cuda-nvrtc-cu12 installs it, or None."""
    try:
        found = importlib.util.find_spec("nvidia.cuda_nvrtc")
    except ModuleNotFoundError:
        return None
    if found is None or not found.submodule_search_locations:
        return None
    paths = [
        path for place in found.submodule_search_locations for path in Path(place).glob("lib/libnvrtc.so.*")
    ]
    plain = [path for path in paths if "alt" not in path.name]
    return ctypes.CDLL(str(plain[0])) if plain else None


@cache
def check(source: str) -> None:
    """Compile a source; raise what the compiler says, if it says anything. Nothing happens without one."""
    nvrtc = library()
    if nvrtc is None:
        return
    for architecture in ARCHITECTURES:
        program = ctypes.c_void_p()
        text = source.encode()
        assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, b"kernel.cu", 0, None, None) == 0
        options = [option.encode() for option in (*_OPTIONS, *_ADDED, f"--gpu-architecture={architecture}")]
        status = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        size = ctypes.c_size_t()
        nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        nvrtc.nvrtcGetProgramLog(program, log)
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
        said = log.value.decode(errors="replace").strip()
        if status or said:
            raise RuntimeError(f"{architecture}: {said or status}")
