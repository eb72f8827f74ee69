"""FastMNMF2 on what is out of the ordinary: powers, models of files, separators of anyone that begin."""

from __future__ import annotations

import numpy as np
import pytest

from dspsep import STFT, FastMNMF2, FastMNMF2Model, InputError, Separator
from tests.separators.test_fastmnmf import FACTORS, RATE, SMALL
from tests.test_stft import noise


@pytest.mark.core
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("factor", [1e-35, 1e-22, 1e22, 1e30])
def test_powers_beyond_single_precision(factor):
    stft = STFT(16)
    X = stft.forward(noise(200, "float64", 2), RATE)
    spectrogram = X.with_values((factor * X.values).astype("complex64"))
    model = FastMNMF2(stft=stft, n_components=2, n_iter=3, init="random").fit(spectrogram)
    assert model.activations.min() > 0
    images = list(model.iter_images(spectrogram))
    assert np.abs(sum(images) / factor - X.values).max() < 1e-5


@pytest.mark.filterwarnings("error")
def test_models_that_files_make_up():
    """What has no inverse, or leaves the range of numbers, is refused; bins of nobody are everybody's."""
    spectrogram = SMALL.forward(noise(3000, n_channels=2), RATE)
    model = FastMNMF2(stft=SMALL, n_components=2, n_iter=2, init="random").fit(spectrogram)
    good = {name: np.array(getattr(model, name)) for name in FACTORS}
    for Q in (0 * good["demixing"], np.ones_like(good["demixing"]), 1e300 * good["demixing"]):
        with pytest.raises(InputError, match="demixing"):
            FastMNMF2Model(**{**good, "demixing": Q}, losses=())
    with pytest.raises(InputError, match="templates"):
        FastMNMF2Model(
            **{
                **good,
                "templates": np.full_like(good["templates"], 1e200),
                "activations": np.full_like(good["activations"], 1e200),
            },
            losses=(),
        )
    for name in FACTORS[1:]:
        for nothing in (0 * good[name], np.where(np.arange(good[name].shape[-1]) == 0, 0, good[name])):
            images = FastMNMF2Model(**{**good, name: nothing}, losses=()).iter_images(spectrogram)
            assert np.abs(sum(images) - spectrogram.values).max() < 1e-5


class _Odd(Separator):
    """What the function that it is made with makes of a mixture."""

    source_names = None

    def __init__(self, make):
        self.make = make

    def separate(self, mixture, sample_rate, *, callback=None):
        return {"one": mixture, "other": self.make(mixture)}


@pytest.mark.parametrize("make", [lambda x: x[0], lambda x: x[:1], lambda x: x[:, 1:], lambda x: x * np.nan])
def test_what_begins_may_be_wrong(make):
    with pytest.raises(InputError, match="init must be a separator whose sources"):
        FastMNMF2(stft=SMALL, n_iter=1, init=_Odd(make)).separate(noise(3000, n_channels=2), RATE)
