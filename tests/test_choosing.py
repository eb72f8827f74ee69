"""The page on choosing a method: its chart has every method, and its numbers are those of the tables."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dspsep import _registry

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGE = (DOCS / "choosing.md").read_text(encoding="utf-8")
BASELINES = {"MixtureAsEstimate", "HighLowPass"}
METHODS = {*_registry.METHODS, "ScoreInformedNMF", "SemiSupervisedNMF", "SupervisedNMF"} - BASELINES
ROWS = [[cell.strip() for cell in line.split(" | ")] for line in PAGE.splitlines() if line.startswith("| `")]


@pytest.fixture(scope="module")
def chart():
    pytest.importorskip("sphinx")
    spec = importlib.util.spec_from_file_location("_chart", DOCS / "_chart.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["_chart"] = module  # dataclasses look for it there
    spec.loader.exec_module(module)
    yield module
    del sys.modules["_chart"]


def test_every_method_is_an_answer_with_its_page(chart):
    found = list(chart.answers(chart.parse(PAGE)))
    assert {name for name, *_ in found} == METHODS
    for name, page, _ in found:
        assert name in (DOCS / page).read_text(encoding="utf-8"), name


@pytest.mark.parametrize("wide", [False, True])
def test_the_drawing_has_all_of_the_list_within_its_boxes(chart, wide):
    root = chart.parse(PAGE)
    tree = ElementTree.fromstring(chart.svg(root, wide=wide))
    text = " ".join("".join(element.itertext()) for element in tree.iter("text"))
    links = [(a.get("href"), "".join(a.itertext())) for a in tree.iter("a")]
    assert links == [(page.replace(".md", ".html"), name) for name, page, _ in chart.answers(root)]
    for question in re.findall(r"\*\*(.+\?)\*\*", PAGE):
        assert question in text
    _, _, width, height = map(float, tree.get("viewBox").split())
    boxes = [[float(box.get(key)) for key in ("x", "y", "width", "height")] for box in tree.iter("rect")]
    for x, y, w, h in boxes:
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height
    for element in tree.iter("text"):  # letters of 13 px are at most 8 px wide, monospaced ones too
        x, y, length = float(element.get("x")), float(element.get("y")), 8 * len("".join(element.itertext()))
        assert any(a <= x and x + length <= a + w + 20 and b < y < b + h for a, b, w, h in boxes)


def test_a_list_that_is_no_tree_is_refused(chart):
    for listed in ("", "- **A?**\n- **B?**\n", "- **A?**\n  - *yes*: nothing\n"):
        with pytest.raises(ValueError, match=r"root|list|neither"):
            chart.parse(f"<!-- chart -->\n{listed}<!-- end -->")


def test_every_method_has_a_row():
    assert set(re.findall(r"`(\w+)`", " ".join(row[0] for row in ROWS))) == METHODS


def test_numbers_are_those_of_the_tables():
    checked = 0
    for first, _, _, measured in ROWS:
        method = re.search(r"`(\w+)`", first)[1]
        for number, page in re.findall(r"\[([^\]]+)\]\(([^)]+)\)", measured):
            lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
            cells = [
                [cell.strip(" *") for cell in line.split("|")]
                for line in lines
                if re.match(rf"\| `{method}(\(\))?` \|", line)
            ]
            assert any(number in row for row in cells), f"{method}: no {number} in {page}"
            checked += 1
    assert checked >= 25


def test_warnings_are_those_there_are():
    contract = (DOCS / "contract.md").read_text(encoding="utf-8")
    codes = set(re.findall(r"`(W_[A-Z_]+)`", PAGE))
    assert len(codes) >= 8
    for code in codes:
        assert f"\n| `{code}` |" in contract, code
