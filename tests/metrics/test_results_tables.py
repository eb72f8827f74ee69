"""Tables of scores: what they look like, and that a name is never more than a name in them."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser

import pytest

from dspsep.errors import InputError
from dspsep.metrics import Scores
from dspsep.metrics._tables import Table, visible
from tests.metrics.made_scores import HOSTILE, INF, NAN, PROTOCOL, one_source, track

TEXT = """\
source  metric  score  median  mean   std   min   max  tracks  undefined  windows  dropped
voice   SDR      2.00    2.00  3.00  2.65  1.00  6.00       1          0        3        0
voice   SIR      4.50    4.50  4.50  0.71  4.00  5.00       1          0        3        1
band    SDR      0.00    0.00     –     –    -∞     ∞       1          0        3        0
band    SIR         –       –     –     –     –     –       1          1        3        3
by hand (window_seconds=1): median over windows, 1 track; median to max are over windows; in dB"""


def test_scores_print_as_their_summary() -> None:
    made = Scores((track(),))
    assert str(made) == str(made.summary()) == repr(made.summary()) == TEXT
    assert made._repr_html_() == made.summary()._repr_html_()


def test_several_tracks_say_how_they_were_aggregated() -> None:
    made = one_source([1.0], [2.0], protocol={**PROTOCOL, "over_tracks": "weighted mean"})
    text = str(made.summary(over_windows="mean"))
    assert text.splitlines()[-1] == (
        "by hand (window_seconds=1): weighted mean over 2 tracks; median to max are over tracks; in dB"
    )


def test_markdown() -> None:
    assert Scores((track(),)).to_markdown() == (
        "| source | SDR | SIR | windows | dropped |\n"
        "| :-- | --: | --: | --: | --: |\n"
        "| voice | 2.00 | 4.50 | 3 | 1 |\n"
        "| band | 0.00 | – | 3 | 3 |\n"
        "\n"
        "by hand (window\\_seconds=1)\\: median over windows, 1 track; in dB\n"
    )
    chosen = Scores((track(),)).to_markdown(["SDR"], digits=0)
    assert "| voice | 2 | 3 | 0 |\n| band | 0 | 3 | 0 |\n" in chosen
    assert Scores((track(),)).to_markdown("SDR", digits=0) == chosen
    assert (
        "| band | SIR | – | – | – | – | – | – | 1 | 1 | 3 | 3 |\n"
        in Scores((track(),)).summary().to_markdown()
    )


def test_latex() -> None:
    made = Scores((track([[[-1.0, -2.0]], [[INF, INF]], [[-INF, NAN]]]),))
    assert made.to_latex(digits=1) == (
        "% by hand (window_seconds=1): median over windows, 1 track; in dB\n"
        "\\begin{tabular}{lrrr}\n"
        "\\hline\n"
        "source & SDR & windows & dropped \\\\\n"
        "\\hline\n"
        "voice & $-1.5$ & 2 & 0 \\\\\n"
        "band & $\\infty$ & 2 & 0 \\\\\n"
        "noise & $-\\infty$ & 2 & 1 \\\\\n"
        "\\hline\n"
        "\\end{tabular}\n"
    )
    undefined = one_source([NAN]).summary().to_latex()
    assert "voice & SDR & -- & -- & -- & -- & -- & -- & 1 & 1 & 1 & 1 \\\\\n" in undefined


@pytest.mark.parametrize("write", ["to_markdown", "to_latex"])
def test_what_cannot_be_shown_is_refused(write: str) -> None:
    made = Scores((track(),))
    for metrics in (["sdr"], "sdr", ["SDR", 3]):
        with pytest.raises(InputError, match=r"^metrics must be one of 'SDR', 'SIR'"):
            getattr(made, write)(metrics)
    with pytest.raises(InputError, match=r"^metrics must be at least one name"):
        getattr(made, write)([])
    for shown in (made, made.summary()):
        with pytest.raises(InputError, match=r"^digits must be an integer of at least 0"):
            getattr(shown, write)(digits=-1)


def test_numbers_that_round_to_zero_have_no_sign() -> None:
    made = one_source([-0.001])
    assert "-0.00" not in str(made)
    assert "-0.00" not in made.to_latex()
    assert made.to_markdown(digits=3).count("-0.001") == 1


def test_no_windows() -> None:
    made = one_source([])
    assert "voice & -- & 0 & 0" in made.to_latex()
    assert "| voice | – | 0 | 0 |" in made.to_markdown()
    assert made.to_csv() == "track,target,estimate,metric,time,duration,score,protocol\n"


def hostile(name: str) -> Scores:
    """Scores in which everything that has a name has this one."""
    protocol = {**PROTOCOL, "name": name}
    made = track(
        [[[1.0]]], track=name, sources=(name,), estimates=(name,), metrics=(name,), protocol=protocol
    )
    return Scores((made,))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        if tag in ("td", "th", "caption"):
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        self.cells[-1] += data


@pytest.mark.parametrize("name", HOSTILE)
class TestHostileNames:
    def test_html_has_them_as_text(self, name: str) -> None:
        reader = _Reader()
        reader.feed(hostile(name)._repr_html_())
        assert reader.tags <= {"table", "caption", "thead", "tbody", "tr", "th", "td"}
        assert reader.attributes <= {"align"}
        assert reader.cells[0].startswith(f"{visible(name)} (window_seconds=1): 1 track")
        assert reader.cells[13:15] == [visible(name), visible(name)]

    def test_latex_has_no_command_in_them(self, name: str) -> None:
        text = hostile(name).to_latex()
        comment, *lines = text.splitlines()
        assert comment.startswith("%")
        assert len(lines) == 7
        cell, number, *_ = lines[4].split(" & ")
        assert number == "1.00"
        assert cell[:1] not in ("[", "*")
        plain = re.sub(
            r"\\(textbackslash|textasciicircum|textasciitilde|textless|textgreater|textbar|char34)\{\}"
            r"|\\[{}$&#%_]|\{[\[*]\}",
            "",
            cell,
        )
        assert not re.search(r'[\\{}$&#%_^~<>|"]', plain)

    def test_markdown_has_no_markup_in_them(self, name: str) -> None:
        lines = hostile(name).to_markdown().splitlines()
        assert len(lines) == 5
        # Cells end at bars that no backslash is before.
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", lines[2].replace("\\\\", "\0"))[1:-1]]
        assert len(cells) == 4
        assert cells[1:] == ["1.00", "1", "0"]
        rest = re.sub(r"\\[`*_\[\]~|#!:$@.]|&(amp|lt|gt);", "", cells[0])
        assert not re.search(r"[\\`*_\[\]~|#!:$<>&]", rest)

    def test_csv_has_no_formula(self, name: str) -> None:
        header, row, *more = csv.reader(io.StringIO(hostile(name).to_csv()))
        assert not more
        for column in ("track", "target", "estimate", "metric"):
            cell = dict(zip(header, row, strict=True))[column]
            assert cell.removeprefix("'") == visible(name)
            assert cell.lstrip()[:1] not in tuple("=+-@＝\t\r")
        assert len(hostile(name).to_csv().splitlines()) == 2

    def test_text_can_be_seen_and_written(self, name: str) -> None:
        made = hostile(name)
        for text in (str(made), made.to_markdown(), made.to_latex(), made.to_csv(), made._repr_html_()):
            text.encode("utf-8")
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", text)
        assert len(str(made).splitlines()) == 3


def test_only_what_looks_like_a_formula_gets_an_apostrophe() -> None:
    assert "\n=" not in hostile("=1").to_csv()
    assert hostile("=1").to_csv().splitlines()[1].startswith("'=1,'=1,'=1,'=1,0.0,1.0,1.0,'=1 (")
    assert hostile("a=1").to_csv().splitlines()[1].startswith("a=1,a=1,a=1,a=1,0.0,1.0,1.0,a=1 (")


def test_csv_keeps_every_digit_and_numbers_as_numbers() -> None:
    values = [0.1 + 0.2, -3.25, NAN, INF, -INF, 1e-300]
    rows = list(csv.DictReader(io.StringIO(one_source(values).to_csv())))
    assert [row["score"] for row in rows] == ["0.30000000000000004", "-3.25", "", "inf", "-inf", "1e-300"]


def test_columns_are_aligned_whatever_their_letters() -> None:
    table = Table(header=("a", "n"), rows=(("歌", 1.0), ("e\u0301", 2.0), ("abcd", -10.0)))
    assert table.text() == "a          n\n歌      1.00\ne\u0301       2.00\nabcd  -10.00"


@pytest.mark.parametrize("name", ["www.evil.example", "a@evil.example", "WWW.evil.example", "x://y"])
def test_markdown_makes_no_links_of_names(name: str) -> None:
    text = hostile(name).to_markdown()
    assert name not in text
    assert text.replace("\\", "").count(name) >= 2


def test_the_line_below_tells_all_settings() -> None:
    made = Scores((track(protocol={**PROTOCOL, "silence": "strict", "permutation": True, "hop": None}),))
    assert "by hand (window_seconds=1, silence=strict, permutation=True): " in str(made)
    assert made.records()[0]["protocol"] == "by hand (window_seconds=1, silence=strict, permutation=True)"
