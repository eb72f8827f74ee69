"""Scores on a page: of one method, or of several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dspsep.display._html import Markup, element, number
from dspsep.display._parts import section, table
from dspsep.metrics._track_scores import TrackScores, described
from dspsep.metrics.results import Scores
from dspsep.reports._separation import Separation

__all__ = ["scores_section"]


def scores_section(separations: Sequence[Separation], *, excerpt: bool) -> Markup:
    """Return the section with the scores; nothing if nothing was scored."""
    scored = [(one.method, one.scores) for one in separations if one.scores is not None]
    if not scored:
        return Markup()
    best = _best([scores for _, scores in scored]) if len(scored) > 1 else {}
    track = scored[0][1].tracks[0]
    rows = [_row(method, scores, source, best) for source in track.sources for method, scores in scored]
    named = ["Source", "Method"] if scored[0][0] else ["Source"]
    head = [*named, *(f"{metric} (dB)" for metric in track.metrics)]
    if track.n_windows > 1:
        head.append("Windows")
    tracks = [scores.tracks[0] for _, scores in scored]
    notes = [element("p", text, class_="note") for text in _notes(tracks, excerpt=excerpt, bold=bool(best))]
    return section("Scores", table("Scores", head, rows), *notes)


def _row(
    method: str, scores: Scores, source: str, best: Mapping[tuple[str, str], str]
) -> tuple[list[str], list[Markup]]:
    track = scores.tracks[0]
    index = track.sources.index(source)
    cells = []
    for metric in track.metrics:
        text = number(scores[source, metric])
        is_best = text == best.get((source, metric))
        cells.append(element("td", element("b", text) if is_best else text))
    if track.n_windows > 1:
        n_defined = int(np.count_nonzero(~np.isnan(track.values[index, 0])))
        cells.append(element("td", f"{n_defined} of {track.n_windows}"))
    arrow = "" if source == track.estimates[index] else f" ← {track.estimates[index]}"
    return [source, method + arrow] if method else [source + arrow], cells


def _best(all_scores: Sequence[Scores]) -> dict[tuple[str, str], str]:
    """Return the best score of each source and metric, as it is printed."""
    best = {}
    for source in all_scores[0].sources:
        for metric in all_scores[0].metrics:
            values = [scores[source, metric] for scores in all_scores]
            defined = [value for value in values if not np.isnan(value)]
            if defined:
                best[source, metric] = number(max(defined))
    return best


def _notes(tracks: Sequence[TrackScores], *, excerpt: bool, bold: bool) -> list[str]:
    track = tracks[0]
    how = f"{track.protocol['over_windows']} over windows" if track.n_windows > 1 else "one window"
    of = "the whole recording, not of the excerpt" if excerpt else "all of it"
    notes = [f"{described(track.protocol)}, {how}; in decibels, higher is better. Of {of}."]
    if any(one.estimates != one.sources for one in tracks):
        notes.append("Behind an arrow: the source that is compared with it, where its name differs.")
    if bold:
        notes.append("Bold: the best of the methods, at this precision.")
    if any(np.isnan(one.values).any() for one in tracks):
        notes.append("Windows in which a score is not defined, mostly for silence, do not count.")
    return notes
