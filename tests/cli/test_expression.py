"""Separators as they are typed: what is read, and what is refused without being run."""

from __future__ import annotations

import functools
import json
import time
from pathlib import Path

import pytest

import dspsep
from dspsep import (
    HPSS,
    KAM,
    NMF,
    STFT,
    Ensemble,
    Horizontal,
    InputError,
    Pipeline,
    Regroup,
    Vertical,
)
from dspsep._expression import read
from dspsep.cli import main
from dspsep.cli._settings import chosen

READ = {
    "HPSS": HPSS(),
    " hpss(margin=2)\n": HPSS(margin=2),
    "HPSS(margin=(2, 3), mask=hard)": HPSS(margin=(2, 3), mask="hard"),
    "HPSS(stft=STFT(512, window='blackman'))": HPSS(stft=STFT(512, window="blackman")),
    "HPSS >> {percussive: NMF(n_components=3)}": HPSS() >> {"percussive": NMF(n_components=3)},
    "HPSS(margin=2) >> {harmonic: repet-sim}": None,
    "HPSS(margin=2) >> Regroup(rest=[harmonic, residual])": HPSS(margin=2)
    >> Regroup(rest=["harmonic", "residual"]),
    "HPSS >> {percussive: HPSS >> {harmonic: HPSS}} >> Regroup({'a b': ['percussive/percussive']})": HPSS()
    >> {"percussive": HPSS() >> {"harmonic": HPSS()}}
    >> Regroup({"a b": ["percussive/percussive"]}),
    "Ensemble([HPSS, HPSS(stft=STFT(512))], weights=[2, 1], method='log-opinion')": Ensemble(
        [HPSS(), HPSS(stft=STFT(512))], weights=[2, 1], method="log-opinion"
    ),
    "HPSS\n    >> {percussive: HPSS(margin=2)}  # the rest of it\n    >> Regroup(a=[harmonic])\n": HPSS()
    >> {"percussive": HPSS(margin=2)}
    >> Regroup(a=["harmonic"]),
    "Pipeline([HPSS, {harmonic: HPSS}])": Pipeline([HPSS(), {"harmonic": HPSS()}]),
    "KAM(sources={notes: Horizontal(seconds=.1), clicks: [Vertical(bins=9)]})": KAM(
        sources={"notes": Horizontal(seconds=0.1), "clicks": [Vertical(bins=9)]}
    ),
}


@pytest.mark.parametrize("text", [text for text, expected in READ.items() if expected is not None])
def test_what_is_typed_is_read_and_so_is_what_prints(text):
    separator = read(text, "--pipeline")
    assert separator == READ[text]
    assert read(repr(separator), "--pipeline") == separator


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "--pipeline must be a separator, typed as in Python"),
        ("HPSS(", "'(' was never closed at character 5"),
        ("HPSS; HPSS", "--pipeline must be a separator, typed as in Python"),
        ("HPSS >> {harmonic: repet-sim}", "--pipeline must be free of operators but >>; got 'repet - sim'"),
        ("percussive", "--pipeline must be a separator, typed as in Python; got a str"),
        ("HPPS(margin=2)", "--pipeline must be of what dspsep has: HPSS, CascadedHPSS"),
        ("HPSS(margn=2)", "unexpected keyword argument 'margn'"),
        ("HPSS(2)", "--pipeline must be of settings that HPSS has; got 'HPSS(2)'"),
        ("HPSS(margin=0)", "margin must be"),
        ("HPSS >> {drums: HPSS}", "a source to split must be one of harmonic, percussive; got 'drums'"),
        ("HPSS >> HPSS", "step 2 must be a mapping"),
        ("{percussive: HPSS}", "--pipeline must be a separator, typed as in Python; got a dict"),
        ("[HPSS] >> {percussive: HPSS}", "--pipeline must be a separator in front of >>; got '[HPSS]'"),
        ("Regroup(a=[b])", "--pipeline must be a separator, typed as in Python; got a Regroup"),
        ("STFT", "got a STFT"),
        ("HPSS >> {percussive: HPSS, percussive: NMF}", "without a name twice in one mapping"),
        ("HPSS(margin=1, margin=2)", "--pipeline must be without a name twice in one call; got 'margin'"),
        ("HPSS >> {[a]: HPSS}", "--pipeline must be of mappings from names; got '{[a]: …}'"),
        ("HPSS >> {{a: b}: HPSS}", "--pipeline must be of mappings from names"),
        ("HPSS\n>> {a: HPSS\n", " of line 3"),
        ("HPSS >> {**percussive}", "--pipeline must be free of **"),
        ("HPSS(*[1])", "--pipeline must be free of * and **"),
        ("HPSS(**{margin: 2})", "--pipeline must be free of * and **"),
        ("HPSS(margin=-'a')", "--pipeline must be made of names, numbers and strings"),
        ("HPSS(margin=~1)", "--pipeline must be made of names, numbers and strings"),
        ("HPSS(margin=1j)", "--pipeline must be made of numbers and strings; got 1j"),
        ("HPSS(margin=...)", "--pipeline must be made of numbers and strings; got Ellipsis"),
        ("HPSS(margin=9**9**9**9)", "free of operators but >>"),
        ("HPSS(margin='a' 'b' * 10**9)", "free of operators but >>"),
        ("HPSS().separate", "made of names, numbers, strings, lists, mappings, calls and >> only"),
        ("HPSS()()", "must be of what dspsep has"),
        ("HPSS().to_json()", "must be of what dspsep has"),
        ("__import__('os').system('touch x')", "must be of what dspsep has"),
        ("print(1)", "must be of what dspsep has"),
        ("eval('1')", "must be of what dspsep has"),
        ("load_model('x.npz')", "must be of what dspsep has"),
        ("(lambda: HPSS)()", "must be of what dspsep has"),
        ("[HPSS for x in y]", "made of names"),
        ("(x := HPSS)", "made of names"),
        ("f'{HPSS}'", "made of names"),
        ("HPSS if 1 else NMF", "made of names"),
        ("HPSS[0]", "made of names"),
        ("await HPSS", "made of names"),
        ("\0", "--pipeline must be a separator, typed as in Python"),
        ("-" * 20_000 + "1", "--pipeline must be a separator, typed as in Python"),
        ("HPSS" + ">>a" * 20_000, "--pipeline must be a separator, typed as in Python"),
        ("[" * 20_000, "--pipeline must be a separator, typed as in Python"),
        (" " * 200_000, "--pipeline must be of at most 100000 characters; got 200000"),
    ],
)
def test_nothing_else_is(text, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        read(text, "--pipeline")
    assert said in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        f"HPSS(mask={'f' * 90_000})",
        f"HPSS(mask=0x{'f' * 90_000})",
        f"HPSS({'f' * 90_000}=1)",
        f"{'f' * 90_000}(1)",
        f"HPSS >> {{{'f' * 90_000}: HPSS}}",
    ],
)
def test_errors_do_not_repeat_all_that_was_given(text):
    with pytest.raises(InputError) as caught:
        read(text, "--pipeline")
    assert len(str(caught.value)) < 1000


def test_many_names_are_no_wait():
    # Each compared with each, these took seconds.
    before = time.process_time()
    with pytest.raises(InputError):
        read(f"HPSS >> {{{','.join(f'k{i}:a' for i in range(12_000))}}}", "--pipeline")
    assert time.process_time() - before < 1


@pytest.mark.parametrize(("inner", "depth"), [("HPSS() >> {{harmonic: {}}}", 63), ("Ensemble([{}])", 31)])
def test_what_can_be_read_can_be_used(inner, depth):
    # Beyond, what was made could not be printed within Python's limit of recursion.
    text = functools.reduce(lambda text, _: inner.format(text), range(depth), "HPSS()")
    separator = read(text, "--pipeline")
    assert dspsep.from_json(separator.to_json()) == separator
    assert repr(separator)
    assert str(separator)
    for _ in range(2):
        text = inner.format(text)
    with pytest.raises(InputError, match=r"^--pipeline must be of brackets nested at most 64 deep"):
        read(text, "--pipeline")


def test_negative_and_infinite_numbers():
    with pytest.raises(InputError, match=r"margin must be .*; got inf"):
        read("HPSS(margin=inf)", "x")
    with pytest.raises(InputError, match=r"n_components must be .*; got -3"):
        read("NMF(n_components=-3)", "x")


@pytest.fixture
def tone(tmp_path):
    dspsep.save(tmp_path / "tone.wav", dspsep.data.scenes.song(duration=0.5, sample_rate=8000).mixture, 8000)
    return str(tmp_path / "tone.wav")


def test_the_command_line_takes_it(tone, tmp_path):
    text = "HPSS(stft=STFT(256)) >> {percussive: HPSS(stft=STFT(64))} >> Regroup(rest=[harmonic])"
    separator = read(text, "x")
    for place, given in enumerate((text, repr(separator), separator.to_json(), f" {separator.to_json()}")):
        out = tmp_path / f"out {place}"
        assert main([tone, "--pipeline", given, "-o", str(out), "-q"]) == 0
        folder = out / "pipeline" / "tone"
        assert {path.stem for path in folder.iterdir()} == {
            "rest", "percussive-harmonic", "percussive-percussive", "provenance",
        }  # fmt: skip
        settings = json.loads((folder / "provenance.json").read_text())["settings"]
        assert read(settings, "x") == separator


def test_a_file_may_hold_either_and_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "typed.txt": "HPSS(margin=2)\n",
        "stored.json": HPSS(margin=2).to_json(),
        "HPSS(margin=3)": "HPSS(margin=2)",
        "{a}.json": HPSS(margin=2).to_json(),
    }.items():
        (tmp_path / name).write_text(text)
        assert chosen(None, [], name) == (name.rpartition(".")[0] or name, HPSS(margin=2))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            "nothing.json",
            "--pipeline must be a file with the JSON of a separator; got 'nothing.json': No such",
        ),
        ("nothing.json", "Or the separator itself: --pipeline 'HPSS(margin=2) >> {percussive"),
        ("x" * 5000, "--pipeline must be a file"),
        ("x\0(", "--pipeline must be a separator, typed as in Python"),
        ('{"type": "HPSS", "margin": }', "--pipeline must be JSON that dspsep wrote; got 'Expecting value"),
        ('{"type": "HPSS", "margn": 2}', "unexpected keyword argument 'margn'"),
        ('{"type": "HPSS", "margin": 0}', "margin must be"),
        ('{"type": "STFT"}', "--pipeline must be the JSON of a separator or a refiner; got a STFT"),
        ("{percussive: HPSS}", "--pipeline must be JSON that dspsep wrote"),
    ],
)
def test_errors_name_what_is_wrong(given, said):
    with pytest.raises(InputError) as caught:
        chosen(None, [], given)
    assert said in str(caught.value)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="a file without an end")
def test_a_file_that_does_not_end_is_no_wait():
    with pytest.raises(InputError, match=r"^--pipeline must be a file of at most 10000000 characters"):
        chosen(None, [], "/dev/zero")
