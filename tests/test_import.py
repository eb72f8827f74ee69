"""Importing is light, works anywhere, and offers exactly what it says."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dspsep
from dspsep import _registry

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {
    "numba", "scipy", "sklearn", "librosa", "matplotlib", "pandas", "soundfile", "soxr", "joblib",
    "threadpoolctl",
    "tqdm", "array_api_compat", "cupy", "av", "dask", "concurrent.futures.process", "multiprocessing",
}  # fmt: skip


def python(*arguments, cwd=ROOT, environment=None):
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.core
def test_importing_loads_nothing_heavy():
    done = python("-c", "import sys, dspsep, json; print(json.dumps(sorted(sys.modules)))")
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout))
    assert "dspsep._registry" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.core
@pytest.mark.parametrize("name", ["HPSS", "STFT", "Pipeline", "Sources", "metrics", "testing", "separators"])
def test_names_load_no_optional_module(name):
    done = python("-c", f"import sys, dspsep, json; dspsep.{name}; print(json.dumps(sorted(sys.modules)))")
    assert done.returncode == 0, done.stderr
    assert (
        set(json.loads(done.stdout)) & {"numba", "sklearn", "librosa", "matplotlib", "pandas", "soundfile"}
        == set()
    )


@pytest.mark.core
def test_all_is_the_registry():
    assert len(dspsep.__all__) == len(set(dspsep.__all__))
    assert set(dspsep.__all__) == {*_registry.PUBLIC, *_registry.MODULES, "__version__"}
    assert dir(dspsep) == sorted(dspsep.__all__)


@pytest.mark.core
@pytest.mark.parametrize("name", dspsep.__all__)
def test_every_public_name_is_there(name):
    value = getattr(dspsep, name)
    assert value is not None
    if name in _registry.PUBLIC:
        assert value.__name__ == name
        assert f"{value.__module__}:{value.__qualname__}" == _registry.PUBLIC[name]
        assert value.__doc__


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"no attribute 'NMG'"):
        _ = dspsep.NMG
    assert not hasattr(dspsep, "_nothing")


@pytest.mark.core
def test_type_checkers_see_the_same_names_from_the_same_places():
    tree = ast.parse(Path(dspsep.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    seen = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname is None
            seen[alias.name] = f"{node.module}:{alias.name}"
    assert {*seen, "__version__"} == set(dspsep.__all__)
    assert {name: target for name, target in seen.items() if name in _registry.PUBLIC} == _registry.PUBLIC
    assert all(seen[name] == f"dspsep:{name}" for name in _registry.MODULES)


@pytest.mark.core
def test_methods_say_the_truth_before_they_are_imported():
    for name, method in _registry.METHODS.items():
        kind = _registry.load(method.target)
        assert kind.__name__ == name
        assert _registry.is_registered(kind)
        assert kind().source_names == method.source_names
        assert (kind.min_channels, kind.max_channels) == (method.min_channels, method.max_channels)
        assert f".{method.family}." in method.target


@pytest.mark.core
def test_methods_are_found_by_any_spelling():
    for spelling in ("HPSS", "hpss", "H-P_S-S"):
        assert _registry.find_method(spelling) == "HPSS"
    with pytest.raises(dspsep.InputError, match=r"^method must be one of hpss.*; got 'nmg'"):
        _registry.find_method("nmg")


def test_a_class_of_the_same_name_is_not_the_registered_one():
    impostor = type("HPSS", (), {})
    assert not _registry.is_registered(impostor)


SEPARATE = """
import sys, dspsep, numpy as np
assert dspsep.__file__.startswith(sys.argv[1]), dspsep.__file__
x = np.ones((2, 2000), "float32")
assert np.allclose(dspsep.HPSS(stft=dspsep.STFT(128)).separate(x, 8000).mixture(), x)
"""


CANNOT_WRITE = """
try:
    open("probe", "w")
except PermissionError:
    pass
else:
    raise SystemExit("the folder can be written to")
"""


def package_copy(folder):
    shutil.copytree(ROOT / "dspsep", folder / "dspsep", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.mark.parametrize("home", ["unset", "missing", "a file"])
def test_works_without_a_home(home, tmp_path):
    package_copy(tmp_path)
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("HOME", "XDG_", "NUMBA_", "PYTHON"))}
    if home == "missing":
        keep["HOME"] = str(tmp_path / "missing" / "home")
    elif home == "a file":
        (tmp_path / "home").write_text("")
        keep["HOME"] = str(tmp_path / "home")
    done = python("-c", SEPARATE, str(tmp_path), cwd=tmp_path, environment=keep)
    assert done.returncode == 0, done.stderr


def without_superpowers():
    """Return what to put before a command so that the modes of files hold for the superuser, too."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("the superuser may write anywhere, and setpriv is not here")
    return ["setpriv", "--bounding-set", "-dac_override", "--inh-caps", "-dac_override"]


@pytest.mark.skipif(os.name != "posix", reason="the modes of POSIX")
def test_works_where_nothing_can_be_written(tmp_path):
    package_copy(tmp_path)
    folders = [tmp_path, *[path for path in tmp_path.rglob("*") if path.is_dir()]]
    for folder in folders:
        folder.chmod(0o555)
    try:
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "NUMBA_", "PYTHON"))}
        command = [*without_superpowers(), sys.executable, "-c", f"{CANNOT_WRITE}{SEPARATE}", str(tmp_path)]
        environment = {**keep, "HOME": str(tmp_path)}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert done.returncode == 0, done.stderr


@pytest.mark.core
def test_the_first_example_works_in_a_fresh_process():
    # Nothing else has imported `dspsep.data.scenes` there.
    code = (
        "import dspsep; s = dspsep.data.scenes.song(duration=0.1); dspsep.data.files.audio_info; dspsep.masks"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
