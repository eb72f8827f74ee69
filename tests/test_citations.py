"""What is cited and described: every method has its literature, and BibTeX can be read."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dspsep
from dspsep import (
    HPSS,
    KAM,
    NMF,
    RPCA,
    STFT,
    CascadedHPSS,
    Regroup,
    TwoStageHPSS,
    _references,
    _registry,
    citations,
)
from dspsep._references import latex, parsed, references_of, summary_of
from dspsep.bench import BenchmarkResults
from dspsep.errors import InputError
from dspsep.metrics import BSSEval, Protocol
from dspsep.metrics.protocols import named_protocols
from dspsep.separator import Refiner, Separator
from tests.bench.folders import measured, record, scored, write

ROOT = Path(__file__).resolve().parents[1]

#: What only puts methods together, or sources, and is nobody's paper.
COMPOSITIONS = {"Pipeline", "Split", "Regroup", "Ensemble"}


def _methods() -> list[type]:
    kinds = [_registry.type_named(name) for name in _registry._TYPES]
    methods = [kind for kind in kinds if issubclass(kind, (Separator, Refiner))]
    protocols = list(dict.fromkeys(type(protocol) for protocol in named_protocols().values()))
    return [kind for kind in [*methods, *protocols] if kind.__name__ not in COMPOSITIONS]


METHODS = _methods()


def bibtex_entries(text: str) -> dict[str, tuple[str, dict[str, str]]]:
    """Read BibTeX strictly: entries of fields whose braces match; anything else fails."""
    entries: dict[str, tuple[str, dict[str, str]]] = {}
    at = 0
    while (begin := re.compile(r"\s*@(\w+)\{([a-z0-9]+),").match(text, at)) is not None:
        fields: dict[str, str] = {}
        at = begin.end()
        while (field := re.compile(r"\s*(\w+) = \{").match(text, at)) is not None:
            depth, end = 1, field.end()
            while depth:
                depth += {"{": 1, "}": -1}.get(text[end], 0) if text[end - 1] != "\\" else 0
                end += 1
            assert field[1] not in fields
            fields[field[1]] = text[field.end() : end - 1]
            assert text[end] == ","
            at = end + 1
        closed = re.compile(r"\s*\}").match(text, at)
        assert closed is not None, text[at : at + 40]
        at = closed.end()
        assert begin[2] not in entries
        entries[begin[2]] = begin[1], fields
    assert not text[at:].strip(), text[at:]
    return entries


NEEDED = {
    "article": {"author", "title", "journal", "year"},
    "inproceedings": {"author", "title", "booktitle", "year"},
    "incollection": {"author", "title", "booktitle", "publisher", "year"},
    "phdthesis": {"author", "title", "school", "year"},
    "techreport": {"author", "title", "institution", "year"},
    "misc": {"author", "title"},
}


@pytest.mark.parametrize("kind", METHODS, ids=lambda kind: kind.__name__)
def test_every_method_has_literature_and_a_phrase(kind: type) -> None:
    references = references_of(kind)
    assert references, "a section References, in the form that dspsep/_references.py tells"
    assert 10 < len(summary_of(kind)) < 110
    entries = bibtex_entries(dspsep.cite(kind))
    assert len(entries) >= 1 + len(references)
    for key, (type_, fields) in entries.items():
        assert NEEDED[type_] <= fields.keys(), key
        assert key == "dspsep" or re.fullmatch(r"[a-z]+(19|20)\d\d[a-z0-9]+", key)
        assert all(ord(character) < 128 for value in fields.values() for character in value)
        assert not re.search(r"(?<!\\)[&%#_$]", fields["title"] + fields["author"])
    assert kind.__name__ in dspsep.describe(kind) or issubclass(kind, Protocol)


def test_no_entry_says_less_than_its_docstring() -> None:
    # What a pattern did not understand would be in the name of a journal, or nowhere.
    for kind in METHODS:
        for text, reference in zip(_references._paragraphs(kind), references_of(kind), strict=True):
            fields = dict(reference.fields)
            words = " ".join(text.split())
            for sign, name in (("pp. ", "pages"), (r"(doi:|DOI )10\.", "doi"), ("arXiv:", "eprint")):
                assert bool(re.search(sign, words)) == (name in fields), (words, fields)
            assert fields.get("doi", "") in words
            where = fields.get("journal") or fields.get("booktitle") or ""
            assert not re.search(r"\b(19|20)\d\d\b|pp\.|doi|DOI", where), (words, where)
            for _, last in reference.authors:
                assert last in words or last == "others"


def test_works_are_told_alike_everywhere() -> None:
    told: dict[str, str] = {}
    keys: dict[str, str] = {}
    for kind in [*METHODS, STFT]:
        for text, reference in zip(_references._paragraphs(kind), references_of(kind), strict=True):
            plain = " ".join(text.split())
            assert told.setdefault(reference.identity, plain) == plain, kind.__name__
            doi = dict(reference.fields).get("doi")
            if doi:
                assert keys.setdefault(doi.lower(), reference.identity) == reference.identity


@pytest.mark.parametrize(
    ("text", "kind", "fields"),
    [
        (
            'A. Bee, C.-D. Eff and G. De Hay, "On X", Acts of Y, Z 12(3), 1999, pp. 4–5. DOI 10.1/a_b',
            "article",
            {"journal": "Acts of Y, Z", "volume": "12", "number": "3", "pages": "4–5", "doi": "10.1/a_b"},
        ),
        ('A. Bee, "On X", Y E92-A(3), 2009.', "article", {"journal": "Y", "volume": "E92-A", "number": "3"}),
        ('A. Bee, "On X", Journal of Y 28, 2020, pp. 1-2.', "article",
         {"journal": "Journal of Y", "volume": "28", "pages": "1–2"}),
        ('A. Bee, "On X", Journal of Y 2014:26. doi:10.1/2', "article",
         {"journal": "Journal of Y", "number": "26", "doi": "10.1/2"}),
        ('A. Bee, "On X", Advances in Y 13, 2000, pp. 1-2.', "inproceedings",
         {"booktitle": "Advances in Y", "volume": "13", "pages": "1–2"}),
        ('A. Bee, "On X", 23rd Conference on Y (Z), 2012.', "inproceedings",
         {"booktitle": "23rd Conference on Y (Z)"}),
        ('A. Bee, "On X", in Y Z, Springer, 2007, pp. 1-2: the settings.', "incollection",
         {"booktitle": "Y Z", "publisher": "Springer", "pages": "1–2"}),
        ('A. Bee, "On X", dissertation, Y University, 2019, chapter 2.', "phdthesis",
         {"school": "Y University"}),
        ('A. Bee, "On X", Y Laboratories, TR2015-023, 2015.', "techreport",
         {"institution": "Y Laboratories", "number": "TR2015-023"}),
        ('A. Bee et al., "On X", 2010. arXiv:1009.5055', "misc",
         {"eprint": "1009.5055", "archiveprefix": "arXiv"}),
    ],
)  # fmt: skip
def test_forms_of_references(text: str, kind: str, fields: dict[str, str]) -> None:
    reference = parsed(text)
    assert (reference.kind, dict(reference.fields)) == (kind, fields)
    assert reference.authors[0] == ("A.", "Bee")
    assert reference.title == "On X"


def test_names_and_titles_in_bibtex() -> None:
    reference = parsed(
        'C.-D. Eff, É. de Müller-Łoś, J. Le Roux, "The N&M of 100% REPET_x: a β test", Y 1(2), 1999.'
    )
    assert reference.key() == "eff1999n"
    assert reference.key(2) == "eff1999nm"
    assert reference.short == "Eff et al., 1999"
    ((_, (_, fields)),) = bibtex_entries(reference.bibtex("k")).items()
    assert fields["author"] == r"Eff, C.-D. and de M{\"u}ller-{\L}o{\'s}, {\'E}. and Le Roux, J."
    assert fields["title"] == r"The {N\&M} of 100\% {REPET\_x:} a β test"
    assert latex("ÄöüßéèñçčřőåŁøı í") == (
        r"{\"A}{\"o}{\"u}{\ss}{\'e}{\`e}{\~n}{\c c}{\v c}{\v r}{\H o}{\aa}{\L}{\o}{\i} {\'\i}"
    )
    assert "\n  doi = {10.1162/NECO_a_00168}," in dspsep.cite("nmf")  # an address is no text
    assert latex("a{b}$&#_%^~\\") == r"a\{b\}\$\&\#\_\%\textasciicircum{}\textasciitilde{}\textbackslash{}"


@pytest.mark.parametrize("text", ["", "A. Bee", 'A. Bee, "On X", Y.', 'Bee, "On X", Y, 2000.'])
def test_what_is_no_reference_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="no "):
        parsed(text)


def test_pipelines_are_cited_with_all_that_is_in_them() -> None:
    inner = RPCA() >> {"foreground": TwoStageHPSS()}
    outer = HPSS() >> {"percussive": inner} >> Regroup(rest=["harmonic"])
    entries = bibtex_entries(dspsep.cite(outer))
    expected = {key for kind in (HPSS, RPCA, TwoStageHPSS) for key in citations.keyed([kind])}
    assert set(entries) == expected | {"dspsep"}
    assert next(iter(entries)) == "dspsep"
    assert list(bibtex_entries(dspsep.cite(outer, HPSS(margin=2.0), "rpca"))) == list(entries)  # none twice


def test_two_works_of_one_key_are_told_apart() -> None:
    picard = bibtex_entries(dspsep.cite("picard"))
    assert set(picard) == {"dspsep", "ablin2018faster", "ablin2018fasterica"}
    assert "Ablin et al., 2018a; Ablin et al., 2018b" in dspsep.describe("picard")


@pytest.mark.parametrize(
    ("subject", "key"),
    [
        ("hpss", "fitzgerald2010harmonic"), ("repet-sim", "rafii2012music"), ("IRM", "stoter2018signal"),
        ("SupervisedNMF", "smaragdis2007supervised"), ("bss_eval_v4", "vincent2006performance"),
        (BSSEval(), "vincent2006performance"), (KAM, "liutkus2014kernel"), (KAM(), "liutkus2014kernel"),
        ("cascadedhpss", "fitzgerald2010harmonic"),  # which is inside
    ],
)  # fmt: skip
def test_subjects(subject: object, key: str) -> None:
    assert key in bibtex_entries(dspsep.cite(subject))
    assert dspsep.describe(subject)


@pytest.mark.parametrize(
    "subject", ["nothing", 3, None, "Regroup.groups", "HPSSModel", "STFT", object(), ["HPSS"]]
)
def test_what_cannot_be_cited_is_refused(subject: object) -> None:
    for function in (dspsep.cite, dspsep.describe):
        with pytest.raises(InputError, match="subject must be"):
            function(subject)


def test_software_is_told_as_in_its_citation_file() -> None:
    ((key, (kind, fields)),) = bibtex_entries(dspsep.cite()).items()
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert (key, kind) == ("dspsep", "misc")
    assert f'\ntitle: "{fields["title"]}"\n' in citation
    assert f"\n  - name: {fields['author'].strip('{}')}\n" in citation
    assert fields["note"] == f"Version {dspsep.__version__}"


def test_descriptions_tell_what_was_changed_and_units() -> None:
    text = dspsep.describe(HPSS(margin=2.0, harmonic_seconds=0.3))
    assert text == (
        f"Sources were separated with dspsep {dspsep.__version__}. HPSS (harmonic-percussive separation by "
        "median filtering; FitzGerald, 2010; Driedger et al., 2014) had harmonic 0.3 s, margin 2 and "
        "otherwise default settings; frames of 2048 samples, 512 samples apart, hann window."
    )
    every = dspsep.describe(dspsep.NearestNeighborMedian(), dspsep.PROJET(opposite_phases=True), every=True)
    for words in ("cutoff 100 Hz", "distance 2 s", "margin 1 and 1", "30 angles", "500 iterations", "seed 0",
                  "opposite phases on"):  # fmt: skip
        assert words in every
    assert "default" not in every
    assert "8 components" in dspsep.describe(NMF(), every=True)
    assert "seed 3" in dspsep.describe(NMF(seed=3))


def test_what_is_kept_in_another_form_than_given_is_a_default_still() -> None:
    for name in _registry.METHODS:
        if name in ("CascadedHPSS", "TwoStageHPSS"):  # whose stages are not what HPSS has by default
            continue
        text = dspsep.describe(getattr(dspsep, name)())
        assert re.search(r" had (seed 0 and otherwise )?default settings", text), text


def test_kinds_of_tracks_are_told_in_english(tmp_path: Path) -> None:
    path = write(tmp_path, ["A"], ["one", "two"], [record("A", "one")])
    for channels, words in (((1, 1), "of one channel."), ((1, 2), "of one and two channels."),
                            ((3, 6), "of 3 and 6 channels.")):  # fmt: skip
        listing = json.loads((path / "benchmark.json").read_bytes())
        for track, number in zip(listing["tracks"], channels, strict=True):
            track["channels"] = number
        (path / "benchmark.json").write_text(json.dumps(listing))
        text = dspsep.describe(BenchmarkResults.load(path))
        assert words in text
        assert "Of 2 separations 1 is not done yet." in text


def test_descriptions_of_compositions() -> None:
    pipeline = HPSS() >> {"percussive": HPSS(margin=3.0) >> Regroup(a=["harmonic"])}
    text = dspsep.describe(pipeline >> Regroup(b=["harmonic"], c=["percussive"]))
    assert "a pipeline of 3 steps: (1) HPSS (" in text
    assert "(2) the source percussive split by a pipeline (HPSS (" in text
    assert "margin 3 and otherwise" in text
    assert "(3) sources summed in groups, b from harmonic and c from percussive" in text
    inner = dspsep.describe(CascadedHPSS())
    assert "first: HPSS (" in inner
    assert "second: HPSS (" in inner


def test_descriptions_in_latex_cite_what_is_in_the_bibliography() -> None:
    subjects = (dspsep.Picard(), HPSS() >> {"percussive": NMF()}, "irm", BSSEval())
    text = dspsep.describe(*subjects, for_latex=True)
    cited = {key for keys in re.findall(r"\\cite\{([^}]*)\}", text) for key in keys.split(",")}
    assert cited == set(bibtex_entries(dspsep.cite(*subjects)))
    assert not re.search(r"(?<!\\)[_%&#]", text)


def test_results(tmp_path: Path) -> None:
    folder = measured(tmp_path)
    results = BenchmarkResults.load(folder)
    entries = bibtex_entries(dspsep.cite(results))
    assert set(entries) == {
        "dspsep", "stoter2018signal", "fitzgerald2010harmonic", "driedger2014extending", "leroux2019sdr"
    }  # fmt: skip
    assert dspsep.cite(str(folder)) == dspsep.cite(folder) == dspsep.cite(results)
    text = dspsep.describe(results)
    for words in (
        "mixture (MixtureAsEstimate: an equal share", "it is the lower bound",
        "twice is a pipeline of 3 steps", "IRM (the ideal ratio mask",
        "was used as IRM(exponent=2.0); it is given the true sources",
        "They were applied to 2 tracks of 60 s in all, sampled at 44.1 kHz, of two channels.",
        "Estimates were scored by scale_invariant (window_seconds=whole, silence=sisec) "
        "(Le Roux et al., 2019), for the sources harmonic and percussive",
        "Seeds were derived from 0", "Of 8 separations 2 are not done yet.",
    ):  # fmt: skip
        assert words in text


def test_results_of_other_versions_and_unknown_methods(tmp_path: Path) -> None:
    methods = [
        {
            "name": "mine",
            "kind": "separator",
            "settings": None,
            "text": "lab.secret_method",
            "counted": False,
        },
        {
            "name": "old",
            "kind": "separator",
            "settings": '{"type": "HPSS", "gone": 1}',
            "text": "HPSS(gone=1)",
        },
        {"name": "n", "kind": "separator", "settings": NMF().to_json(), "text": repr(NMF()), "counted": True},
    ]
    records = [
        record("mine", "one", scored("one", (1.0, 2.0)), matching="best"),
        record("old", "one"),
        record("n", "one", status="unfit", error={"message": "No."}),
    ]
    results = BenchmarkResults.load(write(tmp_path, methods, ["one"], records, dspsep="0.0.1", seed=None))
    assert "note = {Version 0.0.1}" in dspsep.cite(results)
    assert "fitzgerald2010harmonic" in dspsep.cite(results)
    text = dspsep.describe(results)
    for words in (
        "with dspsep 0.0.1.", "mine is lab.secret_method.", "old (HPSS: ", "as HPSS(gone=1).",
        "had seed 0 and otherwise default settings", "it is told the number of sources of each track",
        "Estimates of mine were matched with the sources by the best score.",
        "Of 3 separations 1 failed.", "Of 3 separations 1 was not possible, since",
    ):  # fmt: skip
        assert words in text


def test_seeds_of_results_replace_those_of_settings(tmp_path: Path) -> None:
    method = {"name": "n", "kind": "separator", "settings": NMF().to_json(), "text": repr(NMF())}
    results = BenchmarkResults.load(write(tmp_path, [method], ["one"], [record("n", "one")], seed=7))
    text = dspsep.describe(results)
    assert "seed 0" not in text
    assert "Seeds were derived from 7 and the names of track and method." in text


def test_settings_of_every_method_can_be_told() -> None:
    for name in _registry.METHODS:
        method = getattr(dspsep, name)()
        text = dspsep.describe(method, every=True)
        for field in dataclasses.fields(method):
            value = getattr(method, field.name)
            if isinstance(value, float):
                assert f"{value:g}" in text, (name, field.name)


def test_without_docstrings_it_says_so() -> None:
    code = "import dspsep\ntry: dspsep.cite('hpss')\nexcept dspsep.DspsepError as error: print(error)"
    done = subprocess.run(
        [sys.executable, "-OO", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert "run Python without -OO" in done.stdout
