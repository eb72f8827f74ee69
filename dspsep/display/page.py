"""One HTML file that holds a separation: its sound, its pictures, its numbers, and how to make it again.

The file needs nothing beside it: no network, no fonts, and no script but that of the player, without which
it works, too. What comes from outside (names, titles, settings) is text and stays text: it is escaped
wherever it goes, and should that ever fail, the page's own policy forbids the browser to run or to fetch
anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dspsep import _audio, _backend, _checks
from dspsep._typing import Array
from dspsep._version import __version__
from dspsep.display._html import Markup, document, element, write
from dspsep.display._levels import about_sum
from dspsep.display._listening import Heard, listen
from dspsep.display._parts import code, code_of, facts, header, score_table, section
from dspsep.display._paths import check_path
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
        If the file cannot be written, if the audio is not audio, if shapes or rates differ, or if a score is
        not a number.

    See Also
    --------
    Sources.report : The same with metrics, versions and citations, and of long audio an excerpt.
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
    file = check_path(path)
    for name, text in (("title", title), ("intro", intro)):
        if not isinstance(text, str) and not (name == "intro" and text is None):
            raise InputError(name, "a string", repr(text)[:60])
    rate = _checks.sample_rate(sample_rate)
    whole, parts = _checked(mixture, sources, rate)
    scored = score_table(scores or {})
    provenance = getattr(sources, "provenance", None)
    settings = settings or str(getattr(provenance, "settings", ""))
    version = version or str(getattr(provenance, "version", __version__))
    n_sources = f"{len(parts)} source{'' if len(parts) == 1 else 's'}"
    top = header(
        title,
        intro or _default_intro(len(parts)),
        facts(whole.shape[1], whole.shape[0], rate, [n_sources], version),
    )
    heard = [Heard("Mixture", whole, "mixture"), *(Heard(name, part) for name, part in parts.items())]
    body = element(
        "main",
        listen(title, heard, rate),
        scored,
        section("About this separation", *_recipe(settings, version, reproduce or "", whole, parts)),
    )
    write(file, document(title, top, body))
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


def _default_intro(n_sources: int) -> str:
    sources = "the one source" if n_sources == 1 else f"the {n_sources} sources"
    return (
        f"A recording, and {sources} that it was separated into: to listen to, to look at, and to make "
        "again. This file holds everything it shows; nothing is loaded from anywhere."
    )


def _recipe(
    settings: str, version: str, reproduce: str, mixture: Array, parts: Mapping[str, Array]
) -> list[Markup]:
    """Return how the sources were made, and whether they are all of the mixture."""
    recipe = [element("p", f"Separated by dspsep {version}. {about_sum(mixture, parts.values())}")]
    if settings and reproduce:
        recipe += [element("p", "The settings:"), code(settings)]
    elif settings:
        reproduce = code_of(settings)
    if reproduce:
        recipe.append(element("p", "The same again, from the same mixture and with the same version:"))
        recipe.append(code(reproduce))
    return recipe
