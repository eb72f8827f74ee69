"""Centre extraction: a plain loop, panned tones, what is exact, real music."""

from __future__ import annotations

import numpy as np
import pytest

from dspsep import STFT, InputError, MidSide, MidSideModel, center_mask, from_json
from dspsep.data import scenes
from dspsep.metrics import si_sdr
from tests.cases import case_names, real_case
from tests.test_stft import noise

RATE = 16000
SMALL = STFT(256)


def by_loops(L, R, width):
    """Return the mask, from the similarity of the two channels one bin after the other."""
    mask = np.zeros(L.shape)
    gain = 1 - width
    similarity_at_width = 2 * gain / (1 + gain**2)
    for place in np.ndindex(*L.shape):
        both = (L[place] * np.conj(R[place])).real
        similarity = 2 * both / (abs(L[place]) ** 2 + abs(R[place]) ** 2)
        mask[place] = 0.5 ** (((1 - similarity) / (1 - similarity_at_width)) ** 2)
    return mask


@pytest.mark.core
@pytest.mark.parametrize("width", [0.05, 0.2, 1.0])
def test_it_is_what_loops_find(width):
    L, R = noise(600).reshape(20, 30) + 1j, noise(600, seed=1).reshape(20, 30) + 1.2j
    np.testing.assert_allclose(center_mask(L, R, width=width), by_loops(L, R, width), atol=1e-12)
    single = center_mask(L.astype(np.complex64), R.astype(np.complex64), width=width)
    assert single.dtype == np.float32


@pytest.mark.core
def test_the_mask_is_half_at_the_width():
    for width in (0.01, 0.2, 0.7, 1.0):
        edge = np.array([1 - width])
        for L, R in ((np.ones(1), edge), (1j * edge, 1j * np.ones(1))):
            np.testing.assert_allclose(center_mask(L, R, width=width), 0.5)


def test_equal_channels_are_centre_and_opposite_ones_sides():
    one = noise(5000)
    equal = MidSide(stft=SMALL).separate(np.stack([one, one]), RATE)
    np.testing.assert_allclose(equal["sides"], 0, atol=1e-12)
    opposite = MidSide(stft=SMALL).separate(np.stack([one, -one]), RATE)
    np.testing.assert_allclose(opposite["center"], 0, atol=1e-12)


def test_sources_that_share_no_bin_are_found():
    time = np.arange(RATE) / RATE
    voice = np.sin(2 * np.pi * 440 * time)
    images = {"center": np.stack([voice, voice])}
    images["sides"] = np.stack([np.sin(2 * np.pi * 1000 * time), 0.3 * np.sin(2 * np.pi * 3000 * time)])
    sources = MidSide().separate(sum(images.values()), RATE)
    for name, image in images.items():
        assert si_sdr(image, sources[name]) > 30


def test_low_frequencies_are_sides_if_wanted():
    spectrogram = SMALL.forward(np.stack([noise(4000)] * 2), RATE)
    masks = MidSide(stft=SMALL, cutoff_hertz=200).fit(spectrogram).masks(spectrogram)
    assert (masks["sides"][:, :4] == 1).all()
    assert (masks["center"][:, 4:] == 1).all()


def test_settings_are_values():
    separator = MidSide(width=np.float32(0.5), cutoff_hertz=100)
    assert separator == MidSide(width=0.5, cutoff_hertz=100.0)
    assert from_json(separator.to_json()) == separator
    for settings in ({"width": 0}, {"width": 1.1}, {"width": None}, {"cutoff_hertz": -1}):
        with pytest.raises(InputError, match=f"^{next(iter(settings))} must be"):
            MidSide(**settings)
        with pytest.raises(InputError, match=f"^{next(iter(settings))} must be"):
            MidSideModel(**{"width": 0.2, "cutoff_hertz": None, **settings})
    for pair in ((np.ones(3), np.ones(4)), (np.array([np.nan]), np.ones(1)), (np.array(["a"]), np.ones(1))):
        with pytest.raises(InputError):
            center_mask(*pair)


def centred_and_not():
    """Return a mixture, the one source in its centre, and the least gain of it."""
    case = real_case(case_names("d_pan")[0])
    if case.real:
        return case.mixture, case.references["bassguitar"], case.sample_rate, 12.4
    dry = scenes.instantaneous(n_sources=3, n_channels=3, duration=4.0).dry
    angles = np.radians([45, 15, 75])
    images = np.stack([np.cos(angles), np.sin(angles)]).T[:, :, None] * dry[:, None, :]
    return images.sum(axis=0), images[0], RATE, 5.0


def test_what_is_in_the_centre_of_music_is_found():
    mixture, truth, rate, least = centred_and_not()
    sources = MidSide().separate(mixture, rate)
    assert si_sdr(truth, sources["center"]) - si_sdr(truth, mixture) > least
    # The mid channel of sound engineers is far behind.
    mid = np.broadcast_to(mixture.mean(axis=0), mixture.shape)
    assert si_sdr(truth, mid) - si_sdr(truth, mixture) < least - 3
