"""Pictures of results: what is in them, whose axes they are on, and what is left out and told."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from dspsep.bench import BenchmarkResults, plot_pairs, plot_scores, plot_times
from dspsep.errors import InputError
from tests.bench.folders import INF, NAN, of_values

SDR = {"metric": "SDR", "source": "voice"}


@pytest.fixture
def results(tmp_path: Path) -> BenchmarkResults:
    values: dict[str, list[float | None]] = {
        "mixture": [0.0, 1.0, 2.0, 0.5],
        "A $x_1$": [3.0, 5.0, NAN, -INF],
        "B": [2.0, 2.0, 2.0, None],
        "IRM": [9.0, 10.0, 11.0, 8.0],
    }
    times = {(method, f"track {index}"): 3.0 * 10**index for method in values for index in range(3)}
    return BenchmarkResults.load(of_values(tmp_path, values, times=times))


def _labels(ax: object) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]  # type: ignore[attr-defined]


def test_distributions(results: BenchmarkResults) -> None:
    ax = plot_scores(results, **SDR)
    assert _labels(ax) == ["mixture  (4)", "B  (3)", "A \\$x_1\\$  (2, 2 not finite)", "IRM  (4)"]
    assert ax.get_xlabel() == "SDR of voice (dB)"
    points = [len(collection.get_offsets()) for collection in ax.collections]
    assert points == [4, 3, 2, 4]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["mixture", "separator", "oracle"]
    ax.figure.canvas.draw()
    one = plot_scores(results, methods="B", **SDR)
    assert one.get_legend() is None


def test_pairs(results: BenchmarkResults) -> None:
    ax = plot_pairs(results, "A $x_1$", "mixture", **SDR)
    right, up = np.concatenate([collection.get_offsets() for collection in ax.collections]).T
    np.testing.assert_array_equal(sorted(up), [3.0, 5.0])
    np.testing.assert_array_equal(sorted(right), [0.0, 1.0])
    assert ax.get_title() == "2 of 4 tracks, 2 not finite"
    assert ax.get_xlim() == ax.get_ylim()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["A \\$x_1\\$ better: 2"]
    assert ax.get_xlabel() == "mixture: SDR of voice (dB)"
    ax.figure.canvas.draw()


def test_times(results: BenchmarkResults) -> None:
    ax = plot_times(results, **SDR)
    assert ax.get_xscale() == "log"
    places = {text.get_text(): text.xy for text in ax.texts}
    assert places["IRM"] == pytest.approx((1.0, 9.5))  # 30 s for 30 s of audio
    assert places["B"] == pytest.approx((1.0, 2.0))
    ax.figure.canvas.draw()


def test_axes_of_the_users_are_used_and_pyplot_is_left_alone(results: BenchmarkResults) -> None:
    before = plt.get_fignums()
    for draw in (
        lambda ax: plot_scores(results, ax=ax, **SDR),
        lambda ax: plot_pairs(results, "B", "mixture", ax=ax, **SDR),
        lambda ax: plot_times(results, ax=ax, **SDR),
    ):
        own = Figure().add_subplot()
        assert draw(own) is own
        assert draw(None) is not own
    assert plt.get_fignums() == before


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    results = BenchmarkResults.load(of_values(tmp_path, {"A": [NAN, INF], "B": [1.0, None]}))
    for call in (
        lambda: plot_scores(results, methods="A", **SDR),
        lambda: plot_pairs(results, "A", "B", **SDR),
        lambda: plot_times(results, **SDR),
        lambda: plot_scores(results, metric="SIR", source="voice"),
        lambda: plot_scores(results, methods="C", **SDR),
    ):
        with pytest.raises(InputError):
            call()


def test_one_track_and_equal_scores(tmp_path: Path) -> None:
    times = {("A", "track 0"): 1.0}
    results = BenchmarkResults.load(of_values(tmp_path, {"A": [1.0], "B": [1.0]}, times=times))
    for ax in (plot_scores(results, **SDR), plot_pairs(results, "A", "B", **SDR), plot_times(results, **SDR)):
        ax.figure.canvas.draw()


def test_matplotlib_is_not_needed_for_tables() -> None:
    source = Path(sys.modules["dspsep.bench.plots"].__file__ or "").read_text(encoding="utf-8")
    assert "\nimport matplotlib" not in source
    assert "\nfrom matplotlib" not in source
