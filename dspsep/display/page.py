"""One HTML file that holds a separation: its sound, its pictures, its numbers, and how to make it again.

The file needs nothing beside it: no network, no scripts, no fonts. What comes from outside (names, titles,
settings) is text and stays text: it is escaped wherever it goes, and should that ever fail, the page's own
policy forbids the browser to run or to fetch anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dspsep import _audio, _backend, _checks
from dspsep._typing import Array
from dspsep._version import __version__
from dspsep.display import _sound
from dspsep.display._figures import Spectrograms
from dspsep.display._html import Markup, document, element, number, signed, write
from dspsep.display._sound import Sounds
from dspsep.display.spectrogram import has_minutes, time_label
from dspsep.errors import InputError

__all__ = ["write_page"]


def write_page(
    path: str | Path,
    *,
    mixture: npt.ArrayLike,
    sources: Mapping[str, Any],
    sample_rate: float,
    title: str,
    intro: str | None = None,
    scores: Mapping[str, Mapping[str, float]] | None = None,
    settings: str | None = None,
    version: str | None = None,
    reproduce: str | None = None,
) -> Path:
    """Write a mixture and its sources as one HTML file to listen to, look at, and pass on.

    Parameters
    ----------
    path : str or Path
        The file. Its folder is made if it is not there. A file of that name is replaced only when the new
        one is complete.
    mixture : array of shape (n_samples,) or (n_channels, n_samples)
        What was separated.
    sources : Sources or mapping of str to array
        What it was separated into, each of the mixture's shape; in the order of the page.
    sample_rate : float
        In hertz.
    title : str
        The heading, for example the name of the piece.
    intro : str, optional
        One paragraph below it. By default it says what there is on the page.
    scores : mapping of str to mapping of str to float, optional
        Source → name of a number, with its unit → number: a table with a row per source and a column per
        name. Columns whose name contains "improvement" carry a sign. NaN is written as a dash, infinity
        as ∞.
    settings : str, optional
        The separator, as its `repr`. By default what `sources` remembers in its provenance.
    version : str, optional
        The version of dspsep that separated. By default what `sources` remembers, else this one.
    reproduce : str, optional
        A command or program that does the same again, shown as it is. By default a line of Python with
        the settings.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    InputError
        If the audio is not audio, if shapes or rates differ, or if a score is not a number.

    See Also
    --------
    plot_spectrogram : One of the pictures, to put into a figure of your own.

    Notes
    -----
    Levels are true: sounds are not normalised, neither are pictures, whose 0 dB is the loudest point on the
    page. If a sound would clip, all are made quieter by the same factor, and the page says so. With more than
    two channels the first is heard.

    Sounds are 16-bit FLAC while together they have at most 2.4 MB, else MP3 at about 200 kbit/s (resampled
    where MP3 does not know the rate): 12 s of stereo in four sources stay below 4 MB either way. The page
    grows by 2 MB for every further minute of sound in it. The same arguments give the same bytes on the same
    machine.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from pathlib import Path
    >>> from dspsep.display import write_page
    >>> time = np.arange(8000) / 8000
    >>> sources = {"low": 0.5 * np.sin(700 * time), "high": 0.1 * np.sin(9000 * time)}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = write_page(
    ...         Path(folder, "tones.html"),
    ...         mixture=sources["low"] + sources["high"],
    ...         sources=sources,
    ...         sample_rate=8000,
    ...         title="Two tones",
    ...         scores={"low": {"SI-SDR improvement (dB)": 12.3}},
    ...     )
    ...     page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    True
    """
    rate = _checks.sample_rate(sample_rate)
    whole, parts = _checked(mixture, sources, rate)
    table = _score_table(scores or {})
    provenance = getattr(sources, "provenance", None)
    settings = settings or str(getattr(provenance, "settings", ""))
    version = version or str(getattr(provenance, "version", __version__))
    signals = [whole, *parts.values()]
    sounds = _sound.encode(signals, rate)
    pictures = Spectrograms(signals, rate)
    cards = [_card("Mixture", whole, None, sounds.uris[0], pictures.figure(0, "the mixture"))]
    for index, (name, signal) in enumerate(parts.items(), start=1):
        cards.append(_card(name, signal, whole, sounds.uris[index], pictures.figure(index, name)))
    listen = _section("Listen", element("p", _about_sounds(sounds)), pictures.scale(), *cards)
    facts = _facts(whole, len(parts), rate, version)
    body = element(
        "main",
        listen,
        table,
        _section("About this separation", *_recipe(settings, version, reproduce or "", whole, parts)),
    )
    write(Path(path), document(title, _header(title, intro or _default_intro(len(parts)), facts), body))
    return Path(path)


def _checked(mixture: Any, sources: Any, rate: float) -> tuple[Array, dict[str, Array]]:
    """Return the mixture and its sources on the host, all (n_channels, n_samples)."""
    if not isinstance(sources, Mapping) or not sources:
        raise InputError("sources", "a mapping of at least one name to its audio", repr(sources)[:60])
    stated = getattr(sources, "sample_rate", rate)
    if stated != rate:
        raise InputError("sample_rate", f"that of the sources, {stated:g} Hz", f"{rate:g} Hz")
    whole, mono, _ = _audio.finite_samples_of("mixture", mixture)
    parts: dict[str, Array] = {}
    for name, audio in sources.items():
        if not isinstance(name, str):
            raise InputError("a source's name", "a string", repr(name)[:60])
        argument = f"sources[{name!r}]"
        signal, part_mono, _ = _audio.finite_samples_of(argument, audio)
        if (signal.shape, part_mono) != (whole.shape, mono):
            raise InputError(argument, f"of the mixture's shape {np.shape(mixture)}", f"{np.shape(audio)}")
        parts[name] = _backend.to_host(signal)
    return _backend.to_host(whole), parts


def _header(title: str, intro: str, facts: str) -> Markup:
    return element(
        "header",
        element("p", facts, class_="facts"),
        element("h1", _isolated(title)),
        element("p", intro, class_="intro"),
    )


def _default_intro(n_sources: int) -> str:
    sources = "the one source" if n_sources == 1 else f"the {n_sources} sources"
    return (
        f"A recording, and {sources} that it was separated into: to listen to, to look at, and to make "
        "again. This file holds everything it shows; nothing is loaded from anywhere."
    )


def _facts(mixture: Array, n_sources: int, rate: float, version: str) -> str:
    n_channels, n_samples = mixture.shape
    duration = n_samples / rate
    return " · ".join([
        f"{time_label(duration, duration)} {'min' if has_minutes(duration) else 's'}",
        f"{rate / 1000:.5g} kHz",
        {1: "mono", 2: "stereo"}.get(n_channels, f"{n_channels} channels"),
        f"{n_sources} source{'' if n_sources == 1 else 's'}",
        f"dspsep {version}",
    ])  # fmt: skip


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


def _card(name: str, signal: Array, mixture: Array | None, uri: str, figure: Markup) -> Markup:
    """Return one sound: its name, its levels, a player and its picture."""
    about = element(
        "div",
        element("h3", _isolated(name)),
        *(element("p", line) for line in _levels(signal, mixture)),
        class_="about",
    )
    player = element("audio", controls=True, preload="metadata", aria_label=f"Sound of {name}", src=uri)
    sound = element("div", figure, player)
    return element("article", about, sound, class_="card" if mixture is not None else "card mixture")


def _levels(signal: Array, mixture: Array | None) -> list[str]:
    """Return the levels of a sound in words, relative to the mixture too if it is not the mixture itself."""
    rms = _rms(signal)
    if not rms:
        return ["Silent"]
    peak = float(np.abs(signal).max())
    levels = [f"Peak {_decibels(peak)} dBFS", f"RMS {_decibels(rms)} dBFS"]
    whole = _rms(mixture) if mixture is not None else 0.0
    if whole:
        distance = _decibels(max(rms, whole) / min(rms, whole))
        direction = "above" if rms > whole else "below"
        levels.append(
            "As loud as the mixture" if distance == "0.0" else f"{distance} dB {direction} the mixture"
        )
    return levels


def _score_table(scores: Mapping[str, Mapping[str, float]]) -> Markup:
    """Return the table of scores, a row per source; nothing without scores."""
    if not scores:
        return Markup()
    for name, row in scores.items():
        if not isinstance(row, Mapping):
            remedy = "With one kind of number: {name: {'SI-SDR (dB)': value}}."
            raise InputError(f"scores[{name!r}]", "a mapping of names to numbers", repr(row)[:60], remedy)
    columns = list(dict.fromkeys(key for row in scores.values() for key in row))
    cells = {
        name: [_cell(name, key, row.get(key, math.nan)) for key in columns] for name, row in scores.items()
    }
    head = element("tr", *(element("th", text, scope="col") for text in ["Source", *map(str, columns)]))
    body = [
        element("tr", element("th", _isolated(name), scope="row"), *(element("td", cell) for cell in row))
        for name, row in cells.items()
    ]
    table = element("table", element("thead", head), element("tbody", *body))
    # Focusable, so that a wide table can be scrolled from the keyboard.
    content = [element("div", table, class_="scroll", tabindex=0, role="region", aria_label="Scores")]
    if any("–" in row for row in cells.values()):
        content.append(element("p", "–: not defined, for example for want of a reference.", class_="note"))
    return _section("Scores", *content)


def _cell(name: str, key: str, value: Any) -> str:
    try:
        score = float(value)
    except (TypeError, ValueError):
        raise InputError(f"scores[{name!r}][{key!r}]", "a number", repr(value)[:60]) from None
    return signed(score) if "improvement" in str(key).lower() else number(score)


def _recipe(
    settings: str, version: str, reproduce: str, mixture: Array, parts: Mapping[str, Array]
) -> list[Markup]:
    """Return how the sources were made, and whether they are all of the mixture."""
    recipe = [element("p", f"Separated by dspsep {version}. {_about_sum(mixture, parts)}")]
    if settings and reproduce:
        recipe += [element("p", "The settings:"), element("pre", element("code", settings))]
    elif settings:
        reproduce = f"from dspsep import *\n\nsources = {settings}.separate(mixture, sample_rate)"
    if reproduce:
        recipe.append(element("p", "The same again, from the same mixture and with the same version:"))
        recipe.append(element("pre", element("code", reproduce)))
    return recipe


def _about_sum(mixture: Array, parts: Mapping[str, Array]) -> str:
    """Return how near the sources come to the mixture together: measured, not promised."""
    rest = mixture.astype(np.float64)
    for signal in parts.values():
        rest -= signal
    error, peak = float(np.abs(rest).max()), float(np.abs(mixture).max())
    if not error:
        return "The sources add up to the mixture exactly."
    if not peak:
        return "The mixture is silent; the sources do not add up to silence."
    distance = f"the largest difference is {_decibels(error / peak)} dB relative to the mixture's peak."
    if error <= 1e-4 * peak:
        return f"The sources add up to the mixture: {distance}"
    return f"The sources do not add up to the mixture: {distance}"


def _section(heading: str, *content: Markup) -> Markup:
    return element("section", element("h2", heading), *content)


def _isolated(name: str) -> Markup:
    # A name may run from right to left: what stands beside it must not follow.
    return element("bdi", str(name))


def _rms(signal: Array) -> float:
    peak = float(np.abs(signal).max())
    # Scaled first: squares of what is very large or small leave the range of numbers.
    return peak * math.sqrt(float(np.mean(np.square(signal / (peak or 1.0), dtype=np.float64))))


def _decibels(ratio: float) -> str:
    return number(20 * math.log10(ratio), 1)
