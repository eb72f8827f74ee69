"""What is drawn is what was given: values, places, units, and marks where they belong."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dspsep import InputError, beat_spectrum, display, duet_histogram
from dspsep.display import (
    plot_activations,
    plot_beam_pattern,
    plot_beat_spectrogram,
    plot_beat_spectrum,
    plot_duet_histogram,
    plot_losses,
    plot_mask,
    plot_mixing,
    plot_neighbors,
    plot_panorama,
    plot_periods,
    plot_scores,
    plot_shares,
    plot_similarity,
    plot_singular_values,
    plot_templates,
)
from dspsep.metrics import Scores, TrackScores

RNG = np.random.default_rng(0)
HERTZ = np.linspace(0, 4000, 33)
SECONDS = 0.01 * np.arange(20)


def scores(values, track="one"):
    """Return the scores of two sources in two metrics, (2, 2, n_windows)."""
    n = np.shape(values)[2]
    how = {"name": "by hand", "over_windows": "median", "over_tracks": "mean"}
    return Scores(
        (
            TrackScores(
                track=track, sources=("voice", "band"), metrics=("SDR", "SIR"), values=values,
                starts=np.arange(n), durations=np.ones(n), duration=n, protocol=how,
            ),
        )
    )  # fmt: skip


#: A small case of each function, and of those that have a colour bar its label.
CASES = {
    "activations": (lambda ax: plot_activations(np.eye(3), ax=ax), "Level (dB)"),
    "beam_pattern": (
        lambda ax: plot_beam_pattern(np.ones((33, 2)), [[0, 0], [0.1, 0]], HERTZ, ax=ax),
        "Gain (dB)",
    ),
    "beat_spectrogram": (
        lambda ax: plot_beat_spectrogram(np.ones((9, 4)), ax=ax),
        "Resemblance (1 at lag 0)",
    ),
    "beat_spectrum": (lambda ax: plot_beat_spectrum(np.ones(9), ax=ax), None),
    "duet_histogram": (
        lambda ax: plot_duet_histogram(np.eye(3), [-1, 0, 1], [-1, 0, 1], ax=ax),
        "Weight (dB)",
    ),
    "losses": (lambda ax: plot_losses([3, 2, 1], ax=ax), None),
    "mask": (lambda ax: plot_mask(np.eye(3), ax=ax), "Share (0 to 1)"),
    "mixing": (lambda ax: plot_mixing(np.eye(2), ax=ax), "Level (dB)"),
    "neighbors": (lambda ax: plot_neighbors(np.array([[0], [1]]), ax=ax), None),
    "panorama": (lambda ax: plot_panorama(np.ones(5), ax=ax), None),
    "periods": (lambda ax: plot_periods([1.0], [(0, 2)], ax=ax), None),
    "scores": (lambda ax: plot_scores(scores(np.ones((2, 2, 3))), ax=ax), None),
    "shares": (lambda ax: plot_shares({"a": np.ones(33)}, HERTZ, ax=ax), None),
    "similarity": (lambda ax: plot_similarity(np.eye(3), ax=ax), "Similarity (0 to 1)"),
    "singular_values": (lambda ax: plot_singular_values([2, 1], ax=ax), None),
    "templates": (lambda ax: plot_templates(np.eye(3), ax=ax), "Level (dB)"),
}


def test_every_function_has_a_case():
    names = {name.removeprefix("plot_") for name in display.__all__ if name.startswith("plot_")}
    assert names == {*CASES, "spectrogram"}


@pytest.mark.parametrize("name", CASES)
def test_axes_given_are_used_and_own_ones_can_be_saved(name, tmp_path):
    draw, bar = CASES[name]
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert draw(right) is right
    assert figure.axes == [left, right]
    assert not [*left.collections, *left.lines]
    own = draw(None)
    assert [ax.get_ylabel() for ax in own.figure.axes[1:]] == ([] if bar is None else [bar])
    own.figure.savefig(tmp_path / "picture.png")
    assert own.get_xlabel()
    assert own.get_ylabel()


def test_pyplot_is_left_alone():
    code = (
        "import sys, numpy as np, dspsep, dspsep.display as display\n"
        "assert 'matplotlib' not in sys.modules\n"
        "display.plot_mask(np.eye(3)); display.plot_scores\n"
        "model = dspsep.HPSS().separate(np.ones(4000), 8000).model\n"
        "model.plot()\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=120)


def edges(ax):
    """Return where the cells of the picture begin and end, along both axes."""
    corners = ax.collections[0].get_coordinates()
    return corners[0, :, 0], corners[:, 0, 1]


def test_a_mask_is_drawn_bin_by_bin():
    mask = RNG.random((33, 20))
    ax = plot_mask(np.stack([mask, 0 * mask]), times=SECONDS, frequencies=HERTZ, name="kick")
    assert np.allclose(ax.collections[0].get_array(), mask / 2)
    x, y = edges(ax)
    assert np.allclose(x[[0, 1, -1]], [0, 0.005, 0.19])
    assert np.allclose(y[[0, 1, -1]], [0, 62.5, 4000])
    assert ax.get_title() == "kick"
    assert ax.collections[0].get_clim() == (0, 1)


def test_large_masks_are_averaged_to_what_can_be_seen():
    mask = np.zeros((2049, 5000))
    mask[1500:, 2000:3000] = 1.0
    hertz = np.linspace(0, 22050, 2049)
    ax = plot_mask(mask, times=0.01 * np.arange(5000), frequencies=hertz)
    drawn = np.asarray(ax.collections[0].get_array())
    assert drawn.size <= 400 * 1200
    x, y = edges(ax)
    inside = drawn[np.ix_((y[:-1] > hertz[1505]), (x[:-1] > 20.1) & (x[1:] < 29.9))]
    assert inside.size
    assert (inside == 1).all()
    assert drawn[y[1:] < hertz[1490]].max() == 0
    assert np.diff(y)[0] == pytest.approx(hertz[1] / 2)  # low bins stay apart


def test_templates_are_levels_beside_their_own_loudest_point():
    W = np.array([[1.0, 0.0], [0.1, 5.0], [0.0, 0.5]])
    ax = plot_templates(W, names=["low", "high"])
    assert np.allclose(ax.collections[0].get_array(), [[0, -60], [-20, 0], [-60, -20]])
    ax = plot_templates(W**2, exponent=2.0, floor_db=-30)
    assert np.allclose(ax.collections[0].get_array(), [[0, -30], [-20, 0], [-30, -20]])


def test_patches_lie_beside_each_other():
    W = RNG.random((4, 2, 3))
    ax = plot_templates(W)
    drawn = np.asarray(ax.collections[0].get_array())
    for k in range(2):
        expected = 20 * np.log10(W[:, k] / W[:, k].max())
        assert np.allclose(drawn[:, 3 * k : 3 * k + 3], expected)
    assert np.allclose(edges(ax)[0], np.linspace(-0.5, 1.5, 7))


def test_activations_have_the_first_component_above():
    ax = plot_activations(np.array([[1.0, 0.1], [0.01, 0.0]]), times=[0.0, 0.5])
    assert np.allclose(ax.collections[0].get_array(), [[0, -20], [-40, -60]])
    low, high = ax.get_ylim()
    assert low > high


def test_many_components_keep_legible_names():
    ax = plot_activations(np.ones((90, 3)))
    assert len(ax.get_yticks()) <= 24
    assert [label.get_text() for label in ax.get_yticklabels()][:2] == ["0", "4"]


def test_losses_of_several_runs_are_told_apart():
    ax = plot_losses({"one": [3, 2], "two": [4, 3, 2], "none": []}, first=1, marks=[2])
    assert [line.get_label() for line in ax.lines[:2]] == ["one", "two"]
    assert ax.lines[1].get_xydata().tolist() == [[1, 4], [2, 3], [3, 2]]
    assert ax.lines[0].get_color() != ax.lines[1].get_color()
    assert list(ax.lines[2].get_xdata()) == [2, 2]


def test_the_period_is_marked_where_the_spectrum_peaks():
    V = np.tile(np.eye(8), (1, 6)) + 0.01
    spectrum = beat_spectrum(V)
    ax = plot_beat_spectrum(spectrum, hop_seconds=0.02, period=0.16)
    line, period, *multiples = ax.lines
    lags, values = line.get_xydata().T
    assert values[0] == 1
    first = lags[(lags > 0) & (lags < 0.24)]
    assert first[values[1 : 1 + first.size].argmax()] == pytest.approx(period.get_xdata()[0])
    assert [mark.get_xdata()[0] for mark in multiples] == pytest.approx([0.32, 0.48, 0.64])
    assert lags[-1] <= 0.75 * 0.02 * 48


def test_beat_spectra_of_windows_stand_at_their_times():
    spectra = RNG.random((8, 3)) + [[9.0]] + [[1.0]] * 8
    ax = plot_beat_spectrogram(spectra, times=[1, 2, 4], hop_seconds=0.5, periods=[1.0, 1.5, 2.0])
    assert np.allclose(ax.collections[0].get_array(), np.clip(spectra[:6] / spectra[0], 0, 1))
    x, y = edges(ax)
    assert x.tolist() == [0.5, 1.5, 3.0, 5.0]
    assert y[[0, 1, -1]].tolist() == [0, 0.25, 2.75]
    assert ax.lines[0].get_xydata().tolist() == [[1, 1], [2, 1.5], [4, 2]]


def test_a_similarity_is_drawn_frame_by_frame():
    frames = RNG.random((20, 3))
    ax = plot_similarity(frames @ frames.T / 3, times=SECONDS)
    assert np.allclose(ax.collections[0].get_array(), frames @ frames.T / 3)
    ax = plot_similarity(np.eye(1500))
    drawn = np.asarray(ax.collections[0].get_array())
    assert drawn.shape == (500, 500)
    assert np.allclose(np.diag(drawn), 1 / 3)


def test_peaks_are_marked_where_the_histogram_is_highest():
    omega = 2 * np.pi * np.arange(1.0, 200.0) * 10
    one, two = (RNG.standard_normal((199, 40)) * (RNG.random((199, 40)) < 0.2) for _ in range(2))
    found = [(0.9, 1.05e-4), (1.1, -2.05e-4)]
    X2 = sum(a * np.exp(-1j * omega[:, None] * d) * s for (a, d), s in zip(found, (one, two), strict=True))
    H, *middles = duet_histogram(one + two + 0j, X2, omega, max_delay=2.5e-4)
    ax = plot_duet_histogram(H, *middles, peaks=found)
    levels = np.asarray(ax.collections[0].get_array())
    x, y = edges(ax)
    assert ax.lines[0].get_xydata()[:, 0] == pytest.approx([0.105, -0.205])
    for number, (delay, level) in enumerate(ax.lines[0].get_xydata()):
        assert level == pytest.approx(20 * np.log10(found[number][0]))
        column, row = np.searchsorted(x, delay) - 1, np.searchsorted(y, level) - 1
        assert levels[row, column] == levels[row - 2 : row + 3, column - 2 : column + 3].max()
    assert ax.get_ylabel() == "Level beside the first (dB)"


def test_places_of_sources_are_marked():
    ax = plot_panorama([0.0, 1.0, 0.01, 0.0, 0.1], positions=[-0.5, 1.0], width=0.2)
    assert ax.lines[0].get_xydata().tolist() == [[-1, -40], [-0.5, 0], [0, -20], [0.5, -40], [1, -10]]
    assert [line.get_xdata()[0] for line in ax.lines[1:]] == [-0.5, 1.0]
    assert [text.get_text() for text in ax.texts] == ["0", "1"]


def test_levels_at_microphones_do_not_know_the_scale_of_outputs():
    mixing = RNG.standard_normal((33, 3, 2)) + 1j * RNG.standard_normal((33, 3, 2))
    ax = plot_mixing(mixing, frequencies=HERTZ, names=["a", "b"])
    drawn = np.asarray(ax.collections[0].get_array())
    assert drawn.shape == (6, 33)
    power = np.abs(mixing) ** 2 / (np.abs(mixing) ** 2).sum(axis=1, keepdims=True)
    for source in range(2):
        for channel in range(3):
            expected = np.maximum(10 * np.log10(power[:, channel, source]), -30)
            assert np.allclose(drawn[3 * source + channel], expected)
    other = np.asarray(plot_mixing(1e-9j * mixing).collections[0].get_array())
    assert np.allclose(drawn, other)
    assert [label.get_text() for label in ax.get_yticklabels()][:4] == [
        "a, mic 0",
        "a, mic 1",
        "a, mic 2",
        "b, mic 0",
    ]
    lost = np.zeros((5, 2, 1))
    assert (np.asarray(plot_mixing(lost).collections[0].get_array()) == -30).all()


@pytest.mark.parametrize("degrees", [-120, 0, 35, 90])
def test_a_beam_points_where_it_is_steered(degrees):
    places = np.array([[0.0, 0.0], [0.05, 0.0], [0.0, 0.06], [-0.04, 0.03]])
    towards = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    later = np.exp(-2j * np.pi * HERTZ[:, None] * (places @ towards) / 343)  # undoes what comes earlier
    levels = np.asarray(plot_beam_pattern(later, places, HERTZ).collections[0].get_array())
    angles = np.arange(-180, 181)
    assert (levels[0] == 0).all()  # at 0 Hz there are no directions
    assert {int(angles[row.argmax()]) for row in levels[5:]} == {degrees}
    assert levels[20].min() < -3


def test_shares_stand_where_they_are_given():
    ax = plot_shares({"low": 1.0 * (HERTZ < 1000), "high": 1.0 * (HERTZ >= 1000)}, HERTZ)
    assert ax.lines[1].get_xydata().tolist() == [[f, float(f >= 1000)] for f in HERTZ]
    assert ax.get_xlim() == (0, 4000)
    assert ax.get_xscale() == "asinh"


def test_a_share_of_one_place_is_drawn():
    ax = plot_shares({"all": [0.5]}, [0.0])
    assert ax.lines[0].get_xydata().tolist() == [[0, 0.5]]
    assert ax.get_xlabel() == "Frequency (Hz)"


def test_what_is_counted_is_labelled_in_whole_numbers():
    for ax in (plot_losses([3.0], first=1), plot_singular_values([2.0])):
        left, right = ax.get_xlim()
        assert [tick for tick in ax.get_xticks() if left <= tick <= right] == [1]


def test_singular_values_are_in_order_and_never_nan():
    assert plot_singular_values([1, 100, 0]).lines[0].get_xydata().tolist() == [[1, 0], [2, -40], [3, -120]]
    for nothing in ([], [0.0, 0.0]):
        assert [text.get_text() for text in plot_singular_values(nothing).texts] == ["no singular values"]


def test_scores_show_the_headline_and_what_is_behind_it():
    one = scores([[[1.0, 2.0, 6.0], [3.0, np.inf, 3.0]], [[0.0, 0.0, 0.0], [np.nan] * 3]])
    ax = plot_scores(one)
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["voice SDR", "voice SIR (1 not finite)", "band SDR", "band SIR (3 not finite)"]
    assert sorted(ax.lines[0].get_xdata()) == [1, 2, 6]
    assert ax.lines[1].get_xydata().tolist() == [[2, 0]]
    assert "of windows" in ax.get_xlabel()
    both = plot_scores(one + scores(np.ones((2, 2, 1)), "two"), metrics=["SDR"])
    assert sorted(both.lines[0].get_xdata()) == [1, 2]
    assert "of tracks" in both.get_xlabel()
    with pytest.raises(InputError, match=r"^metrics must be some of SDR, SIR; got 'SAR'"):
        plot_scores(one, metrics=["SAR"])
    with pytest.raises(InputError, match=r"^scores must be of dspsep\.metrics; got a dict"):
        plot_scores({})


@pytest.mark.parametrize("name", ["$x$", r"$\frac{$", "a\nb", "x" * 400, "\u202eevil", "\x00"])
def test_odd_names_are_drawn_as_text(name):
    axes = [
        plot_mask(np.eye(3), name=name),
        plot_templates(np.eye(2), names=[name, "b"]),
        plot_losses({name: [1, 0], "b": [0, 1]}),
        plot_mixing(np.eye(2), names=[name, "b"]),
    ]
    for ax in axes:
        FigureCanvasAgg(ax.figure).draw()
    assert len(axes[0].get_title()) < 40


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plot_mask(np.ones(3)), r"^mask must be of 2 or 3 axes"),
        (lambda: plot_mask(np.full((2, 2), np.nan)), r"^mask must be finite"),
        (lambda: plot_mask(np.ones((2, 2)), times=[0.0]), r"^times must be 2 rising numbers; got 1"),
        (lambda: plot_mask(np.ones((2, 2)), frequencies=[1.0, 0.0]), r"^frequencies must be 2 rising"),
        (lambda: plot_templates(-np.eye(2)), r"^templates must be finite and not negative"),
        (lambda: plot_templates(np.eye(2), names=["a"]), r"^names must be 2 names"),
        (lambda: plot_activations(np.eye(2), floor_db=1), r"^floor_db must be negative"),
        (lambda: plot_losses([np.inf]), r"^losses must be finite"),
        (lambda: plot_beat_spectrum(np.ones(4), period=0), r"^period must be"),
        (lambda: plot_beat_spectrogram(np.ones((4, 2)), periods=[1]), r"^periods must be 2"),
        (lambda: plot_periods([1], [(0, 1), (1, 2)]), r"^segments must be 1 pairs"),
        (lambda: plot_similarity(np.ones((2, 3))), r"^similarity must be a square"),
        (lambda: plot_neighbors(np.array([[5]])), r"^neighbors must be numbers of frames"),
        (lambda: plot_panorama([1, 1], positions=[2]), r"^positions must be"),
        (lambda: plot_shares({}, [0, 1]), r"^shares must be"),
        (lambda: plot_shares({"a": [1, 1], "b": [1]}, [0, 1]), r"^shares must be 2 numbers"),
        (lambda: plot_mixing(np.ones(3)), r"^mixing must be numbers"),
        (lambda: plot_beam_pattern(np.ones((2, 2)), [[0, 0]], [0, 1]), r"^positions must be of shape"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, message):
    with pytest.raises(InputError, match=message):
        draw()
