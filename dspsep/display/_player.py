"""The stem player: strips of sound that are heard together, or one by one where scripts do not run.

What is written here works by itself: an audio element and a picture for each sound. Where scripts run,
``player.js`` hides the audio elements and plays all sounds through one clock, so that soloing, muting and
switching to a reference happen in the middle of the music. Names are text to it, never markup.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from dspsep.display._html import Markup, element

__all__ = ["Strip", "player"]


@dataclass(frozen=True, kw_only=True)
class Strip:
    """One sound of a player.

    Attributes
    ----------
    name : str
        What it is called. Any text: it is escaped.
    audio : str
        The sound, as a data URI.
    role : {"mixture", "source", "reference"}
        Sources are heard together; the mixture is heard instead of them, a reference instead of its source.
    of : str or None
        Of a reference: the name of the source whose truth it is.
    picture : Markup or None
        A figure to look at and to click on.
    about : sequence of str
        Short lines shown beside the sound: its levels.
    group : str or None
        In a comparison, the method that the sound is from. Sounds of a group follow one another.
    """

    name: str
    audio: str
    role: Literal["mixture", "source", "reference"]
    of: str | None = None
    picture: Markup | None = None
    about: Sequence[str] = ()
    group: str | None = None


def player(strips: Sequence[Strip], *, duration: float, sample_rate: float, label: str) -> Markup:
    """Return a player of sounds that have one length and one sample rate.

    Parameters
    ----------
    strips : sequence of Strip
        The sounds, in the order in which they are shown.
    duration : float
        Of each, in seconds.
    sample_rate : float
        Of the encoded sounds, in hertz.
    label : str
        What is played, for those who have the page read aloud.

    Returns
    -------
    Markup
        One section. `document` adds the style and the script that it needs.
    """
    parts: list[Markup] = []
    numbered = list(enumerate(strips))
    for group, members in groupby(numbered, key=lambda pair: pair[1].group):
        level = "h3" if group is None else "h4"
        articles = [_strip(strip, _sources_of(strip, numbered), level) for _, strip in members]
        if group is None:
            parts += articles
        else:
            heading = element("h3", element("bdi", group))
            parts.append(element("section", heading, *articles, class_="dspsep-group", aria_label=group))
    return element(
        "section",
        *parts,
        class_="dspsep-player",
        aria_label=label,
        data_rate=f"{sample_rate:.17g}",
        data_samples=math.ceil(duration * sample_rate - 1e-6),
    )


def _sources_of(strip: Strip, strips: Sequence[tuple[int, Strip]]) -> Iterator[int]:
    """Yield the places of the sources that a reference is the truth of: in its group, or in all groups."""
    for index, other in strips:
        same_group = strip.group is None or other.group == strip.group
        if strip.role == "reference" and other.role == "source" and other.name == strip.of and same_group:
            yield index


def _strip(strip: Strip, sources: Iterator[int], level: str) -> Markup:
    is_reference = strip.role == "reference"
    tag = [element("span", "reference", class_="dspsep-tag")] if is_reference else []
    about = element(
        "div",
        # A name may run from right to left: what stands beside it must not follow.
        element(level, element("bdi", strip.name), *tag),
        *(element("p", line) for line in strip.about),
        class_="dspsep-about",
    )
    sound = element(
        "audio",
        controls=True,
        preload="metadata",
        aria_label=f"Sound of {strip.name}{', reference' if is_reference else ''}",
        src=strip.audio,
    )
    content = [sound] if strip.picture is None else [strip.picture, sound]
    return element(
        "article",
        about,
        element("div", *content, class_="dspsep-sound"),
        class_="dspsep-strip",
        data_role=strip.role,
        data_of=" ".join(map(str, sources)) or False,
    )
