"""Every model can be looked at: on axes of its own or given, with units, and nothing else changes."""

from __future__ import annotations

import dataclasses
import pickle
import re
import warnings

import array_api_strict
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import dspsep
from dspsep import STFT, InputError, _registry
from dspsep.model import Model
from dspsep.oracle import IRM

RATE = 8000
SMALL = STFT(256)

#: Settings that are quick on a second of audio; what is not here has none but the transform.
QUICK = {
    "CascadedHPSS": {"first": dspsep.HPSS(stft=SMALL), "second": dspsep.HPSS(stft=STFT(64))},
    "TwoStageHPSS": {"first": dspsep.HPSS(stft=STFT(512)), "second": dspsep.HPSS(stft=STFT(64))},
    "IterativeHPSS": {"stft": SMALL, "n_iter": 3},
    "NMF": {"stft": SMALL, "n_components": 3, "n_iter": 3, "groups": {"two": [0, 2]}},
    "NMFD": {"n_iter": 2},
    "OnlineNMF": {"stft": SMALL, "n_components": 2, "n_iter": 2, "batch_seconds": 0.2},
    "REPET": {"stft": SMALL, "min_period_seconds": 0.05},
    "REPETExtended": {
        "stft": SMALL, "min_period_seconds": 0.05, "segment_seconds": 0.6, "step_seconds": 0.3,
    },
    "AdaptiveREPET": {
        "stft": SMALL, "min_period_seconds": 0.05, "window_seconds": 0.6, "step_seconds": 0.3, "order": 3,
    },
    "REPETSim": {"stft": SMALL, "distance_seconds": 0.1},
    "NearestNeighborMedian": {"stft": SMALL, "distance_seconds": 0.1},
    "KAM": {"stft": SMALL, "min_period_seconds": 0.05, "n_iter": 1},
    "PROJET": {"stft": SMALL, "n_angles": 9, "n_projections": 5, "n_iter": 3},
    "FastMNMF2": {"stft": SMALL, "n_components": 2, "n_iter": 2, "init": "random"},
    "CACGMM": {"stft": SMALL, "n_iter": 2},
    "AuxIVA": {"stft": SMALL, "n_iter": 2},
    "OverIVA": {"stft": SMALL, "n_iter": 2},
    "ILRMA": {"stft": SMALL, "n_iter": 2},
    "FDICA": {"stft": SMALL, "n_iter": 2},
    **{name: {} for name in ("FastICA", "Infomax", "Picard", "JADE", "SOBI", "MixtureAsEstimate")},
}  # fmt: skip

#: What is counted or compared, and so has no unit.
WITHOUT_UNIT = {
    "",
    "Batch",
    "Component",
    "Iteration",
    "Loss",
    "Microphone",
    "Source",
    "Source and microphone",
}


def mixture_for(name, n_samples=RATE, silent=False):
    """Return clicks that repeat, a tone, and a little noise; in stereo, as an instantaneous mixture."""
    rng = np.random.default_rng(0)
    time = np.arange(n_samples) / RATE
    click = rng.laplace(size=n_samples) * np.exp(-40 * np.mod(time, 0.25))
    tone = np.sign(np.sin(2 * np.pi * 440 * time)) * (1 + np.sin(5 * time))
    sources = np.stack([click, tone])
    mono = _registry.METHODS[name].min_channels == 1 if name in _registry.METHODS else True
    mixture = sources.sum(axis=0) if mono else np.array([[1.0, 0.5], [0.4, 1.0]]) @ sources
    return np.zeros_like(mixture) if silent else 0.1 * mixture


def learned(name, *, silent=False):
    """Return the models of a registered separator by path, and the spectrogram that each was learned from."""
    separator = _registry.load(_registry.METHODS[name].target)(**QUICK.get(name, {"stft": SMALL}))
    mixture = mixture_for(name, silent=silent)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = separator.separate(mixture, RATE).model
    spectrogram = getattr(separator, "stft", SMALL).forward(mixture, RATE)
    models = model if isinstance(model, dict) else {"": model}
    return {path: one for path, one in models.items() if one is not None}, spectrogram


def state(model):
    """Return all that a model is made of, as bytes."""
    return pickle.dumps({field.name: getattr(model, field.name) for field in dataclasses.fields(model)})


def check_drawn(ax):
    """Assert that there is a picture with units on both axes, in which all numbers are finite."""
    assert isinstance(ax, Axes)
    for label in (ax.get_xlabel(), ax.get_ylabel()):
        assert label in WITHOUT_UNIT or re.search(r" \([^()]+\)$|\(.+\), of ", label), label
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    assert ax.collections or ax.lines or ax.texts
    for mesh in ax.collections:
        if mesh.get_array() is not None:
            assert np.isfinite(np.ma.filled(mesh.get_array(), np.nan)).all()
    for line in ax.lines:
        assert np.isfinite(np.asarray(line.get_xydata(), float)).all()


@pytest.mark.parametrize("silent", [False, True], ids=["sound", "silence"])
@pytest.mark.parametrize("name", _registry.METHODS)
def test_every_model_can_be_looked_at(name, silent):
    models, spectrogram = learned(name, silent=silent)
    before = dict(mpl.rcParams), plt.get_fignums()
    values = spectrogram.values.copy()
    assert models or name == "MixtureAsEstimate"
    for model in models.values():
        assert isinstance(model, Model)
        kept = state(model)
        # Without a spectrogram where there is a picture that needs none, and with one on axes given.
        own = model.plot(spectrogram if name == "FT2D" else None)
        check_drawn(own)
        FigureCanvasAgg(own.figure).draw()  # warns, and so fails, of what cannot be drawn
        if name in ("CascadedHPSS", "TwoStageHPSS"):
            continue  # each pass has a spectrogram of its own
        figure = Figure()
        left, right = figure.subplots(1, 2)
        for show in model.pictures[:2] if silent else model.pictures:
            right.clear()
            assert model.plot(spectrogram, show=show, ax=right) is right
            check_drawn(right)
        assert figure.axes == [left, right]  # no colour bar took room from the others
        assert not [*left.collections, *left.lines, *left.texts]
        assert state(model) == kept
    assert np.array_equal(values, spectrogram.values)
    assert (dict(mpl.rcParams), plt.get_fignums()) == before


@pytest.mark.parametrize("name", ["NMF", "REPET", "REPETSim", "AuxIVA"])
def test_a_spectrogram_gives_seconds_and_hertz(name):
    model, spectrogram = learned(name)[0][""], learned(name)[1]
    labels = " ".join(
        label
        for show in model.pictures
        for ax in [model.plot(spectrogram, show=show)]
        for label in (ax.get_xlabel(), ax.get_ylabel())
    )
    assert "(frames)" not in labels
    assert "(bins)" not in labels
    assert "(s)" in labels or "(Hz)" in labels


@pytest.mark.parametrize("name", ["NMF", "REPETSim", "RPCA", "FastMNMF2", "CACGMM", "ILRMA"])
def test_arrays_of_another_library_are_drawn_alike(name):
    separator = _registry.load(_registry.METHODS[name].target)(**QUICK.get(name, {"stft": SMALL}))
    mixture = mixture_for(name, n_samples=RATE // 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one, other = (separator.separate(xp.asarray(mixture), RATE).model for xp in (np, array_api_strict))
    for show in (show for show in one.pictures[:2] if not show.startswith("mask of")):
        left, right = (model.plot(show=show) for model in (one, other))
        for drawn, again in zip(left.collections, right.collections, strict=True):
            if drawn.get_array() is not None:
                assert np.allclose(drawn.get_array(), again.get_array(), atol=0.5)
        for drawn, again in zip(left.lines, right.lines, strict=True):
            assert np.allclose(drawn.get_xydata(), again.get_xydata(), rtol=1e-3)


def test_an_oracle_is_looked_at_with_a_spectrogram():
    parts = {"a": mixture_for("HPSS"), "b": mixture_for("HPSS")[::-1].copy()}
    oracle = IRM(references=parts, stft=SMALL)
    mixture = parts["a"] + parts["b"]
    model, spectrogram = oracle.separate(mixture, RATE).model, SMALL.forward(mixture, RATE)
    assert model.pictures == ("mask of a", "mask of b", "mask of residual")
    check_drawn(model.plot(spectrogram))
    with pytest.raises(InputError, match=r"^spectrogram must be given for 'mask of a'; got None"):
        model.plot()


def test_masks_are_those_of_the_model():
    models, spectrogram = learned("HPSS")
    masks = models[""].masks(spectrogram)
    for name, mask in masks.items():
        mesh = models[""].plot(spectrogram, show=f"mask of {name}").collections[-1]
        assert np.array_equal(mesh.get_array(), mask[0])


def test_marks_are_where_the_models_say():
    bursts = np.tile(np.random.default_rng(0).standard_normal(2000) * np.exp(-np.arange(2000) / 300), 8)
    spectrogram = SMALL.forward(bursts, RATE)
    model = dspsep.REPET(stft=SMALL, min_period_seconds=0.1).fit(spectrogram)
    _, period, *_ = model.plot(spectrogram).lines
    assert period.get_xdata()[0] == model.period == pytest.approx(0.25, abs=0.01)
    assert len(model.plot().lines) == 1  # in frames it is not known where a period in seconds is
    model = learned("ADRess")[0][""]
    assert [line.get_xdata()[0] for line in model.plot().lines[1:]] == list(model.positions)
    model = learned("DUET")[0][""]
    expected = [(1e3 * delay, 20 * np.log10(gain)) for gain, delay in model.peaks]
    assert np.allclose(model.plot().lines[0].get_xydata(), expected)
    model = learned("KAM")[0][""]
    assert model.plot().lines[1].get_xdata()[0] == model.periods[0]


def test_rules_are_those_of_the_settings():
    with_margin = dspsep.HPSS(stft=SMALL, margin=2.0, power=1.0)
    ax = with_margin.fit(SMALL.forward(np.ones(900), RATE)).plot()
    shares = {line.get_label(): dict(line.get_xydata().tolist()) for line in ax.lines}
    assert {name: share[0.0] for name, share in shares.items()} == pytest.approx(
        {"harmonic": 1 / 3, "percussive": 1 / 3, "residual": 1 / 3}
    )
    model = dspsep.MidSide(stft=SMALL, width=0.2).fit(SMALL.forward(np.ones((2, 900)), RATE))
    decibels, center = model.plot().lines[0].get_xydata().T
    assert np.interp(-20 * np.log10(1 - 0.2), decibels, center) == pytest.approx(0.5, abs=0.01)
    model = dspsep.HighLowPass(stft=SMALL, cutoff_hertz=1000.0).fit(SMALL.forward(np.ones(900), RATE))
    assert dict(model.plot().lines[0].get_xydata().tolist())[1000.0] == 0.5


def test_factors_are_drawn_as_levels():
    model = learned("NMF")[0][""]
    levels = model.templates.sum(axis=0)[:, None] * model.activations
    expected = np.maximum(20 * np.log10(np.maximum(levels / levels.max(), 1e-9)), -60)
    ax = model.plot(show="activations")
    assert np.allclose(ax.collections[0].get_array(), expected)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["two 0", "residual", "two 1"]
    model = learned("FastMNMF2")[0][""]
    A, g = np.linalg.inv(model.demixing), model.directivity
    power = np.array([[(A[f] * g[n] @ A[f].conj().T).diagonal().real for f in range(129)] for n in range(2)])
    shares = 10 * np.log10(power / power.sum(axis=2, keepdims=True))
    drawn = model.plot(show="levels").collections[0].get_array()
    assert np.allclose(drawn, np.maximum(shares.transpose(0, 2, 1).reshape(4, 129), -30), atol=1e-3)


def test_what_cannot_be_shown_is_refused():
    models, spectrogram = learned("HPSS")
    model = models[""]
    with pytest.raises(
        InputError, match=r"^show must be one of 'mask of harmonic', .*'shares'; got 'losses'"
    ):
        model.plot(show="losses")
    with pytest.raises(InputError, match=r"^spectrogram must be a Spectrogram; got a ndarray"):
        model.plot(spectrogram.values)
    with pytest.raises(InputError, match=r"^spectrogram must be of 126 frames, as the model is; got 2"):
        learned("REPETSim")[0][""].plot(SMALL.forward(np.ones(100), RATE))


def test_a_model_of_ones_own_without_pictures_says_so():
    class Silent(Model):
        source_names = ("one",)

    assert Silent().pictures == ()
    with pytest.raises(InputError, match=r"^show must be"):
        Silent().plot()


def test_stored_models_are_drawn_alike(tmp_path):
    models, spectrogram = learned("NMF")
    models[""].save(tmp_path / "nmf.npz")
    drawn = [
        np.asarray(model.plot(spectrogram).collections[0].get_array())
        for model in (models[""], dspsep.load_model(tmp_path / "nmf.npz"))
    ]
    assert np.array_equal(*drawn)
