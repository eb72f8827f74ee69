"""What a separator learned: frozen, small, to be looked at, stored, and applied to other mixtures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from dspsep import _checks, _serial
from dspsep._pictures import Picture, Pictures, Recipe, Scale, picture
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.stft import Spectrogram

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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

    @property
    def pictures(self) -> tuple[str, ...]:
        """The names of what `plot` can show, the most telling first."""
        return tuple(self._pictures())

    def plot(
        self, spectrogram: Spectrogram | None = None, *, show: str | None = None, ax: Axes | None = None
    ) -> Axes:
        """Draw what was learned.

        Parameters
        ----------
        spectrogram : Spectrogram, optional
            Of the mixture, as ``separator.stft.forward(mixture, sample_rate)`` has it. Models count frames
            and bins; with it axes are in seconds and hertz. Masks are made of it, and cannot be shown
            without.
        show : str, optional
            One of `pictures`. By default the first, or without a spectrogram the first that needs none.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default a new figure, which ``ax.figure`` is: show it in a notebook, or save it
            with ``ax.figure.savefig("picture.png")``. pyplot is neither imported nor changed.

        Returns
        -------
        matplotlib.axes.Axes
            With the picture, by a function of `dspsep.display`; there it is told what of it is where.

        Raises
        ------
        InputError
            If there is no such picture, if it is one of a spectrogram and none is given, or if the
            spectrogram is not of the mixture that was learned from.

        See Also
        --------
        dspsep.display : The functions that draw, with more settings.

        Notes
        -----
        A picture is one pair of axes. For all that a model can show, go over `pictures`.

        Examples
        --------
        >>> import dspsep
        >>> scene = dspsep.data.scenes.song(duration=2.0)
        >>> nmf = dspsep.NMF(n_components=3, n_iter=10)
        >>> spectrogram = nmf.stft.forward(scene.mixture, scene.sample_rate)
        >>> model = nmf.fit(spectrogram)
        >>> model.pictures[:3]
        ('templates', 'activations', 'losses')
        >>> model.plot(spectrogram).get_ylabel(), model.plot(show="losses").get_xlabel()
        ('Frequency (Hz)', 'Iteration')
        """
        if spectrogram is not None and not isinstance(spectrogram, Spectrogram):
            remedy = "It is what stft.forward(mixture, sample_rate) returns."
            raise InputError("spectrogram", "a Spectrogram", f"a {type(spectrogram).__name__}", remedy)
        recipes = self._pictures()
        if show is None:
            ready = (
                name for name, one in recipes.items() if spectrogram is not None or not one.needs_spectrogram
            )
            show = next(ready, next(iter(recipes), None))
        recipe = recipes[_checks.choice("show", show, recipes)]
        if recipe.needs_spectrogram and spectrogram is None:
            remedy = "It is what separator.stft.forward(mixture, sample_rate) returns."
            raise InputError("spectrogram", f"given for {show!r}", "None", remedy)
        return recipe.make(self._scale(spectrogram)).draw(ax)

    def _pictures(self) -> Pictures:
        """Return how each picture is made, the most telling first. Subclasses write it."""
        return {}

    def _scale(self, spectrogram: Spectrogram | None) -> Scale:
        """Return what is known of seconds and hertz; a model that knows more tells more."""
        return Scale.of(spectrogram)

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

    def _pictures(self) -> Pictures:
        """Return how masks are drawn: all that there is to see of a model that only has settings."""
        return self._mask_pictures()

    def _mask_pictures(self) -> Pictures:
        def recipe(number: int, name: str) -> Recipe:
            def make(scale: Scale) -> Picture:
                spectrogram = scale.spectrogram
                assert spectrogram is not None  # noqa: S101 - `plot` refuses without
                mask = next(islice(self.iter_masks(spectrogram), number, None))
                times, frequencies = spectrogram.times(), spectrogram.frequencies()
                return picture("mask", mask, times=times, frequencies=frequencies, name=name)

            return Recipe(make, needs_spectrogram=True)

        return {f"mask of {name}": recipe(number, name) for number, name in enumerate(self.source_names)}


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
