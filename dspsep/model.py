"""What a separator learned: frozen, small, to be looked at, stored, and applied to other mixtures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from dspsep import _serial
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.stft import Spectrogram

__all__ = ["MaskModel", "Model", "check_fits", "load_model"]


class Model(ABC):
    """Base class of everything that a separator learns.

    A model is a frozen dataclass of parameters: templates, periods, matrices. It holds nothing of the size
    of a spectrogram; such things are computed from it again.
    """

    @property
    @abstractmethod
    def source_names(self) -> tuple[str, ...]:
        """The names of the sources, in order."""

    def save(self, path: str | Path) -> None:
        """Write the model to one ``.npz`` file: arrays, and a JSON header. No pickle.

        Parameters
        ----------
        path : str or Path
            Usually ending in ``.npz``.

        See Also
        --------
        load_model : Read it again.

        Examples
        --------
        >>> import tempfile, numpy as np, dspsep
        >>> model = dspsep.HPSS().separate(np.ones(8000), 8000).model
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(folder + "/hpss.npz")
        ...     dspsep.load_model(folder + "/hpss.npz") == model
        True
        """
        _serial.write_npz(path, self)


class MaskModel(Model):
    """A model that separates by masking a spectrogram. Subclasses write `iter_masks`."""

    @abstractmethod
    def iter_masks(self, spectrogram: Spectrogram) -> Iterator[Array]:
        """Yield one mask after the other, in the order of `source_names`.

        Each has the shape (n_channels or 1, n_freqs, n_frames), lies in [0, 1], and they sum to one. They are
        made one at a time, so that what exists at once does not grow with the number of sources. The last
        one is not asked for when sources are made: the last source is what the others leave.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of the mixture.

        Yields
        ------
        array of shape (n_channels or 1, n_freqs, n_frames)
            The share of each bin that belongs to the source.
        """

    def masks(self, spectrogram: Spectrogram) -> dict[str, Array]:
        """Return all masks by name.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of the mixture that was learned from, or of another one.

        Returns
        -------
        dict of str to array of shape (n_channels or 1, n_freqs, n_frames)
            In [0, 1]; they sum to one.

        Examples
        --------
        >>> import numpy as np
        >>> from dspsep import HPSS
        >>> hpss = HPSS()
        >>> spectrogram = hpss.stft.forward(np.ones(8000), 8000)
        >>> masks = hpss.fit(spectrogram).masks(spectrogram)
        >>> list(masks), masks["harmonic"].shape
        (['harmonic', 'percussive'], (1, 1025, 16))
        """
        return dict(zip(self.source_names, self.iter_masks(spectrogram), strict=True))


def check_fits(
    spectrogram: Spectrogram,
    n_frames: int,
    n_freqs: int | None = None,
    *,
    remedy: str = "Fit the separator to this spectrogram.",
) -> None:
    """Refuse a spectrogram of other frames, or other bins, than a model is of.

    Raises
    ------
    InputError
        If it has another number of either.
    """
    if n_freqs is None:
        if spectrogram.n_frames != n_frames:
            raise InputError("spectrogram", f"of {n_frames} frames", f"{spectrogram.n_frames}", remedy)
    elif (spectrogram.n_freqs, spectrogram.n_frames) != (n_freqs, n_frames):
        got = f"{spectrogram.n_freqs} bins and {spectrogram.n_frames} frames"
        requirement = f"of {n_freqs} bins and {n_frames} frames, as the model is"
        raise InputError("spectrogram", requirement, got, remedy)


def load_model(path: str | Path) -> Model:
    """Read a model that `Model.save` wrote.

    Parameters
    ----------
    path : str or Path
        The ``.npz`` file.

    Returns
    -------
    Model
        Equal to the one that was saved.

    Raises
    ------
    InputError
        If there is no such file, or it holds anything but a model of dspsep. No code in it is run.

    Examples
    --------
    >>> import dspsep
    >>> dspsep.load_model("nothing.npz")
    Traceback (most recent call last):
    dspsep.errors.InputError: path must be a file that dspsep wrote; got nothing at 'nothing.npz'.
    """
    model = _serial.read_npz(path)
    if not isinstance(model, Model):
        raise InputError("path", "a model of dspsep", f"a {type(model).__name__} in {str(path)!r}")
    return model
