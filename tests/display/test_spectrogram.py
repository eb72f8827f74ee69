"""The picture: where things are in time, frequency and level, and whose state it touches."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dspsep import InputError
from dspsep.display import plot_spectrogram, spectrogram

RATE = 16000


def tone(hertz, seconds=1.0, level=1.0):
    return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)


def drawn(ax):
    """Return the decibels (rows, columns), and where their centres are in hertz and seconds."""
    mesh = ax.collections[-1]
    corners = mesh.get_coordinates()
    hertz, seconds = corners[:, 0, 1], corners[0, :, 0]
    return np.asarray(mesh.get_array()), (hertz[1:] + hertz[:-1]) / 2, (seconds[1:] + seconds[:-1]) / 2


def test_draws_on_the_axes_given():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plot_spectrogram(tone(440), RATE, ax=right) is right
    assert figure.axes == [left, right]  # no colour bar took room from the others
    assert not left.collections
    assert (right.get_xlabel(), right.get_ylabel()) == ("Time (s)", "Frequency (Hz)")
    assert right.get_xlim() == (0, 1)
    assert right.get_ylim() == (0, RATE / 2)
    FigureCanvasAgg(figure).draw()
    assert [label.get_text() for label in right.get_yticklabels()] == ["100", "300", "1k", "3k"]


def test_own_figure_has_a_colour_bar_and_can_be_saved():
    ax = plot_spectrogram(tone(440), RATE)
    assert [other.get_ylabel() for other in ax.figure.axes] == ["Frequency (Hz)", "Level (dB)"]
    buffer = io.BytesIO()
    ax.figure.savefig(buffer)
    assert buffer.getvalue().startswith(b"\x89PNG")


@pytest.mark.parametrize("hertz", [60, 440, 1000, 5000])
@pytest.mark.parametrize("level", [1.0, 0.1])
def test_a_tone_is_at_its_frequency_and_level(hertz, level):
    decibels, frequencies, _ = drawn(plot_spectrogram(tone(hertz, level=level), RATE, reference=1.0))
    middle = decibels[:, decibels.shape[1] // 2]
    assert frequencies[middle.argmax()] == pytest.approx(hertz, rel=0.06)
    # A row shows the mean energy of its bins: between bins at the bottom, several at the top.
    assert 20 * np.log10(level) - 10 < middle.max() <= 20 * np.log10(level) + 0.1
    assert decibels[frequencies > 1.5 * hertz + 100, decibels.shape[1] // 2].max() < -60


def test_a_click_is_at_its_time():
    audio = np.zeros(3 * RATE)
    audio[2 * RATE] = 1.0
    decibels, _, seconds = drawn(plot_spectrogram(audio, RATE))
    assert seconds[decibels.mean(axis=0).argmax()] == pytest.approx(2.0, abs=0.02)
    assert decibels.max() == 0
    assert decibels[:, seconds < 1.9].max() == -80


def test_levels_relative_to_a_common_reference():
    loud, quiet = tone(440), tone(440, level=0.01)
    alone, _, _ = drawn(plot_spectrogram(quiet, RATE))
    assert alone.max() == 0
    for reference in (loud, spectrogram.levels_of("x", loud, RATE).loudest):
        beside, _, _ = drawn(plot_spectrogram(quiet, RATE, reference=reference))
        assert beside.max() == pytest.approx(-40, abs=0.01)
    shallow = plot_spectrogram(quiet, RATE, reference=loud, floor_db=-30)
    assert drawn(shallow)[0].max() == -30
    assert shallow.collections[-1].get_clim() == (-30, 0)


def test_channels_are_averaged_in_energy():
    both = np.stack([tone(440), np.zeros(RATE)])
    decibels, _, _ = drawn(plot_spectrogram(both, RATE, reference=tone(440)))
    assert decibels.max() == pytest.approx(-3.01, abs=0.01)
    opposite, _, _ = drawn(plot_spectrogram(np.stack([tone(440), -tone(440)]), RATE, reference=tone(440)))
    assert opposite.max() == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("n_samples", [5 * RATE, 5 * RATE + 77, 40 * RATE])
def test_blocks_leave_no_seams(monkeypatch, n_samples):
    audio = np.random.default_rng(0).standard_normal(n_samples)
    monkeypatch.setattr(spectrogram, "_BLOCK_FRAMES", 10**9)
    whole = spectrogram.levels_of("x", audio, RATE)
    monkeypatch.setattr(spectrogram, "_BLOCK_FRAMES", 7)
    blocks = spectrogram.levels_of("x", audio, RATE)
    np.testing.assert_allclose(blocks.amplitude, whole.amplitude, rtol=1e-9)
    assert whole.amplitude.shape[1] <= 1200
    assert np.all(np.diff(whole.times) > 0)
    assert whole.times[-1] == n_samples / RATE


def test_long_audio_keeps_its_level_and_place():
    audio = 0.1 * tone(440, seconds=130)
    audio[60 * RATE : 70 * RATE] *= 10
    ax = plot_spectrogram(audio, RATE, reference=1.0)
    decibels, _, seconds = drawn(ax)
    assert decibels.shape[1] <= 1200
    level = decibels.max(axis=0)
    assert level[(seconds > 61) & (seconds < 69)].min() == pytest.approx(0, abs=1)
    assert level[(seconds > 71) & (seconds < 129)].max() == pytest.approx(-20, abs=1)
    FigureCanvasAgg(ax.figure).draw()
    assert ax.get_xlabel() == "Time (min:s)"
    assert [label.get_text() for label in ax.get_xticklabels()][:3] == ["0:00", "0:30", "1:00"]


@pytest.mark.parametrize("n_samples", [1, 2, 513, 5000])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_any_length_and_silence(n_samples, value):
    ax = plot_spectrogram(np.full(n_samples, value, np.float32), RATE)
    decibels, _, _ = drawn(ax)
    assert decibels.max() == (0 if value else -80)
    assert ax.get_xlim() == (0, n_samples / RATE)
    FigureCanvasAgg(ax.figure).draw()


@pytest.mark.parametrize(("rate", "n_fft"), [(20, 2048), (8000.5, 16), (44100, 2), (1e6, 301)])
def test_any_rate_and_frame(rate, n_fft):
    ax = plot_spectrogram(np.random.default_rng(0).uniform(-1, 1, 4000), rate, n_fft=n_fft)
    assert ax.get_ylim() == (0, rate / 2)
    assert np.isfinite(drawn(ax)[0]).all()
    FigureCanvasAgg(ax.figure).draw()
    assert len(ax.get_yticks()) >= 2


@pytest.mark.parametrize("scale", [1e-300, 1e-38, 1e30, 1e300])
def test_extreme_levels_look_the_same(scale):
    plain, _, _ = drawn(plot_spectrogram(tone(440), RATE, reference=1.0))
    scaled, _, _ = drawn(plot_spectrogram(tone(440) * scale, RATE, reference=scale))
    np.testing.assert_allclose(scaled, plain, atol=1e-6)


def test_what_cannot_be_drawn_is_refused():
    for arguments, options, message in [
        (([[[0.0]]], RATE), {}, "audio must be an array"),
        ((np.array([0.0, np.inf]), RATE), {}, "audio must be finite"),
        ((tone(440), -1), {}, "sample_rate must be"),
        ((tone(440), RATE), {"floor_db": 0}, "floor_db must be negative"),
        ((tone(440), RATE), {"floor_db": float("-inf")}, "floor_db must be a finite number"),
        ((tone(440), RATE), {"n_fft": 1}, "n_fft must be"),
        ((tone(440), RATE), {"reference": 0.0}, "reference must be a number above 0"),
        ((tone(440), RATE), {"reference": "loud"}, "reference must be"),
        ((tone(440), RATE), {"reference": np.array([np.nan])}, "reference must be finite"),
    ]:
        with pytest.raises(InputError, match=message):
            plot_spectrogram(*arguments, **options)


def test_global_state_is_left_alone():
    program = """
import sys
import dspsep.display
assert not {"matplotlib", "soundfile", "PIL", "scipy"} & set(sys.modules)
import matplotlib as mpl
settings = [name for name in mpl.rcParams if name != "backend"]  # reading that one imports pyplot
before = [mpl.rcParams[name] for name in settings]
dspsep.display.plot_spectrogram([0.0, 1.0, 0.0], 8000).figure.canvas.draw()
assert "matplotlib.pyplot" not in sys.modules
assert [mpl.rcParams[name] for name in settings] == before
"""
    subprocess.run([sys.executable, "-c", program], check=True)
