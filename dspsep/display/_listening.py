"""The part of a page that is heard and looked at: the player, and what its sounds and pictures are."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dspsep._typing import Array
from dspsep.display import _sound
from dspsep.display._figures import Spectrograms
from dspsep.display._html import Markup, element, number
from dspsep.display._levels import about_level, level_of
from dspsep.display._parts import section
from dspsep.display._player import Strip, player
from dspsep.display._sound import Sounds

__all__ = ["Heard", "listen"]


@dataclass(frozen=True)
class Heard:
    """A sound of a page.

    Attributes
    ----------
    name : str
        What it is called.
    signal : array of shape (n_channels, n_samples)
        On the host, finite.
    role : {"mixture", "source", "reference"}
        As of `Strip`.
    of, group : str or None
        As of `Strip`.
    about : str
        What to say of it beside its levels.
    """

    name: str
    signal: Array
    role: Literal["mixture", "source", "reference"] = "source"
    of: str | None = None
    group: str | None = None
    about: str = ""


def listen(title: str, heard: Sequence[Heard], rate: float, *, max_bytes: int = sys.maxsize) -> Markup:
    """Return the section of a page with its player, the mixture being the first sound.

    Parameters
    ----------
    title : str
        Of the page.
    heard : sequence of Heard
        All of one shape; those of a group follow one another.
    rate : float
        In hertz.
    max_bytes : int, optional
        Of this section: sounds are coded so that it stays below, down to a quality that is bearable.

    Returns
    -------
    Markup
        The section.
    """
    signals = [sound.signal for sound in heard]
    pictures = Spectrograms(signals, rate)
    figures = [
        pictures.figure(index, "the mixture" if sound.role == "mixture" else sound.name)
        for index, sound in enumerate(heard)
    ]
    # Base64 makes four characters of three bytes.
    left = max(0, max_bytes - sum(map(len, figures)) - 1000 * len(heard)) * 3 // 4
    sounds = _sound.encode(signals, rate, left)
    loudness = level_of(signals[0])
    strips = [
        Strip(
            name=sound.name,
            audio=uri,
            role=sound.role,
            of=sound.of,
            group=sound.group,
            picture=figure,
            about=[
                *([sound.about] if sound.about else []),
                *about_level(level_of(sound.signal), None if sound.role == "mixture" else loudness),
            ],
        )
        for sound, uri, figure in zip(heard, sounds.uris, figures, strict=True)
    ]
    n_encoded = math.ceil(signals[0].shape[1] * sounds.sample_rate / rate)
    duration = n_encoded / sounds.sample_rate
    played = player(strips, duration=duration, sample_rate=sounds.sample_rate, label=title)
    return section("Listen", element("p", _about_sounds(sounds)), pictures.scale(), played)


def _about_sounds(sounds: Sounds) -> str:
    """Return what was done to all sounds alike, so that nobody mistakes it for the separation."""
    if sounds.gain == 1:
        sentences = [
            "Levels are true: nothing was normalised, so a quiet source sounds quiet and looks dark."
        ]
    else:
        sentences = [
            f"Every sound here is {number(-20 * math.log10(sounds.gain))} dB quieter than the original, all "
            "by the same factor, because one of them would clip. Nothing else was done to the levels."
        ]
    if sounds.lossless:
        sentences.append("Sound is lossless (FLAC, 16 bits).")
    else:
        sentences.append(
            f"Sound is MP3 at {sounds.sample_rate / 1000:g} kHz, to keep the file small: good to judge by "
            "ear, not to measure."
        )
    if sounds.first_channel_only:
        sentences.append("Of the channels, the first is heard; pictures average the energy of all.")
    return " ".join(sentences)
