"""Two ratios in decibels: how loud the reference is, over how loud the error is.

With a reference s and an estimate ŝ, each taken as one vector of all samples of all channels,

    SDR    = 10 log10( |s|² / |s − ŝ|² )
    SI-SDR = 10 log10( |α s|² / |α s − ŝ|² ),    α = ⟨ŝ, s⟩ / |s|²

The SDR counts a wrong level as an error. The SI-SDR projects the estimate on the reference, and so lets
the estimate have any level: what is left over is the error. Neither allows a filter.

References
----------
J. Le Roux, S. Wisdom, H. Erdogan and J. R. Hershey, "SDR – half-baked or well done?", ICASSP 2019,
pp. 626–630. DOI 10.1109/ICASSP.2019.8683855
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

from dspsep import _backend
from dspsep.metrics._signals import Signal, alike, centred, require_sound, scaling, totals

__all__ = ["BY_NAME", "Metric", "sdr", "sdr_of", "si_sdr", "si_sdr_of"]

#: What scores one estimate against its reference: larger is better.
Metric: TypeAlias = Callable[[Any, Any], float]


def si_sdr(reference: object, estimate: object, *, zero_mean: bool = False) -> float:
    """Return the scale-invariant signal-to-distortion ratio of one estimate.

    Use it where the level of a source means nothing: instantaneous and determined mixtures, speech,
    anything whose scale a method cannot know. Do not use it to tell whether sources add up to the
    mixture: an estimate ten times too loud scores like the right one.

    Parameters
    ----------
    reference : array of shape (n_samples,) or (n_channels, n_samples)
        The true source. Several channels are one vector with one scale for all: an estimate that
        gets the balance between the channels wrong is punished for it.
    estimate : array of the same shape
        What a method made of it.
    zero_mean : bool, default=False
        Take away the mean of each channel of both first. The definition does not; the *SI-SNR* of the
        speech literature does, and microphones with a constant offset need it.

    Returns
    -------
    float
        In decibels. ``inf`` if the estimate is the reference times a number, exactly; ``-inf`` if it is
        orthogonal to the reference, as a silent estimate is.

    Raises
    ------
    InputError
        If either is not finite audio, if the shapes differ, or if the reference is silent (with
        `zero_mean`: constant).
    BackendError
        If they are arrays of different libraries.

    See Also
    --------
    sdr : The same without the freedom of a scale.
    score : All sources of a separation at once.

    Notes
    -----
    A ratio of 0 dB means as much error as source; 10 dB is a good separation of music by the methods of
    this library. The score of the untouched mixture belongs beside any score: it says what was gained.

    The error is added up from the samples of α s − ŝ, in double precision for audio of any type, and not
    as a difference of energies, which would lose scores above some 80 dB in single and 150 dB in double
    precision. Beyond about 300 dB it is the rounding of double precision that is measured. An estimate
    with the sign flipped scores like the one without.

    Three passes over the samples (five with `zero_mean`); memory of a few megabytes, whatever the length.

    References
    ----------
    J. Le Roux, S. Wisdom, H. Erdogan and J. R. Hershey, "SDR – half-baked or well done?", ICASSP 2019,
    pp. 626–630. DOI 10.1109/ICASSP.2019.8683855

    Examples
    --------
    An error at right angles to the source, with a hundredth of its energy, at any level:

    >>> import numpy as np
    >>> from dspsep.metrics import si_sdr
    >>> reference = np.array([1.0, 1.0, 1.0, 1.0])
    >>> error = np.array([0.1, -0.1, 0.1, -0.1])
    >>> round(si_sdr(reference, 0.3 * (reference + error)), 6)
    20.0
    """
    pair = alike([("reference", reference), ("estimate", estimate)])
    if zero_mean:
        pair = [centred(signal) for signal in pair]
    return si_sdr_of(*pair)


def sdr(reference: object, estimate: object) -> float:
    """Return the plain signal-to-distortion ratio of one estimate: no scale, no filter.

    This is the energy of the reference over the energy of the difference. It is the score of the
    Music Demixing Challenge, also called uSDR, and the SDR that BSS Eval v4 gives for source images when it
    is computed on the whole file. It is *not* the SDR of BSS Eval v3, which forgives a filter of 512 taps,
    and published numbers of the two cannot be compared.

    Parameters
    ----------
    reference : array of shape (n_samples,) or (n_channels, n_samples)
        The true source, as it is in the mixture. Channels are taken together.
    estimate : array of the same shape
        What a method made of it.

    Returns
    -------
    float
        In decibels. ``inf`` if the two are equal; 0 if the estimate is silent, so that a negative score is
        worse than nothing at all.

    Raises
    ------
    InputError
        If either is not finite audio, if the shapes differ, or if the reference is silent.
    BackendError
        If they are arrays of different libraries.

    See Also
    --------
    si_sdr : The same for methods that cannot know the level of a source.
    score : All sources of a separation at once.

    Notes
    -----
    The challenge adds 1e-7 to both energies, which keeps the ratio of silence finite. Here nothing is
    added: the score does not depend on the unit of the samples, and a silent reference is an error.

    Computed in double precision for audio of any type, in three passes, with memory of a few megabytes.

    References
    ----------
    Y. Mitsufuji, G. Fabbro, S. Uhlich, F.-R. Stöter, A. Défossez, M. Kim, W. Choi, C.-Y. Yu and K.-W. Cheuk,
    "Music Demixing Challenge 2021", Frontiers in Signal Processing 1, 2022. DOI 10.3389/frsip.2021.808395

    Examples
    --------
    An estimate at half the right level has an error of half the reference:

    >>> import numpy as np
    >>> from dspsep.metrics import sdr
    >>> reference = np.array([[1.0, -2.0], [0.5, 3.0]])
    >>> round(sdr(reference, reference / 2), 2)
    6.02
    """
    return sdr_of(*alike([("reference", reference), ("estimate", estimate)]))


def si_sdr_of(reference: Signal, estimate: Signal) -> float:
    """Return the scale-invariant ratio of signals that have been checked."""
    require_sound(reference)
    if estimate.silent:
        return -math.inf
    xp = _backend.namespace(reference.array)
    # Each signal is read at a scale of its own: this ratio does not see it.
    own, other = scaling(reference.peak), scaling(estimate.peak)
    energy, product = totals(
        (xp.sum(s * s), xp.sum(s * x))
        for s, x in zip(reference.blocks(own), estimate.blocks(other), strict=True)
    )
    alpha = product / energy
    if alpha == 0:
        return -math.inf
    (error,) = totals(
        (xp.sum((alpha * s - x) ** 2),)
        for s, x in zip(reference.blocks(own), estimate.blocks(other), strict=True)
    )
    return _decibels(energy, error) + 20 * math.log10(abs(alpha))


def sdr_of(reference: Signal, estimate: Signal) -> float:
    """Return the plain ratio of signals that have been checked."""
    require_sound(reference)
    xp = _backend.namespace(reference.array)
    # The difference needs one scale for both, in which the reference alone may be too small to be squared.
    own, common = scaling(reference.peak), scaling(max(reference.peak, estimate.peak))
    (energy,) = totals((xp.sum(s * s),) for s in reference.blocks(own))
    (error,) = totals(
        (xp.sum((s - x) ** 2),)
        for s, x in zip(reference.blocks(common), estimate.blocks(common), strict=True)
    )
    return _decibels(energy, error) + 20 * math.log10(2) * (common - own)


def _decibels(energy: float, error: float) -> float:
    if error == 0:
        return math.inf
    # A difference of logarithms, because the ratio itself can leave the range of double precision.
    return 10 * (math.log10(energy) - math.log10(error))


#: The metrics that have a name, on signals that have been checked.
BY_NAME: dict[str, Callable[[Signal, Signal], float]] = {"si_sdr": si_sdr_of, "sdr": sdr_of}
