"""BSS Eval: how much of an estimate is its source, the other sources, and neither, up to short filters.

With s the true source, x̂ its estimate, and Q and P the projections of x̂ on what filters of `n_taps` taps
can make of that source alone, and of all sources (see `dspsep.metrics._projections`),

             images (v4, v3_images)          sources (v3_sources)
    SDR      |s|² / |x̂ − s|²                 |Q|² / |x̂ − Q|²
    ISR      |s|² / |Q − s|²                 –
    SIR      |Q|² / |P − Q|²                 |Q|² / |P − Q|²
    SAR      |P|² / |x̂ − P|²                 |P|² / |x̂ − P|²

in decibels. Version 3 fits the filters to what it scores: to each window anew, if there are windows.
Version 4 fits them once to the whole track and then scores windows of a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from dspsep import _checks
from dspsep._typing import FloatArray
from dspsep.errors import InputError
from dspsep.metrics._projections import ENERGIES, Filters, Pairs, energies, fit
from dspsep.metrics.protocols import SILENCE, Measured, Protocol, Task, decibels, in_windows

__all__ = ["BSSEval"]

Version = Literal["v4", "v3_images", "v3_sources"]
Silence = Literal["sisec", "strict"]

_VERSIONS = ("v4", "v3_images", "v3_sources")

#: More than these would need a factor of more than 8 GB: eight stereo stems have 8192.
_MAX_UNKNOWNS = 2**15


@final
@dataclass(frozen=True, kw_only=True)
class BSSEval(Protocol):
    """BSS Eval, versions 3 and 4.

    Version 4 is what the campaigns since 2018 and most papers on music report; version 3 for images what
    they did before; version 3 for sources what papers on singing voices and on speech call SDR, which
    forgives any filter of 512 taps. The three numbers are different things with one name.

    Parameters
    ----------
    version : {"v4", "v3_images", "v3_sources"}, default="v4"
        Whether filters are fitted once to the track and scored in windows (v4), or to what is scored (v3),
        and whether an estimate must match the source as it is in the mixture (v4, v3_images) or up to a
        filter.
    window_seconds : float or "whole", optional
        Length of the windows. The default is 1 s for version 4 and the whole track for version 3.
    hop_seconds : float, optional
        From one window to the next; the default is the window's length.
    n_taps : int, default=512
        Length of the filters in samples: 12 ms at 44.1 kHz, 32 ms at 16 kHz.
    silence : {"sisec", "strict"}, default="sisec"
        What is done about silence. "sisec": a window in which any reference or any estimate is silent does
        not count, for any source. "strict": it does not count for the sources whose own reference is
        silent, and for no other reason; ratios of nothing to nothing, which silent estimates have, are
        ``-inf``.

    Raises
    ------
    InputError
        If a setting is out of range.

    See Also
    --------
    evaluate : Puts it to use.
    ScaleInvariant : Without filters, and with a scale.

    Notes
    -----
    Silence is silence in every channel, exactly. (The usual implementations add the channels up first, and so
    take a sound in opposite phase for silence.) The residue at the end of a track that fills no window is
    not scored. With one source there is nothing to interfere: its SIR is infinite.

    The filters solve a system of ``n_sources · n_channels · n_taps`` unknowns, whose matrix is close to
    singular on most music and exactly singular where a stem is panned by gains alone. White noise 130 dB
    below each channel is added to the matrix, always, and its condition is among the ``details``. A large one
    is harmless where channels are multiples of each other. Where a stem has an empty band, as lossy codecs
    leave it, its filter has a large gain there, and in version 4 SIR and SAR then come from the edges at
    which windows cut the references, in any implementation: see the page on scores. The system is solved by
    its block-Toeplitz structure, in O(n_taps² (n_sources · n_channels)³).

    With permutation, estimates are assigned so that the mean SIR is largest, once for the whole track.

    Memory beside the signals: 8 (n_sources · n_channels · n_taps)² bytes, 134 MB for four stereo stems,
    and some 100 MB more, whatever the length. In version 4 the track is read twice.

    References
    ----------
    E. Vincent, R. Gribonval, C. Févotte, "Performance measurement in blind audio source separation", IEEE
    Transactions on Audio, Speech, and Language Processing 14(4), 2006, pp. 1462–1469.
    DOI 10.1109/TSA.2005.858005

    E. Vincent et al., "The signal separation evaluation campaign (2007–2010): achievements and remaining
    challenges", Signal Processing 92(8), 2012, pp. 1928–1936. DOI 10.1016/j.sigpro.2011.10.007

    F.-R. Stöter, A. Liutkus, N. Ito, "The 2018 signal separation evaluation campaign", Latent Variable
    Analysis and Signal Separation (LVA/ICA), 2018, pp. 293-305. doi:10.1007/978-3-319-93764-9_28

    Examples
    --------
    The windows of the campaign of 2016, in which filters are fitted to 30 s at a time:

    >>> from dspsep.metrics import BSSEval
    >>> BSSEval(version="v3_images", window_seconds=30, hop_seconds=15).name
    'bss_eval_v3_images'
    """

    version: Version = "v4"
    window_seconds: float | Literal["whole"] | None = None
    hop_seconds: float | None = None
    n_taps: int = 512
    silence: Silence = "sisec"

    def __post_init__(self) -> None:
        _checks.choice("version", self.version, _VERSIONS)
        _checks.choice("silence", self.silence, SILENCE)
        self._check_windows(self.window_seconds, self.hop_seconds)
        self._set("n_taps", _checks.integer("n_taps", self.n_taps, minimum=1, maximum=_MAX_UNKNOWNS))

    @property
    def name(self) -> str:
        """``bss_eval_`` and the version."""
        return f"bss_eval_{self.version}"

    @property
    def metrics(self) -> tuple[str, ...]:
        """SDR, ISR (of images), SIR and SAR."""
        return ("SDR", "SIR", "SAR") if self.version == "v3_sources" else ("SDR", "ISR", "SIR", "SAR")

    @property
    def needs_mixture(self) -> bool:
        """No."""
        return False

    @property
    def decides(self) -> str:
        """SIR: whose mean a permutation makes largest."""
        return "SIR"

    def measure(self, task: Task, pairs: Pairs) -> Measured:
        """Return the scores of pairs of a reference and an estimate: see `Protocol.measure`."""
        _check_size(task.references.n_rows, self.n_taps)
        windows = in_windows(task.n_samples, task.sample_rate, *self._framing())
        if self.version == "v4" or len(windows) == 1:
            tables, details = _with_common_filters(task, windows, self.n_taps, pairs)
        else:
            tables, details = _with_filters_of_their_own(task, windows, self.n_taps, pairs)
        energy = dict(zip(ENERGIES, np.moveaxis(tables, 2, 0), strict=True))  # each (n_windows, n_pairs)
        values = np.stack([ratio.T for ratio in self._ratios(energy)], axis=1)
        heard, made = _of_signals(energy["s"], pairs, 0), _of_signals(energy["x"], pairs, 1)
        return Measured(values, windows, details, heard, made)

    def _framing(self) -> tuple[float | str, float | None]:
        if self.window_seconds is None and self.version == "v4":
            return 1.0, 1.0
        return super()._framing()

    def _ratios(self, energy: dict[str, FloatArray]) -> list[FloatArray]:
        interference = decibels(energy["Q"], energy["P-Q"])
        artifacts = decibels(energy["P"], energy["x-P"])
        if self.version == "v3_sources":
            return [decibels(energy["Q"], energy["x-Q"]), interference, artifacts]
        distortion, spatial = (decibels(energy["s"], energy[error]) for error in ("x-s", "Q-s"))
        return [distortion, spatial, interference, artifacts]


def _check_size(n_rows: int, n_taps: int) -> None:
    if n_rows * n_taps > _MAX_UNKNOWNS:
        raise InputError(
            "references",
            f"of at most {max(_MAX_UNKNOWNS // n_taps, 1)} channels in all for filters of {n_taps} taps",
            n_rows,
            "Channels come before samples. Score fewer at a time, or with fewer taps.",
        )


def _with_common_filters(
    task: Task, windows: list[tuple[int, int]], n_taps: int, pairs: Pairs
) -> tuple[FloatArray, dict[str, float]]:
    filters = fit(task.references, task.estimates, (0, task.n_samples), n_taps, pairs)
    return energies(task.references, task.estimates, windows, filters, pairs), _details(filters)


def _with_filters_of_their_own(
    task: Task, windows: list[tuple[int, int]], n_taps: int, pairs: Pairs
) -> tuple[FloatArray, dict[str, float]]:
    tables, details = [], []
    for window in windows:
        filters = fit(task.references, task.estimates, window, n_taps, pairs)
        tables.append(energies(task.references, task.estimates, [window], filters, pairs))
        details.append(_details(filters))
    worst = {name: max(found[name] for found in details) for name in details[0]}
    return np.concatenate(tables), worst


def _of_signals(energy: FloatArray, pairs: Pairs, side: int) -> FloatArray:
    """Return (n_signals, n_windows) from (n_windows, n_pairs): references are side 0, estimates side 1."""
    where = {pair[side]: k for k, pair in enumerate(pairs)}
    return np.stack([energy[:, where[signal]] for signal in sorted(where)])


def _details(filters: Filters) -> dict[str, float]:
    return {"condition": filters.condition, "loading": filters.loading}
