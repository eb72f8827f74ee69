"""Oracles on arrays of another library: references wait on the host, results stay on the device."""

from __future__ import annotations

import numpy as np
import pytest

from dspsep import STFT, HighLowPass, MixtureAsEstimate
from dspsep.oracle import IBM, IRM, IWM, MWF, PSM
from tests.oracle.test_oracles import references_and_mixture
from tests.test_array_api import check_near, exits, on_device

__all__ = ["exits"]

SMALL = STFT(64)


@pytest.mark.core
@pytest.mark.parametrize("kind", [IBM, IRM, IWM, PSM, MWF])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_channels", [None, 2, 3])
def test_oracles(kind, dtype, n_channels, exits):
    references, mixture = references_and_mixture(2, 700, n_channels, noise=0.1, dtype=dtype)
    oracle = kind(references=references, stft=SMALL)
    expected = oracle.separate(mixture, 8000)
    sources = oracle.separate(on_device(mixture), 8000)
    assert exits() == 1  # the peak
    tolerance = 1e-10 if dtype is np.float64 else 1e-4
    for name in expected:
        check_near(sources[name], expected[name], tolerance)


def test_references_may_come_from_a_device():
    references, _ = references_and_mixture(2, 300)
    there = {name: on_device(audio) for name, audio in references.items()}
    assert IRM(references=there, stft=SMALL) == IRM(references=references, stft=SMALL)


def test_masks_stay_on_the_device():
    references, mixture = references_and_mixture(2, 300)
    model = IRM(references=references, stft=SMALL).separate(mixture, 8000).model
    spectrogram = SMALL.forward(mixture, 8000)
    there = SMALL.forward(on_device(mixture), 8000)
    expected = model.masks(spectrogram)
    for name, mask in model.masks(there).items():
        check_near(mask, expected[name], 1e-9)


@pytest.mark.core
@pytest.mark.parametrize(
    "separator", [MixtureAsEstimate(), HighLowPass(stft=SMALL, cutoff_hertz=700)], ids=repr
)
def test_baselines(separator, exits):
    _, mixture = references_and_mixture(2, 700, dtype=np.float32)
    expected = separator.separate(mixture, 8000)
    sources = separator.separate(on_device(mixture), 8000)
    assert exits() == 1
    for name in expected:
        check_near(sources[name], expected[name], 1e-5)
