"""Mixtures without a room: independent sources through a matrix of gains."""

from __future__ import annotations

import numpy as np

from dspsep import _checks
from dspsep._typing import FloatArray
from dspsep.data.scenes._scene import Scene, check_channels, check_settings, mix, stream
from dspsep.data.scenes._tones import add_at, faded_out, hertz, plucked
from dspsep.data.scenes._voice import talk

#: Singular values of a mixing matrix span this ratio, before its columns are brought to one length.
_SPREAD = 3.0


def independent_sources(seed: int, n_sources: int, n_samples: int, rate: float) -> FloatArray:
    """Return sources (n_sources, n_samples) of unit RMS that know nothing of each other.

    Talkers and plucked melodies in turn: both are far from Gaussian, and differ in spectrum.
    """
    sources = np.zeros((n_sources, n_samples))
    for index in range(n_sources):
        rng = stream(seed, 20, index)
        make = _arpeggio if index % 2 else talk
        sources[index] = make(rng, index // 2, n_samples, rate)
    return at_unit_level(sources)


def at_unit_level(sources: FloatArray) -> FloatArray:
    """Return sources (n_sources, n_samples) without offset, each of unit RMS unless it is silent."""
    if sources.shape[1] > 1:
        sources = sources - sources.mean(axis=1, keepdims=True)
    level = np.sqrt(np.mean(sources**2, axis=1, keepdims=True))
    return np.asarray(sources / np.where(level > 0, level, 1))


def _arpeggio(rng: np.random.Generator, player: int, n_samples: int, rate: float) -> FloatArray:
    """Return a plucked melody (n_samples,) of a tempo and a range of its own."""
    track = np.zeros(n_samples)
    low = 50 + 5 * (player % 4)
    scale = low + np.array([0, 3, 5, 7, 10, 12, 15, 17])
    beat = float(rng.uniform(0.16, 0.27))
    place, clock = int(rng.integers(8)), float(rng.uniform(0, 0.1))
    while clock * rate < n_samples:
        place = int(np.clip(place + rng.choice([-2, -1, 1, 2, 3]), 0, 7)) if rng.random() < 0.9 else 0
        length = beat * int(rng.choice([1, 1, 2, 3]))
        n = max(2, round((length + 0.12) * rate))
        tone = plucked(float(hertz(float(scale[place]))), n, rate, damping=3.5, brightness=900.0)
        tone *= np.minimum(1, np.arange(n) / (0.003 * rate)) * rng.uniform(0.6, 1.0)
        add_at(track, clock, faded_out(tone, rate, 0.1), rate)
        clock += length
    return track


def _well_conditioned(rng: np.random.Generator, n_channels: int, n_sources: int) -> FloatArray:
    """Return random gains (n_channels, n_sources) of full rank, with columns of unit length."""
    u, s, vh = np.linalg.svd(rng.standard_normal((n_channels, n_sources)), full_matrices=False)
    matrix = (u * np.geomspace(1.0, 1.0 / _SPREAD, len(s))) @ vh
    # With a single channel, or nearly, a column can come out close to nothing: lifted before scaling.
    matrix = np.where(np.abs(matrix) < 1e-3, 1e-3, matrix)
    return np.asarray(matrix / np.linalg.norm(matrix, axis=0))


def instantaneous(
    *,
    n_sources: int = 2,
    n_channels: int | None = None,
    duration: float = 5.0,
    sample_rate: float = 16000,
    seed: int = 0,
) -> Scene:
    """Make an instantaneous mixture: independent sources through a random matrix, without delays.

    The model of FastICA, Infomax, Picard, JADE and SOBI: mixture = mixing @ dry.

    Parameters
    ----------
    n_sources : int, default=2
        Talkers and plucked melodies in turn: independent and not Gaussian.
    n_channels : int, optional
        How many sensors, at most 64; as many as sources if not given. Fewer is an underdetermined mixture.
    duration : float, default=5.0
        In seconds: any, from one sample up.
    sample_rate : float, default=16000
        In hertz, at least 2000.
    seed : int, default=0
        Decides the sources and the matrix.

    Returns
    -------
    Scene
        In single precision: sources ``source_1``, ``source_2``, … as images (n_channels, n_samples), each
        the outer product of a column of `mixing` (n_channels, n_sources) and a row of `dry`. The columns
        have unit length; the sources have equal power.

    Raises
    ------
    InputError
        If a setting is out of range.

    Notes
    -----
    The condition number is at most 3 √n_sources: singular values spread evenly over a ratio of three, then
    columns of one length, which costs at most the root (van der Sluis, "Condition numbers and equilibration
    of matrices", Numerische Mathematik 14, 1969, DOI 10.1007/BF02165096).

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep.data.scenes import instantaneous
    >>> scene = instantaneous(n_sources=3, duration=1.0)
    >>> scene.mixture.shape, scene.mixing.shape
    ((3, 16000), (3, 3))
    >>> bool(np.allclose(scene.mixing @ scene.dry, scene.mixture, atol=1e-6))
    True
    """
    n_samples, rate, number = check_settings(duration, sample_rate, seed)
    count = _checks.integer("n_sources", n_sources, minimum=1)
    channels = check_channels(count if n_channels is None else n_channels)
    mixing = _well_conditioned(stream(number, 21), channels, count)
    return mix(
        independent_sources(number, count, n_samples, rate),
        mixing,
        rate,
        description=f"{count} independent sources at {channels} sensors, without delays.",
    )


def panned(*, n_sources: int = 3, duration: float = 5.0, sample_rate: float = 44100, seed: int = 0) -> Scene:
    """Make an amplitude-panned stereo mixture: each source at its place between left and right.

    The model of ADRess, PROJET and DUET without delays.

    Parameters
    ----------
    n_sources : int, default=3
        Talkers and plucked melodies in turn, from left to right.
    duration : float, default=5.0
        In seconds: any, from one sample up.
    sample_rate : float, default=44100
        In hertz, at least 2000.
    seed : int, default=0
        Decides the sources and their places.

    Returns
    -------
    Scene
        Stereo, in single precision: sources ``source_1``, ``source_2``, … and `mixing`, the gains
        (2, n_sources) of constant power: left and right are the cosine and the sine of one angle.

    Raises
    ------
    InputError
        If a setting is out of range.

    Examples
    --------
    >>> from dspsep.data.scenes import panned
    >>> scene = panned(duration=1.0, sample_rate=16000)
    >>> bool((scene.mixing[0, :-1] > scene.mixing[0, 1:]).all())
    True
    """
    n_samples, rate, number = check_settings(duration, sample_rate, seed)
    count = _checks.integer("n_sources", n_sources, minimum=1)
    # Each source has an equal share of the quarter circle, and strays by less than a quarter of it.
    stray = stream(number, 22).uniform(-0.2, 0.2, count)
    angles = (np.arange(count) + 0.5 + stray) / count * np.pi / 2
    return mix(
        independent_sources(number, count, n_samples, rate),
        np.stack([np.cos(angles), np.sin(angles)]),
        rate,
        description=f"{count} sources in stereo, told apart by how loud they are left and right.",
        facts={"angles_degrees": tuple(float(angle) for angle in np.degrees(angles))},
    )
