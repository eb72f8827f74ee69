"""What scores can be written as: rows, tables, and files of two formats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dspsep.errors import InputError
from dspsep.metrics import _museval, _records, _scores_json, _tables
from dspsep.metrics._summary import headlines
from dspsep.metrics._track_scores import TrackScores, chosen, listed

__all__ = ["Exports"]


class Exports:
    """The part of `Scores` that writes them."""

    tracks: tuple[TrackScores, ...]

    def records(self) -> list[dict[str, Any]]:
        """Return a row for each track, source, metric and window.

        Returns
        -------
        list of dict
            With the columns of museval, ``track``, ``target`` (the source), ``metric``, ``time`` (where the
            window begins, in seconds) and ``score`` (in decibels), and with ``estimate``, ``duration`` (of
            the window, in seconds) and ``protocol`` (its name and settings).
        """
        return list(_records.records(self.tracks))

    def to_frame(self) -> Any:
        """Return the records as a pandas DataFrame.

        Returns
        -------
        pandas.DataFrame
            The rows and columns of `records`.

        Raises
        ------
        BackendError
            If pandas is not installed.
        """
        return _records.frame(self.tracks)

    def to_csv(self) -> str:
        """Return the records as the text of a CSV file.

        Returns
        -------
        str
            A header and the rows of `records`, numbers with all their digits. Undefined scores are empty,
            infinite ones are ``inf`` and ``-inf``. Names that begin with ``=``, ``+``, ``-`` or ``@`` get an
            apostrophe in front, since spreadsheets would take them for formulas; characters that cannot be
            seen or written become U+FFFD.
        """
        return _tables.csv_text(_records.COLUMNS, _records.records(self.tracks))

    def to_markdown(self, metrics: Sequence[str] | str | None = None, *, digits: int = 2) -> str:
        """Return the headline numbers as a table in GitHub's Markdown: a source a row, a metric a column.

        Parameters
        ----------
        metrics : sequence of str, optional
            Which, and in which order; all, unless given.
        digits : int, default=2
            Decimals of the scores, in decibels.

        Returns
        -------
        str
            The table, names escaped, with the number of windows and of those that are dropped because a
            metric is undefined; and a line that says how the numbers came about.

        Raises
        ------
        InputError
            If there is no such metric.
        """
        return headlines(self.tracks, metrics, digits).markdown()

    def to_latex(self, metrics: Sequence[str] | str | None = None, *, digits: int = 2) -> str:
        """Return the table of `to_markdown` as a LaTeX ``tabular`` that needs no package.

        Parameters
        ----------
        metrics : sequence of str, optional
            Which, and in which order; all, unless given.
        digits : int, default=2
            Decimals of the scores, in decibels.

        Returns
        -------
        str
            The environment, names escaped, and a comment above it that says how the numbers came about.

        Raises
        ------
        InputError
            If there is no such metric.
        """
        return headlines(self.tracks, metrics, digits).latex()

    def to_museval(self, track: str | None = None) -> dict[str, Any]:
        """Return the scores of one track in the schema of museval's JSON files.

        Parameters
        ----------
        track : str, optional
            Its name; needed only where there are several.

        Returns
        -------
        dict
            ``targets`` and ``museval_version``, which says that dspsep wrote it. ``json.dump`` makes a
            file of it.

        Raises
        ------
        InputError
            If there is no such track, or if there are several and none was named.

        Notes
        -----
        museval keeps no infinite scores (they become NaN, and so count as undefined), no digits beyond the
        fifth, no length of the track, names of estimates, protocol or details; `to_json` keeps them all. Its
        reader needs SDR, ISR, SIR and SAR, so those that were not computed are there as NaN; it
        looks past metrics of other names, which are written, too.
        """
        if track is None and len(self.tracks) > 1:
            names = tuple(one.track for one in self.tracks)
            raise InputError(
                "track", f"one of {listed(names)}", "None", "A file of museval's holds one track."
            )
        return _museval.written(chosen(self.tracks, track)[0])

    def to_json(self) -> str:
        """Return everything as strict JSON: `from_json` gives back equal scores, to the last digit.

        Returns
        -------
        str
            ASCII. NaN and infinity are strings in it, since JSON has no numbers for them.

        Raises
        ------
        InputError
            If it would be longer than the 100 MB that `from_json` reads, which some five million scores are.
        """
        return _scores_json.dumps(self.tracks)
