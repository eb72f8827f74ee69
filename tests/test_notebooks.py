"""The lecture notebooks: they run as they are, without a network, and are stored so that they diff well."""

from __future__ import annotations

import importlib.util
import json
import re
import socket
import subprocess
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EACH = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def _cells(path, kind):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return {cell["id"]: cell for cell in cells if cell["cell_type"] == kind}


def _source(cell):
    return "".join(cell["source"])


def test_there_are_two():
    assert [path.stem for path in NOTEBOOKS] == ["hpss_from_the_stft_up", "nmf_from_the_stft_up"]


@EACH
def test_notebooks_run_without_a_network(path, monkeypatch, capsys):
    def refuse(*arguments, **settings):
        raise AssertionError("a notebook opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    plt.switch_backend("agg")
    names: dict[str, object] = {"__name__": "__main__"}
    for ident, cell in _cells(path, "code").items():
        exec(compile(_source(cell), f"{path.name}, {ident}", "exec"), names)
        # The page on the site describes a picture to those who do not see it.
        assert bool(plt.get_fignums()) == ("alt" in cell["metadata"]), ident
        plt.close("all")
    assert " dB" in capsys.readouterr().out


@EACH
def test_notebooks_are_stored_without_outputs_in_one_form(path):
    text = path.read_text(encoding="utf-8")
    notebook = json.loads(text)
    # What Jupyter writes when outputs are cleared.
    assert text == json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    cells = notebook["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    for cell in cells:
        assert re.fullmatch(r"[a-z0-9-]{1,64}", cell["id"])
        assert cell["cell_type"] == "markdown" or (cell["outputs"], cell["execution_count"]) == ([], None)


@EACH
def test_every_exercise_has_a_solution_that_checks_itself(path):
    exercises = [
        ident for ident, cell in _cells(path, "markdown").items() if _source(cell).startswith("**Exercise")
    ]
    solutions = {ident: cell for ident, cell in _cells(path, "code").items() if ident.endswith("-solution")}
    assert [f"{ident}-solution" for ident in exercises] == list(solutions)
    assert len(exercises) >= 5
    for number, cell in enumerate(solutions.values(), start=1):
        assert _source(cell).startswith(f"# @title Solution {number}\n")
        assert "\nassert " in _source(cell) or "\n    assert " in _source(cell)
        assert cell["metadata"] == {
            "cellView": "form",  # Colab folds it
            "jupyter": {"source_hidden": True},  # and Jupyter
            "tags": ["solution"],
        }


@EACH
def test_the_first_cell_says_how_to_install_what_is_missing(path, tmp_path, monkeypatch):
    ident, cell = next(iter(_cells(path, "code").items()))
    assert ident == "install"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="no wheel of it beside"):
        exec(_source(cell), {})
    commands = []
    monkeypatch.setattr(subprocess, "run", lambda command, **settings: commands.append(command))
    Path("dspsep-0.1.0-py3-none-any.whl").touch()
    exec(_source(cell), {})
    assert commands[0][1:] == ["-m", "pip", "install", "--quiet", "dspsep-0.1.0-py3-none-any.whl"]
