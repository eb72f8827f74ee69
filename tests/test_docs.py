"""What the documentation says is true: its code runs, and it names what there is."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import io
import re
import shlex
import sys
import tokenize
import types
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpydoc.validate import validate

import dspsep
from dspsep import _registry, cli
from dspsep.data import scenes
from dspsep.testing._clauses import CLAUSES

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "README.md",
    "docs/start.md",
    "docs/player.md",
    "docs/pipelines.md",
    "docs/streaming.md",
    "docs/batches.md",
    "docs/datasets.md",
    "docs/benchmarking.md",
    "docs/reports.md",
    "docs/papers.md",
    "docs/plots.md",
    "docs/metrics.md",
    "docs/oracles.md",
    "docs/refinement.md",
    "docs/refinement_phase.md",
    "docs/methods/score_informed_nmf.md",
    "CONTRIBUTING.md",
)
#: Pages on what the command line does not have.
WITHOUT_COMMANDS = (
    "CONTRIBUTING.md",
    "docs/datasets.md",
    "docs/player.md",
    "docs/methods/score_informed_nmf.md",
    "docs/plots.md",
    "docs/refinement.md",
    "docs/refinement_phase.md",
)

_BLOCK = re.compile(r"(?P<before>[^\n]*)\n```(?P<language>\w+)\n(?P<code>.*?)\n```", re.DOTALL)
#: What stands between a block that prints and a block of what it prints.
_PRINTED = "\n<!-- printed -->\n```text\n"


def _text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def _blocks(page: str, language: str) -> list[tuple[int, str]]:
    """Return the code blocks of a page and the line each begins on, but for those marked ``not run``."""
    text = _text(page)
    return [
        (text.count("\n", 0, match.start("code")), match["code"])
        for match in _BLOCK.finditer(text)
        if match["language"] == language and not match["before"].startswith("<!-- not run:")
    ]


def _printed(page: str) -> dict[int, str]:
    """Return what the page says that blocks print, by the line each block begins on."""
    text = _text(page)
    printed = {}
    for match in _BLOCK.finditer(text):
        if text.startswith(_PRINTED, match.end() + 1):
            start = match.end() + 1 + len(_PRINTED)
            printed[text.count("\n", 0, match.start("code"))] = text[start : text.index("```", start)]
    return printed


def _promises(code: str) -> dict[int, str]:
    """Return the comments that stand behind code, by line."""
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    return {
        token.start[0]: token.string.removeprefix("#").strip()
        for token in tokens
        if token.type == tokenize.COMMENT and token.line[: token.start[1]].strip()
    }


def _run(code: str, line: int, page: str, names: dict[str, object]) -> int:
    """Run a block in `names`; a comment behind an expression must be its value. Return how many were."""
    promises = _promises(code)
    checked = 0
    for statement in ast.parse(code).body:
        where = f"{page}, line {line + statement.lineno}"
        promised = promises.get(statement.end_lineno)
        ast.increment_lineno(statement, line)
        if isinstance(statement, ast.Expr) and promised is not None and _is_literal(promised):
            value = eval(compile(ast.Expression(statement.value), where, "eval"), names)
            assert repr(value) == promised, where
            checked += 1
        else:
            exec(compile(ast.Module([statement], []), where, "exec"), names)
    return checked


def _is_literal(text: str) -> bool:
    """Tell a value, as `repr` gives it, from a remark."""
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return re.fullmatch(r"[A-Z]\w+\(.*\)", text) is not None
    return True


@pytest.fixture
def with_a_song(tmp_path, monkeypatch):
    """Work in a folder that has a ``song.mp3``, another in ``music``, and stems of two short tracks."""
    monkeypatch.chdir(tmp_path)
    scene = scenes.song(duration=4.0)
    Path("music").mkdir()
    for path in ("song.mp3", "music/song.mp3"):
        dspsep.save(path, scene.mixture / 2, scene.sample_rate)
    for seed in (0, 1):
        short = scenes.song(duration=2.0, sample_rate=8000, seed=seed)
        drums = short.sources["kick"] + short.sources["snare"]
        stems = {"drums": drums, "rest": short.mixture - drums}
        for folder, leak in (("references", 0.0), ("estimates", 0.2)):
            Path(folder, f"song {seed}").mkdir(parents=True)
            for name, stem in stems.items():
                path = Path(folder, f"song {seed}", f"{name}.wav")
                dspsep.save(path, (stem + leak * short.mixture) / 2, short.sample_rate)


def _grow_datasets():
    """Put miniatures of the data sets on that page into the working folder."""
    songs = ["train/Actions - One Minute Smile", "test/Somebody - One", "test/Somebody - Two"]
    stems = ["drums", "bass", "other", "vocals"]
    dsd100 = ["Dev/051 - Somebody - One", "Test/001 - Somebody - Two"]
    files = [f"musdb18hq/{song}/{name}.wav" for song in songs for name in ["mixture", *stems]]
    files += [f"DSD100/Sources/{song}/{name}.wav" for song in dsd100 for name in stems]
    files += [f"DSD100/Mixtures/{song}/mixture.wav" for song in dsd100]
    files += [f"MIR-1K/Wavfile/amy_1_0{number}.wav" for number in (1, 2)]
    files += [f"iKala/Wavfile/10161_{part}.wav" for part in ("chorus", "verse")]
    for file in files:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        dspsep.save(file, np.zeros((2, 1600)), 16000)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("with_a_song")
def test_python_blocks_run_and_give_what_they_say(page, monkeypatch, capsys):
    # Dataclasses and pickle look for the module that a class says it comes from.
    module = types.ModuleType("documented")
    monkeypatch.setitem(sys.modules, "documented", module)
    if page == "docs/datasets.md":
        _grow_datasets()
    blocks, printed = _blocks(page, "python"), _printed(page)
    assert len(printed) == _text(page).count("<!-- printed -->")
    assert set(printed) <= {line for line, _ in blocks}
    checked = 0
    for line, code in blocks:
        checked += _run(code, line, page, module.__dict__)
        assert capsys.readouterr().out == printed.get(line, ""), f"{page}, line {line + 1}"
    assert blocks or page == "docs/batches.md"
    assert checked or not blocks, "no value was compared"


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("with_a_song")
def test_commands_work(page, capsys):
    lines = [line for _, code in _blocks(page, "sh") for line in code.splitlines()]
    commands = [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("dspsep ")]
    assert commands or page in WITHOUT_COMMANDS
    for command in commands:
        assert cli.main(command) == 0, command
        assert capsys.readouterr().out, command


@pytest.mark.parametrize("page", ["README.md", "docs/methods/index.md"])
def test_every_method_is_in_the_table(page):
    rows = [line for line in (ROOT / page).read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    for name in _registry.METHODS:
        assert any(re.search(rf"[`\[]{name}[`\]]", row.split("|")[1]) for row in rows), name


def test_the_contract_page_has_every_clause_and_every_warning():
    page = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
    for clause in CLAUSES:
        assert f"\n| {clause} |" in page, clause
    source = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "dspsep").rglob("*.py"))
    codes = set(re.findall(r'^\s*(?:warn\()?"(W_[A-Z_]+)",', source, re.MULTILINE))
    assert codes >= {"W_TOO_SHORT", "W_WINDOW"}
    for code in codes:
        assert f"\n| `{code}` |" in page, code


def _reference():
    spec = importlib.util.spec_from_file_location("_reference", ROOT / "docs" / "_reference.py")
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    return reference


REFERENCE = _reference()


def test_the_reference_has_every_public_name():
    listed = {line.strip() for line in REFERENCE.page().splitlines() if line.startswith("   ")}
    modules = {module.split(".")[1] for module in REFERENCE.MODULES} | {"separators"}
    for name in dspsep.__all__:
        assert name in listed | modules | {"__version__"}, name
    for module in (dspsep.metrics, dspsep.oracle, scenes, dspsep.testing, dspsep.display):
        assert set(module.__all__) <= listed, module.__name__


# A summary can say all there is to say, and not everything has a neighbour.
_OPTIONAL = {"ES01", "SA01"}
# Classes to derive from and errors are shown where they are used; what a method of one sentence takes and
# gives is in that sentence.
_OPTIONAL_IN_CLASSES = {*_OPTIONAL, "EX01"}
_OPTIONAL_IN_SENTENCES = {*_OPTIONAL_IN_CLASSES, "PR01", "RT01", "YD01"}


def _documented():
    owners = dict.fromkeys(REFERENCE.public_names(), "dspsep")
    for module in REFERENCE.MODULES:
        owners |= dict.fromkeys(REFERENCE.module_names(module), module)
    for name, module in owners.items():
        found = getattr(importlib.import_module(module), name)
        if not callable(found):
            continue  # a constant
        if not isinstance(found, type):
            yield f"{module}.{name}", _OPTIONAL
            continue
        yield f"{module}.{name}", _OPTIONAL_IN_CLASSES
        for member, value in vars(found).items():
            if not member.startswith("_") and (callable(value) or isinstance(value, (property, classmethod))):
                sentence = "\n\n" not in (inspect.getdoc(value) or "")
                yield (
                    f"{module}.{name}.{member}",
                    _OPTIONAL_IN_SENTENCES if sentence else _OPTIONAL_IN_CLASSES,
                )


@pytest.mark.parametrize(("name", "optional"), [pytest.param(*case, id=case[0]) for case in _documented()])
def test_docstrings_of_public_names_are_complete(name, optional):
    errors = [f"{code}: {text}" for code, text in validate(name)["errors"] if code not in optional]
    assert not errors


#: Classes to derive from. CONTRIBUTING.md has a separator from beginning to end, which runs.
_TO_DERIVE_FROM = {"dspsep.Refiner", "dspsep.Separator", "dspsep.SpectralSeparator"}


def test_every_public_name_has_an_example_on_its_page():
    without = []
    for name, _ in _documented():
        if name.rpartition(".")[0] not in {"dspsep", *REFERENCE.MODULES}:
            continue  # a member, which stands on the page of its class
        module, _, short = name.rpartition(".")
        found = getattr(importlib.import_module(module), short)
        members = vars(found).values() if isinstance(found, type) else ()
        texts = (inspect.getdoc(found), *(inspect.getdoc(member) for member in members if callable(member)))
        if not any(re.search(r">>> (?!.*# doctest: \+SKIP)", text or "") for text in texts):
            without.append(name)
    assert set(without) == _TO_DERIVE_FROM


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("plot_*.py")), ids=lambda path: path.stem)
def test_examples_run(script, capsys):
    plt.switch_backend("agg")
    exec(compile(script.read_text(encoding="utf-8"), str(script), "exec"), {"__name__": "__main__"})
    assert plt.get_fignums()
    plt.close("all")
    assert capsys.readouterr().out


def test_every_method_has_an_example():
    used = set()
    for script in (ROOT / "examples").glob("plot_*.py"):
        tree = ast.parse(script.read_text(encoding="utf-8"))
        # It is made, and not only imported or written about.
        used |= {
            node.func.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
    known = {"ScoreInformedNMF", "SemiSupervisedNMF", "SupervisedNMF"}
    assert not {*_registry.METHODS, *known} - used


def test_versions_agree():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {dspsep.__version__}\n" in citation
    assert dspsep.__version__ in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
