"""ADRess: the whole grid of gains by loops, panned tones, places that are given, real music."""

from __future__ import annotations

import numpy as np
import pytest

from dspsep import STFT, ADRess, ADRessModel, DspsepWarning, InputError, adress_nulls, from_json
from dspsep.metrics import si_sdr
from tests.cases import case_names, real_case
from tests.test_stft import noise

RATE = 16000
SMALL = STFT(256)


def by_loops(L, R, n_gains):
    """Return place and depth of the null of each bin: the paper's planes, one gain after the other."""
    places, depths = np.zeros(L.shape), np.zeros(L.shape)
    gains = np.arange(n_gains + 1) / n_gains
    for at in np.ndindex(*L.shape):
        right_is_louder = abs(R[at]) > abs(L[at])
        louder, softer = (R[at], L[at]) if right_is_louder else (L[at], R[at])
        plane = np.array([abs(softer - gain * louder) for gain in gains])
        null = plane.argmin()
        places[at] = (1 - gains[null]) * (1 if right_is_louder else -1)
        depths[at] = 1 - plane[null] / plane.max()
    return places, depths


@pytest.mark.core
@pytest.mark.parametrize("n_gains", [2, 7, 100])
def test_it_is_what_a_search_over_gains_finds(n_gains):
    rng = np.random.default_rng(0)
    L, R = (rng.standard_normal((15, 40)) + 1j * rng.standard_normal((15, 40)) for _ in range(2))
    R[:, :20] = L[:, :20] * rng.uniform(0.1, 4, (15, 20))  # half of the bins are panned
    for found, expected in zip(adress_nulls(L, R, n_gains=n_gains), by_loops(L, R, n_gains), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.core
def test_known_nulls():
    places, depths = adress_nulls(np.array([1, 0, 1, 1, 0.25, 0, -1]), np.array([0, 1, 1, 0.25, 1, 0, 1]))
    np.testing.assert_allclose(places[:6], [-1, 1, 0, -0.75, 0.75, 0])
    np.testing.assert_allclose(depths, [1, 1, 1, 1, 1, 0, 0.5])


def tones(places):
    """Return images of tones that share no bin, at some places."""
    time = np.arange(RATE) / RATE
    images = []
    for number, place in enumerate(places):
        tone = np.sin(2 * np.pi * 400 * (number + 1) * time)
        images.append(np.stack([tone * min(1, 1 - place), tone * min(1, 1 + place)]))
    return images


@pytest.mark.parametrize("mask", ["soft", "hard"])
def test_panned_tones_are_found_from_left_to_right(mask):
    places = (0.6, -0.8, 0.0, 1.0)
    images = tones(places)
    sources = ADRess(n_sources=4, mask=mask).separate(sum(images), RATE)
    np.testing.assert_allclose(sources.model.positions, sorted(places), atol=1e-9)
    for number, index in enumerate(np.argsort(places)):
        assert si_sdr(images[index], sources[f"source_{number}"]) > 25
    energies = sources.model.energies
    assert energies.sum() == pytest.approx(1)
    assert energies[[20, 100, 160, 200]].sum() > 0.95


def test_what_is_elsewhere_is_the_residual():
    images = tones((-0.5, 0.5))
    sources = ADRess(positions=[-0.5], mask="hard").separate(sum(images), RATE)
    assert sources.names == ("source_0", "residual")
    for image, source in zip(images, sources.values(), strict=True):
        assert si_sdr(image, source) > 30
    # Where two places overlap, the nearer one counts.
    both = ADRess(positions=[-0.5, 0.5], width=2.0, mask="hard").separate(sum(images), RATE)
    for image, source in zip(images, both.values(), strict=False):
        assert si_sdr(image, source) > 30


def test_fewer_places_than_sources():
    one = noise(4000)
    with pytest.warns(
        DspsepWarning, match=r"\[W_FEW_SOURCES\] sources were found in 1 of 3 places"
    ) as caught:
        sources = ADRess(stft=SMALL).separate(np.stack([one, one]), RATE)
    assert caught[0].filename == __file__
    np.testing.assert_allclose(sources["source_0"], [one, one], atol=1e-12)
    assert not sources["source_1"].any()
    assert sources.model.positions == (0.0,)


def test_settings_are_values():
    separator = ADRess(positions=np.array([-0.5, 0.5]), width=np.float64(0.1))
    assert separator == ADRess(positions=[-0.5, 0.5], width=0.1, n_sources=2)
    assert from_json(separator.to_json()) == separator
    assert separator.streams(RATE)
    assert not ADRess().streams(RATE)
    for bad in (np.array(0.5), np.zeros((2, 2))):
        with pytest.raises(InputError, match=r"^positions must be"):
            ADRess(positions=bad)


@pytest.mark.parametrize(
    "settings",
    [
        {"positions": ()},
        {"positions": (2.0,)},
        {"positions": "left"},
        {"width": 0},
        {"width": 3},
        {"n_gains": 1},
        {"mask": "binary"},
        {"n_sources": 0},
    ],
    ids=str,
)
def test_settings_out_of_range(settings):
    (name,) = settings
    with pytest.raises(InputError, match=f"^{name} must be"):
        ADRess(**settings)
    if settings == {"positions": ()}:
        return
    good = {"positions": (0.0,), "n_sources": 1, "width": 1, "n_gains": 5, "mask": "soft"}
    with pytest.raises(InputError, match=f"^{name} must be"):
        ADRessModel(**{**good, "energies": np.zeros(11), **settings})


def test_models_of_other_shapes_are_refused():
    good = {"positions": (0.0,), "n_sources": 1, "width": 1, "n_gains": 5, "mask": "soft"}
    with pytest.raises(InputError, match=r"^energies must be"):
        ADRessModel(**good, energies=np.zeros(10))
    for bad in (np.full(11, np.nan), np.full(11, 1j), np.full(11, "a")):
        with pytest.raises(InputError, match=r"^energies must be"):
            ADRessModel(**good, energies=bad)
    with pytest.raises(InputError, match=r"^positions must be at most 1"):
        ADRessModel(**{**good, "positions": (0.0, 0.5)}, energies=np.zeros(11))


def test_a_panned_band_is_nearer_to_the_truth():
    case = real_case(case_names("d_pan")[0])
    n_sources = len(case.references)
    # Sources are from left to right, and so are images by how much of them is right.
    truths = sorted(case.references.values(), key=lambda x: np.sum(x[1] ** 2) / np.sum(x[0] ** 2))
    sources = ADRess(n_sources=n_sources).separate(case.mixture, case.sample_rate)
    gains = [
        si_sdr(truth, sources[f"source_{number}"]) - si_sdr(truth, case.mixture)
        for number, truth in enumerate(truths)
    ]
    # Half a decibel below what is measured: 11.4 dB, and 9.8 for the worst.
    assert np.mean(gains) > (10.9 if case.real else 7.0), gains
    assert min(gains) > (9.3 if case.real else 5.0), gains
