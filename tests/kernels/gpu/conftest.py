"""GPU kernels without a GPU: on NumPy arrays, compiled for the host.

Where there is a GPU, ``DSPSEP_GPU_KERNELS=device`` has the same tests run the kernels on it. Those of
subnormal numbers in single precision must fail there: CuPy has them count as zero.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from dspsep.kernels.gpu import _launch
from tests.kernels.gpu import cuda_on_host, nvrtc


@pytest.fixture(scope="session")
def _folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cuda_on_host")


@pytest.fixture
def on_host(monkeypatch, _folder):
    """Have kernels run on the host; where NVIDIA's compiler is installed it must take them, too."""
    if os.environ.get("DSPSEP_GPU_KERNELS") == "device":
        monkeypatch.setattr(_launch, "_compiled", there_and_back(_launch._compiled))
        return
    if cuda_on_host.COMPILER is None:
        pytest.skip("needs a C++ compiler, which stands in for a GPU")

    def compiled(source, name):
        nvrtc.check(source)
        return cuda_on_host.compiled(source, name, _folder)

    monkeypatch.setattr(_launch, "_compiled", compiled)


def there_and_back(compiled):
    """Return kernels that take NumPy arrays: they move to the device, and what was written comes back."""

    def found(source, name):
        kernel = compiled(source, name)

        def run(grid, block, arguments):
            import cupy

            moved = [cupy.asarray(each) if isinstance(each, np.ndarray) else each for each in arguments]
            kernel(grid, block, tuple(moved))
            for each, there in zip(arguments, moved, strict=True):
                if isinstance(each, np.ndarray) and each.flags.writeable:
                    each[...] = cupy.asnumpy(there)

        return run

    return found
