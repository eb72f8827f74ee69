"""GPU kernels without a GPU: on NumPy arrays, compiled for the host."""

from __future__ import annotations

import pytest

from dspsep.kernels.gpu import _launch
from tests.kernels.gpu import cuda_on_host, nvrtc


@pytest.fixture(scope="session")
def _folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cuda_on_host")


@pytest.fixture
def on_host(monkeypatch, _folder):
    """Have kernels run on the host; where NVIDIA's compiler is installed it must take them, too."""
    if cuda_on_host.COMPILER is None:
        pytest.skip("needs a C++ compiler, which stands in for a GPU")

    def compiled(source, name):
        nvrtc.check(source)
        return cuda_on_host.compiled(source, name, _folder)

    monkeypatch.setattr(_launch, "_compiled", compiled)
