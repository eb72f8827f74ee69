"""How kernels are compiled and chosen: cache, flags, the environment variable, and life without numba."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from dspsep import InputError, kernels
from dspsep.kernels import generic, kernels_for

ROOT = Path(__file__).resolve().parents[2]
HPSS = """
    import numpy as np, dspsep, sys
    x = np.random.default_rng(0).standard_normal((2, 3000)).astype("float32")
    sources = dspsep.HPSS(stft=dspsep.STFT(128)).separate(x, 8000)
    assert np.abs(sources.mixture() - x).max() <= 5e-6 * np.abs(x).max()
"""


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.core
def test_kernels_see_nan_and_infinity():
    jit = pytest.importorskip("dspsep.kernels.cpu._jit")

    @jit.kernel
    def classify(values, out):
        for i in range(values.size):
            out[i] = np.isnan(values[i]) + 2 * np.isinf(values[i])

    out = np.zeros(4)
    classify(np.array([0.0, np.nan, np.inf, -np.inf]), out)
    assert out.tolist() == [0, 1, 2, 2]


def test_kernels_are_made_of_functions_that_are_compiled_into_them():
    pytest.importorskip("numba")
    from numba.core.dispatcher import Dispatcher

    seen = 0
    for package in ("cpu", "simd"):
        for file in (ROOT / "dspsep" / "kernels" / package).glob("*.py"):
            module = importlib.import_module(f"dspsep.kernels.{package}.{file.stem}")
            for name, caller in vars(module).items():
                if not isinstance(caller, Dispatcher) or caller.py_func.__module__ != module.__name__:
                    continue
                for called in (
                    caller.py_func.__globals__.get(word) for word in caller.py_func.__code__.co_names
                ):
                    if isinstance(called, Dispatcher):
                        assert called.targetoptions.get("forceinline"), f"{name} calls {called.__name__}"
                        seen += 1
    assert seen > 50


def test_who_compiles_and_who_loads_give_the_same_bytes(tmp_path):
    pytest.importorskip("numba")
    code = """
        import numpy as np
        from dspsep.kernels import kernels_for
        for seed in range(4):
            random = np.random.default_rng(seed).random
            V, W, H = (random(shape, np.float32) for shape in ((64, 513), (8, 513), (64, 8)))
            for beta in (1.0, 0.0):
                print(kernels_for(V).activation_terms(V, W, H, 1e-6, beta)[0].tobytes().hex())
    """
    first, second = (python(code, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2))
    assert list(tmp_path.rglob("*.nbc")), first.stderr
    assert first.stdout, first.stderr
    assert first.stdout == second.stdout


def test_kernels_release_the_gil_and_are_cached():
    jit = pytest.importorskip("dspsep.kernels.cpu._jit")
    from dspsep.kernels.cpu import medians

    @jit.kernel
    def nothing(values):
        values[0] = 0

    for compiled in (nothing, medians._slide):
        assert compiled.targetoptions["nogil"] is True
        assert compiled.targetoptions["fastmath"].isdisjoint({"fast", "nnan", "ninf"})
    assert type(medians._tile_over_time._cache).__name__ == "FunctionCache"


def test_where_nothing_can_be_cached_kernels_are_compiled_without(monkeypatch):
    jit = pytest.importorskip("dspsep.kernels.cpu._jit")
    numba = pytest.importorskip("numba")
    asked = []

    def njit(*, cache=False, **options):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function 'double': no locator available for file")
        return real(**options)

    real = numba.njit
    monkeypatch.setattr(numba, "njit", njit)

    @jit.kernel
    def double(values):
        for i in range(values.size):
            values[i] *= 2

    values = np.ones(3)
    double(values)
    assert values.tolist() == [2, 2, 2]
    assert asked == [True, False]


def test_where_no_folder_can_be_written_kernels_run_uncached(tmp_path):
    pytest.importorskip("numba")
    shutil.copytree(ROOT / "dspsep", tmp_path / "dspsep", ignore=shutil.ignore_patterns("__pycache__"))
    # Files where folders would have to be: even the superuser, who may write anywhere, cannot cache there.
    for level in ("cpu", "simd"):
        (tmp_path / "dspsep" / "kernels" / level / "__pycache__").write_text("")
    (tmp_path / "home").write_text("")
    home = str(tmp_path / "home")
    code = textwrap.dedent(HPSS) + textwrap.dedent("""
        assert dspsep.__file__.startswith(sys.argv[1])
        from dspsep.kernels import cpu, simd
        assert type(cpu.medians._tile_over_time._cache).__name__ == "NullCache"
        assert type(simd._selection._compiled(31, 16, "float32")._cache).__name__ == "NullCache"
    """)
    environment = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "PYTHONPATH")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path)],
        cwd=tmp_path, env={**environment, "HOME": home, "XDG_CACHE_HOME": home, "DSPSEP_KERNELS": "simd"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.core
def test_a_wrong_choice_of_kernels_is_refused():
    done = python("import os; os.environ['DSPSEP_KERNELS'] = 'fastest'\n" + textwrap.dedent(HPSS))
    assert done.returncode == 1
    assert "DSPSEP_KERNELS must be 'auto', 'simd', 'cpu' or 'generic'; got 'fastest'." in done.stderr


def test_the_variable_chooses(monkeypatch):
    cpu, simd = (pytest.importorskip(f"dspsep.kernels.{level}") for level in ("cpu", "simd"))
    for setting, expected in (
        ("", simd), ("auto", simd), ("simd", simd), ("cpu", cpu), ("generic", generic),
    ):  # fmt: skip
        monkeypatch.setenv("DSPSEP_KERNELS", setting)
        assert kernels_for(np.ones(1)) is expected
    monkeypatch.delenv("DSPSEP_KERNELS")
    assert kernels_for(np.ones(1)) is simd
    monkeypatch.setenv("DSPSEP_KERNELS", "gpu")
    with pytest.raises(InputError, match=r"^DSPSEP_KERNELS must be"):
        kernels_for(np.ones(1))


def test_generic_kernels_do_without_numba():
    done = python(HPSS + "    assert 'numba' not in sys.modules", DSPSEP_KERNELS="generic")
    assert done.returncode == 0, done.stderr


# `find_spec` of a module that is not there is None; of one whose finder raises, that error.
BLOCKER = """
    import importlib.util, sys
    class Blocker:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == "numba":
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    sys.meta_path.insert(0, Blocker())
    real = importlib.util.find_spec
    importlib.util.find_spec = lambda name, package=None: None if name == "numba" else real(name, package)
"""


def test_without_numba_hpss_works():
    done = python(BLOCKER + HPSS + "    assert 'numba' not in sys.modules", DSPSEP_KERNELS="")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("level", ["cpu", "simd"])
def test_without_numba_compiled_kernels_cannot_be_asked_for(level):
    done = python(BLOCKER + HPSS, DSPSEP_KERNELS=level)
    assert done.returncode == 1
    assert f"DSPSEP_KERNELS must be 'generic' where numba is not installed; got '{level}'." in done.stderr


def test_where_vectors_cannot_be_compiled_loops_take_over():
    pytest.importorskip("numba")
    # As with a numba that has not what the vectors rest on.
    missing = """
    import sys
    sys.modules["dspsep.kernels.simd._vectors"] = None
    from dspsep.kernels import level_for
    """
    done = python(missing + HPSS + "    assert level_for() == 'cpu'\n")
    assert done.returncode == 0, done.stderr


def test_where_vectors_compute_nonsense_loops_take_over(monkeypatch):
    vectors = pytest.importorskip("dspsep.kernels.simd._vectors")
    monkeypatch.setattr(vectors, "works", lambda: False)
    assert kernels._level.__wrapped__("auto") == "cpu"


def test_compiled_code_is_made_again_when_any_kernel_changes(tmp_path):
    pytest.importorskip("numba")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "dspsep", tmp_path / "dspsep", ignore=ignored)
    code = """
        import numpy as np, sys, dspsep
        assert dspsep.__file__.startswith(sys.argv[1])
        from dspsep.kernels.simd import transforms
        spectra = transforms.stft(np.ones((1, 64), np.float32), np.ones(64, np.float32), 32, 3)
        print(spectra.real[0, 1, 0], len(transforms._forward_frames.stats.cache_hits))
    """

    def run():
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], cwd=tmp_path,
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")},
            capture_output=True, text=True, timeout=300, check=True,
        )  # fmt: skip
        return done.stdout.split()

    assert run() == ["64.0", "0"]
    assert run() == ["64.0", "1"]
    # The same size and the same time, in a file of which the kernel only uses a function.
    other = tmp_path / "dspsep" / "kernels" / "simd" / "_fft.py"
    times = other.stat().st_atime_ns, other.stat().st_mtime_ns
    text = other.read_text()
    assert "store(spectrum, 0, ar + ai)" in text
    other.write_text(text.replace("store(spectrum, 0, ar + ai)", "store(spectrum, 0, ar - ai)"))
    os.utime(other, ns=times)
    assert run() == ["0.0", "0"]
