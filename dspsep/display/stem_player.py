"""The stem player in a notebook: an isolated frame, with everything that it plays inside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dspsep import _audio, _backend, _checks
from dspsep._typing import Array
from dspsep.display import _sound
from dspsep.display._figures import Spectrograms
from dspsep.display._html import document, element, frame, number, signed
from dspsep.display._player import Strip, player
from dspsep.display._waveforms import Waveforms
from dspsep.errors import InputError
from dspsep.sources import Sources

__all__ = ["StemPlayer", "play", "preview"]

PICTURES = ("spectrogram", "waveform")

#: What a notebook shows without being asked has at most this much sound, in seconds of all strips together.
#: At the 320 kbit/s that MP3 cannot exceed these are 2.4 MB, which is what lossless sound may have, too, and
#: 3.2 MB as text.
_PREVIEW_SECONDS = 60.0

#: Of each there is a picture, too, of some 10 kB.
_PREVIEW_SOURCES = 60

#: In pixels: the transport and the line of keys, and a strip with either picture. Tested in a browser.
_BAR_HEIGHT, _STRIP_HEIGHT, _NOTE_HEIGHT = 152, {"spectrogram": 184, "waveform": 131}, 38


@dataclass(frozen=True, eq=False, repr=False)
class StemPlayer:
    """A player of sources, as `Sources.play` returns it: a notebook shows it.

    Parameters
    ----------
    page : str
        One HTML document with the sounds, the pictures and the player, which loads nothing. Written to a
        file it is a page of its own.
    title : str
        What is played.
    height : int
        Of the frame in a notebook, in pixels.

    See Also
    --------
    dspsep.Sources.play : The way to one.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import Sources
    >>> sources = Sources.from_dict({"left": np.ones(800), "right": np.zeros(800)}, sample_rate=8000)
    >>> sources.play()
    StemPlayer(left, right)
    """

    page: str
    title: str
    height: int

    def _repr_html_(self) -> str:
        return frame(self.page, self.title, self.height)

    def __repr__(self) -> str:
        return f"StemPlayer({self.title})"


def play(
    sources: Sources,
    *,
    mixture: Any = None,
    references: Mapping[str, Any] | None = None,
    start: float = 0.0,
    duration: float | None = 60.0,
    picture: Literal["spectrogram", "waveform"] = "spectrogram",
) -> StemPlayer:
    """Return a player of `sources`; see `dspsep.Sources.play`."""
    _checks.choice("picture", picture, PICTURES)
    rate = _checks.sample_rate(sources.sample_rate)
    for name in sources:
        if not isinstance(name, str):
            raise InputError("a source's name", "a string", repr(name)[:60])
    part = _part(sources, start, duration)
    parts = {name: _excerpt(f"sources[{name!r}]", audio, sources, part) for name, audio in sources.items()}
    # Of the parts only: the sum of all there is may be long.
    total = Sources(parts, rate).mixture() if mixture is None else None
    if total is None:
        whole = _excerpt("mixture", mixture, sources, part)
    else:
        whole, _, _ = _audio.finite_samples_of("mixture", total)
    truths = _references(references, sources, part)
    signals = [whole, *parts.values(), *truths.values()]
    sounds = _sound.encode(signals, rate)
    pictures = Spectrograms(signals, rate) if picture == "spectrogram" else Waveforms(signals, rate)
    rows: list[tuple[str, Literal["mixture", "source", "reference"]]] = [("Mixture", "mixture")]
    rows += [(name, "source") for name in parts]
    rows += [(name, "reference") for name in truths]
    strips = [
        Strip(
            name=name,
            audio=sounds.uris[index],
            role=role,
            of=name if role == "reference" else None,
            picture=pictures.figure(index, "the mixture" if role == "mixture" else name),
            about=[] if role == "mixture" else [_level(signals[index], whole)],
        )
        for index, (name, role) in enumerate(rows)
    ]
    title = ", ".join(parts)
    seconds = (part.stop - part.start) / rate
    body = player(strips, duration=seconds, sample_rate=sounds.sample_rate, label=f"Player of {title}"[:200])
    notes = _notes(sources, part, sounds)
    if notes:
        body = element("div", body, element("p", notes, class_="dspsep-note"))
    height = _BAR_HEIGHT + (1 + len(parts)) * _STRIP_HEIGHT[picture] + bool(notes) * _NOTE_HEIGHT
    return StemPlayer(document(title, body, style="frame.css"), title, height)


def preview(sources: Sources) -> str:
    """Return what a notebook shows of `sources` that nobody asked to play; see `dspsep.Sources`."""
    if len(sources) > _PREVIEW_SOURCES:
        return element("pre", f"{sources!r}\nMore than {_PREVIEW_SOURCES} sources: play() shows them.")
    try:
        duration = _PREVIEW_SECONDS / (1 + len(sources))
        shown = play(sources, duration=duration, picture="waveform")
        return shown._repr_html_()
    except (InputError, ImportError) as error:
        # What cannot be heard can still be named.
        return element("pre", f"{sources!r}\n{error}")


def _part(sources: Sources, start: float, duration: float | None) -> slice:
    """Return which samples are played."""
    rate, n_samples = sources.sample_rate, sources.n_samples
    # Of what is beyond the end no more matters, and a product may be beyond all numbers.
    first = round(min(_checks.number("start", start, minimum=0.0) * rate, n_samples))
    if first >= n_samples:
        raise InputError("start", f"before the end, which is at {n_samples / rate:g} s", f"{start!r}")
    if duration is None:
        return slice(first, n_samples)
    length = _checks.number("duration", duration, minimum=0.0, above=True) * rate
    return slice(first, min(n_samples, first + max(1, round(min(length, n_samples)))))


def _excerpt(name: str, audio: Any, sources: Sources, part: slice) -> Array:
    """Return the part of one signal that is played, (n_channels, n_samples) on the host."""
    samples = _audio.samples_of(name, audio)
    if tuple(samples.shape) != sources.shape:
        raise InputError(name, f"of the sources' shape {sources.shape}", f"{tuple(samples.shape)}")
    signal, _, _ = _audio.finite_samples_of(name, samples[..., part])
    return _backend.to_host(signal)


def _references(references: Mapping[str, Any] | None, sources: Sources, part: slice) -> dict[str, Array]:
    """Return the true sources, by the names of the estimates."""
    if references is None:
        return {}
    if not isinstance(references, Mapping):
        raise InputError("references", "a mapping of names of sources to audio", repr(references)[:60])
    rate = getattr(references, "sample_rate", sources.sample_rate)
    if rate != sources.sample_rate:
        raise InputError("references", f"at the sources' {sources.sample_rate:g} Hz", f"{rate:g} Hz")
    strangers = [name for name in references if name not in sources]
    if strangers:
        names = ", ".join(map(repr, sources))
        raise InputError("references", f"named as sources are: {names}", ", ".join(map(repr, strangers))[:60])
    return {
        name: _excerpt(f"references[{name!r}]", references[name], sources, part)
        for name in sources
        if name in references
    }


def _level(signal: Array, mixture: Array) -> str:
    """Return how loud a signal is beside the mixture, in words."""
    peak = float(max(np.abs(signal).max(), np.abs(mixture).max())) or 1.0
    # Scaled first: squares of what is very large or small leave the range of numbers.
    own, whole = (
        math.sqrt(float(np.mean(np.square(values / peak, dtype=np.float64)))) for values in (signal, mixture)
    )
    if not own:
        return "silent"
    if not whole:
        return "the mixture is silent"
    return f"{signed(20 * math.log10(own / whole), 1)} dB re mixture"


def _notes(sources: Sources, part: slice, sounds: _sound.Sounds) -> str:
    """Return what a listener should know: which part this is, and what was done to all sounds alike."""
    rate, sentences = sources.sample_rate, []
    if part.stop - part.start < sources.n_samples:
        first, last, all_of = (f"{n / rate:.1f}" for n in (part.start, part.stop, sources.n_samples))
        sentences.append(f"{first} s to {last} s of {all_of} s: play(start=…, duration=…) plays other parts.")
    if sounds.gain != 1:
        quieter = number(-20 * math.log10(sounds.gain), 1)
        sentences.append(f"All sounds are {quieter} dB quieter than the arrays, because one would clip.")
    if sounds.first_channel_only:
        sentences.append("Of the channels, the first is heard.")
    return " ".join(sentences)
