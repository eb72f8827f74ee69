"""`docs/bounds.md`: the tables of the bounds, from the stored scores, and what they show."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmarks import bounds, results
from benchmarks.bounds import COLUMNS, LENGTHS, METRICS, BoundsResult, CaseResult
from benchmarks.figures import table

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).resolve().parents[1] / "docs" / "bounds.md"

# The bounds that are compared with what is blind, source by source.
_AHEAD = ("IRM", "MWF")

_INTRODUCTION = """\
# Bounds, measured

<!-- Written by `python -m benchmarks report` from benchmarks/results/bounds.json. Do not edit. -->

What [the bounds](oracles.md) reach on recordings whose true sources are known: the first {seconds:g} s of
each, with the default transform, `STFT(2048, 512)`. Scores are in decibels, over all channels together, and
the mean over the sources.

- *mixture* is a share of the mixture for every source, `MixtureAsEstimate`.
- *best blind* is, for every source, the best of all estimates of `HPSS`, `CascadedHPSS`, `IterativeHPSS` and
  `TwoStageHPSS` with their defaults, of the mixture, and of a share of it. The true source says which is
  best. These methods are made for `b_`; elsewhere they show how much is for free.
- *IBM1* and *IBM2* are `IBM` with exponents 1 and 2; *IRM*, *IWM*, *PSM* and *MWF* are the oracles of these
  names.
- *demixing* is the inverse of the matrix that made the mixture, where that is known. There, a source is what
  it adds to all channels.
- *ahead* is by how much `IRM` and `MWF` are at least ahead of the best blind estimate: the smallest
  difference over the sources.

The first letter tells what is mixed: a voice or a lead guitar and the band (`a_`); drums and pitched
instruments (`b_`); two to four sources before at least as many microphones, speakers in all but one, and in
rooms in all but one (`c_`); mixtures made of gains and, in `d_duet`, of delays (`d_`); parts of one
instrument in mono (`e_`).
"""

_SHOWN = """\
## What the tables show

**Masks scale bins, filters turn channels.** On `c_` and `d_inst` there are as many microphones as sources, or
more. In a frame that holds the whole way from a source to the microphones, what arrives of it has one
direction across the channels at each frequency: its covariance has rank one. As many directions as there are
channels can be told apart by a matrix, however much the sources overlap in time and frequency. That is what
`MWF` does, and no mask can. Without echoes (`d_inst`), or with short ones (`c_meas_anechoic_hats`), it is
therefore far above all masks, and on `d_inst` it is where the inverse of the matrix is. It is also well above
them on `d_duet` and `d_pan`, which have more sources than channels: few of the sources are loud in any one
bin.

**Echoes that outlast the frame blur the place.** At 16 kHz a frame of 2048 samples is 128 ms long. The names
`rt150` and `rt350` give the reverberation time in milliseconds; the room, places and sources are the same.
What a frame does not hold arrives in the next ones, from all directions: the covariance gets full rank, and
no matrix takes away all of a source. From `rt150` to `rt350` `MWF` loses {filter_low:.1f} to
{filter_high:.1f} dB, and `IWM` {mask_low:.1f} to {mask_high:.1f} dB. Less than half of its lead over `IWM`
is left then, and with two microphones `PSM` is ahead. The third table has the remedy: on every `c_` recording
longer frames raise `MWF`, while beyond 2048 samples masks fall, since a bin then holds more of all sources.
Part of that rise is knowing the answer, as there are fewer frames to learn each matrix from.

**The inverse is as good as the 16 bits.** The mixtures and sources of `d_inst` are stored in 16 bits.
Together the roundings are some 0.4 of a step, 76 dB below the mixture. The inverse makes no other error, and
makes this one larger where the matrix is less well conditioned (`d_inst_4x4_mixed`). For `MWF` the rounding
is one more source, so it can be a little ahead.

**One channel has no places.** In mono the covariance of a place is the number 1, and `MWF` is `IWM` (`e_`);
it is so, too, where both channels are the same (`a_political_captain`). In the stereo music of `a_` and `b_`
a source is often several instruments, has width, and is reverberant. One matrix a frequency says little about
it, and `IWM`, with a mask for each channel, is level with `MWF` or ahead. `d_pan` is stereo music, too, but
each of its instruments is at one place.

**A bound can be low.** On `b_rubidium` all of them are, and `IBM2` has a lower SI-SDR than the mixture. To
beat a bound means little where the bound is not above what is for free.
"""

_REPRODUCE = """\
## Measure it yourself

With the recordings in the folder that `DSPSEP_TEST_DATA` names; without them nothing is measured:

```
python -m benchmarks run bounds
python -m benchmarks report
```

The scores of every single source are in `benchmarks/results/bounds.json`.
"""


def page(folder: Path = results.FOLDER) -> str:
    """Return the page for the stored result."""
    result = bounds.load(folder / f"{bounds.NAME}.json")
    parts = [_INTRODUCTION.format(seconds=result.seconds)]
    for metric in METRICS:
        parts += [f"## {metric}\n", *_scores(metric, result.cases)]
    parts += [
        "## SDR with frames of other lengths\n",
        "`IWM` / `MWF`, with frames of so many samples, a quarter of a frame apart.\n",
        *_frames(result.cases),
        _SHOWN.format(**_losses(result.cases)),
        _conditions(result),
        _REPRODUCE,
    ]
    return "\n".join(parts)


def _scores(metric: str, cases: Iterable[CaseResult]) -> list[str]:
    head = ["recording", "sources", "channels", *COLUMNS, *(f"{column} ahead" for column in _AHEAD)]
    rows = [
        [
            f"`{case.name}`",
            str(len(case.sources)),
            str(case.n_channels),
            *(_decibels(case.mean(metric, column)) for column in COLUMNS),
            *(_decibels(case.margin(metric, column)) for column in _AHEAD),
        ]
        for case in cases
    ]
    return table(head, rows)


def _frames(cases: Iterable[CaseResult]) -> list[str]:
    rows = []
    for case in cases:
        pairs = zip(case.frames["IWM"], case.frames["MWF"], strict=True)
        milliseconds = 1000 * 2048 / case.sample_rate
        cells = (f"{_decibels(mask)} / {_decibels(filtered)}" for mask, filtered in pairs)
        rows.append([f"`{case.name}`", f"{milliseconds:.0f} ms", *cells])
    return table(["recording", "2048 are", *map(str, LENGTHS)], rows)


def _losses(cases: Iterable[CaseResult]) -> dict[str, float]:
    """Return the least and the most that a longer reverberation costs a filter and a mask, in decibels."""
    by_name = {case.name: case for case in cases}
    found = {}
    for label, column in (("filter", "MWF"), ("mask", "IWM")):
        losses = [
            case.mean("SDR", column) - by_name[name.replace("rt150", "rt350")].mean("SDR", column)
            for name, case in by_name.items()
            if name.replace("rt150", "rt350") in by_name.keys() - {name}
        ]
        found |= {f"{label}_low": min(losses), f"{label}_high": max(losses)}
    return found


def _conditions(result: BoundsResult) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in result.versions.items())
    return f"*Measured {result.date}. {packages}.*\n"


def _decibels(value: float | None) -> str:
    return "–" if value is None else f"{round(value, 1) + 0.0:.1f}"  # there is no -0.0 dB
