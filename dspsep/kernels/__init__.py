"""The inner loops: one protocol, four implementations, chosen by the array.

* `generic`: array-API expressions. They are the reference that the others are tested against, and
  what runs where numba is not installed, or when ``DSPSEP_KERNELS=generic`` is set.
* `cpu`: numba kernels for NumPy arrays, as loops that compilers turn into vector instructions. They run when
  ``DSPSEP_KERNELS=cpu`` is set, and where `simd` has no route of its own or cannot be compiled.
* `simd`: numba kernels made of explicit vectors, several times faster again: what runs on NumPy arrays.
* `gpu`: kernels for CuPy arrays, in CUDA C, and `generic` where its expressions do as well.

All spectrogram-shaped arrays here are **frame-major**: (n_channels, n_frames, n_freqs), C-contiguous,
so that one frame is one run of memory for the FFT, and neighbouring bins are neighbouring lanes for the
medians. `dspsep.stft.Spectrogram.values` is the same memory seen as (n_channels, n_freqs, n_frames).
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from functools import cache
from typing import Protocol, cast

from dspsep import _backend
from dspsep._typing import Array
from dspsep.errors import InputError

__all__ = ["Kernels", "kernels_for", "level_for"]


class Kernels(Protocol):
    """What every implementation provides. Arguments are passed by position."""

    def stft(self, samples: Array, window: Array, hop_length: int, n_frames: int) -> Array:
        """Return the spectra (n_channels, n_frames, n_fft // 2 + 1) of centred, zero-padded frames.

        `samples` is (n_channels, n_samples); frame t is centred on sample ``t * hop_length``.
        """

    def istft(
        self, spectra: Array, mask: Array | None, window: Array, hop_length: int, weight: Array
    ) -> Array:
        """Return samples (n_channels, n_samples): windowed overlap-add of masked spectra, over `weight`.

        `mask` multiplies the spectra (None: nothing does); one channel of mask serves all channels.
        `weight` (n_samples,) is the overlap-added squared window.
        """

    def median_over_time(self, values: Array, length: int) -> Array:
        """Return the running median of odd `length` over frames; edges are mirrored, edge repeated."""

    def median_over_frequency(self, values: Array, length: int) -> Array:
        """Return the running median of odd `length` over bins; edges are mirrored, edge repeated."""

    def median_of_frames(self, values: Array, frames: Array) -> Array:
        """Return the medians (n_channels, n, n_freqs) of the frames that rows of `frames` (n, most) name.

        Numbers of frames are integers; -1 names none. The median of an even number is the mean of the two in
        the middle, and that of none is 0.
        """

    def similar_frames(self, similarity: Array, threshold: float, distance: int, most: int) -> Array:
        """Return the places (n, most) of the highest peaks of the rows of `similarity` (n, n_frames).

        A peak is at least `threshold`, and higher than everything within `distance` on both sides. The
        highest come first, of equal ones the one that comes first; -1 stands for none.
        """

    def soft_mask(self, values: Array, rival: Array, margin: float, power: float, tie: float) -> Array:
        """Return ``values**power / (values**power + (margin * rival)**power)``, and `tie` for 0/0.

        Both count as zero if they are below the smallest normal number, which has no finite inverse.
        """

    def diffusion_step(self, whole: Array, harmonic: Array, weight: float) -> tuple[Array, Array]:
        """Return the harmonic part after a step of complementary diffusion, and the objective before it.

        `whole` (n_channels, n_frames, n_freqs) is the sum of the harmonic and the percussive part. The
        objective is ``weight`` times the squared differences of the one over frames, and ``1 - weight``
        times those of the other over bins: one number in double precision, where the arrays are.
        """

    def product(self, left: Array, right: Array) -> Array:
        """Return ``left @ right`` where one side is long and the others are a block and a few components."""

    def product_with_transposed(self, left: Array, right: Array) -> Array:
        """Return ``left @ right.T`` where the rows are long and few."""

    def divergence_terms(
        self, values: Array, model: Array, floor: float, beta: float, with_loss: bool
    ) -> tuple[Array, Array | None, Array]:
        """Return what the updates of a beta-divergence need, and the divergence itself.

        With L = ``model + floor``, all (n_frames, n_freqs): ``values * L**(beta - 2)``, ``L**(beta - 1)`` (if
        beta is 1, None: it is one), and the sum of d(values | L) in double precision, where the arrays are; 0
        without `with_loss`. For beta <= 0 all values must be above 0.
        """

    def activation_terms(
        self, values: Array, templates: Array, activations: Array, floor: float, beta: float
    ) -> tuple[Array, Array | None]:
        """Return what the updates of a block's activations need.

        With what `divergence_terms` makes of the model ``activations @ templates``, these are the numerator
        ``weighted @ templates.T`` and the denominator ``plain @ templates.T``, None if beta is 1.
        `values` is (n_frames, n_freqs), `templates` (n_components, n_freqs), `activations` (n_frames,
        n_components), and `floor` above 0.
        """

    def template_terms(
        self, values: Array, templates: Array, activations: Array, floor: float, beta: float, with_loss: bool
    ) -> tuple[Array, Array | None, Array]:
        """Return what a block adds to what the updates of templates need, and to the divergence.

        As `activation_terms`, but ``activations.T @ weighted`` and ``activations.T @ plain``, and the last of
        what `divergence_terms` returns.
        """

    def coordinate_sweeps(
        self, numerator: Array, gram: Array, factor: Array, kept: Array | None, n_sweeps: int
    ) -> Array:
        """Return a non-negative factor (n_components, n) after sweeps of exact updates, row by row.

        Each row in turn minimises ``sum(factor * (gram @ factor)) / 2 - sum(numerator * factor)`` with the
        other rows as they are by then. `gram` is symmetric; rows whose diagonal in it is 0 stay, and so does
        what `kept`, of the shape of `factor`, says.
        """

    def multiplied(
        self, factor: Array, numerator: Array, denominator: Array, exponent: float, kept: Array | None
    ) -> Array:
        """Return ``factor * (numerator / denominator) ** exponent``; `factor` where the denominator is 0.

        `numerator` is of the shape of `factor`; `denominator`, and `kept`, which says where the factor stays,
        are of two dimensions that broadcast to it. What is zero stays zero.
        """

    def extrapolated(self, new: Array, last: Array, momentum: float) -> Array:
        """Return ``new * (new / last) ** momentum``, the ratio within 1e-3 and 1e3; where one is 0, `new`."""

    def fastmnmf_covariances(self, parts: Array, weights: Array) -> Array:
        """Return the sums over t of ``weights[m, f, t] * x x^H``: (n_freqs, n_weights, n, n).

        x are the n channels of bin (f, t): `parts` (n_freqs, 2 n, n_frames) has their real parts, and
        then their imaginary parts. The sums are in double precision.
        """

    def fastmnmf_sweep(self, Q: Array, V: Array) -> tuple[Array, Array]:
        """Return Q (n_freqs, n, n) after iterative projection of all rows, and what log|det Q| gained.

        Row m becomes ``y^H / sqrt(y^H V_m y)`` with ``y = (Q V_m)^-1 e_m``, which minimises the sum over m of
        ``q_m V_m q_m^H`` less ``2 log|det Q|`` over it. `V` is (n_freqs, n, n, n), positive definite.
        """

    def gaussian_model(self, spectra: Array, gain: float) -> tuple[Array, Array]:
        """Return how loud a source is in every bin, and where it is in every frequency.

        `spectra` y is (n_channels, n_frames, n_freqs), complex. With a gain on y, the powers v = |y|**2 /
        n_channels are (n_frames, n_freqs), in the precision of the spectra. The places R, sums over frames of
        y y^H over those of v, are (n_freqs, n_channels, n_channels), complex and in double precision; 0 where
        the source is silent.
        """

    def gaussian_step(
        self, spectra: Array, v: Array, R: Array, gain: float, noise: float, posterior: bool, with_loss: bool
    ) -> tuple[Array, Array, Array]:
        """Return powers and places of sources learned from their estimates, and the loss before it.

        `spectra` x, with a gain, is the mixture of sources of powers `v` (n_sources, n_frames, n_freqs) and
        places `R` (n_sources, n_freqs, n_channels, n_channels), and of white noise of the power `noise`. Its
        covariance is K = sum_j v_j R_j + noise. What is learned of y_j = v_j R_j K**-1 x is what
        `gaussian_model` learns of it; if `posterior`, y_j is known but for the covariance v_j R_j - v_j R_j
        K**-1 R_j v_j, and v_j and then R_j maximise the expected likelihood. The loss, of what came in, is
        the sum of log det K + x^H K**-1 x over all bins; 0 without `with_loss`.
        """

    def gaussian_estimates(
        self, spectra: Array, v: Array, R: Array, noise: float, source: int | None
    ) -> Array:
        """Return y_j and its share of the noise, (1 or n_sources, n_channels, n_frames, n_freqs).

        The noise is shared as the powers are, equally where all are 0. If `source` is None these are all
        sources, and the last is what the others leave of the mixture.
        """

    def cross_spectra(self, left: Array, right: Array) -> Array:
        """Return the sum over b of ``conj(left[i, b, f]) * right[j, b, f]``: (left, right, n_freqs)."""

    def filter_spectra(self, filters: Array, spectra: Array) -> Array:
        """Return the sum over i of ``filters[o, i, f] * spectra[i, b, f]``: (outputs, n_blocks, n_freqs)."""

    def weighted_covariances(self, spectra: Array, weights: Array, ridge: float) -> Array:
        """Return means over frames of ``weights[k, t] * (x x^H + ridge)``.

        `spectra` is (n_freqs, n_channels, 2, n_frames), real and imaginary parts apart, `weights` (n_sources,
        n_frames), and the result (n_freqs, n_sources, n_channels, n_channels) in double precision. The ridge,
        here and below, is that of white noise in all channels: ``ridge`` times the identity.
        """

    def demixed_powers(self, spectra: Array, demixing: Array, ridge: float) -> Array:
        """Return the sum over f of ``|W x|**2 + ridge * |W|**2``: (n_sources, n_frames), in double precision.

        `demixing` is (n_freqs, n_sources, n_channels), complex and in double precision, here and below.
        """

    def contrast_step(
        self, spectra: Array, weights: Array, demixing: Array, ridge: float, steers: bool
    ) -> tuple[Array, Array, Array]:
        """Return matrices after a sweep with weighted covariances, log |det W| of each bin, and powers.

        That is `weighted_covariances`, `steering_sweep` or `projection_sweep`, and `demixed_powers` at once.
        """

    def bin_covariances(self, spectra: Array, demixing: Array, ridge: float) -> tuple[Array, Array]:
        """Return covariances weighted by 1 / r, r**2 being the powers of each bin alone, and means of r.

        The means over frames are (n_freqs, n_sources), in double precision.
        """

    def low_rank_covariances(
        self, spectra: Array, templates: Array, activations: Array, ridge: float
    ) -> Array:
        """Return covariances weighted by ``1 / (templates @ activations)``, a product that is above 0.

        `templates` is (n_sources, n_freqs, n_components), `activations` (n_sources, n_components, n_frames).
        """

    def low_rank_terms(
        self, spectra: Array, demixing: Array, templates: Array, activations: Array, ridge: float
    ) -> tuple[Array, Array, Array, Array]:
        """Return updated templates, what updates activations, and the objective before both.

        With P the powers of each bin, and R the product as above, templates are multiplied by the root of
        the sums over frames of ``activations * P / R**2`` over those of ``activations / R``. The two sums of
        the same kind that update activations, at the new templates, are in double precision, and so is the
        sum of ``P / R + log R`` over sources and bins, and mean over frames.
        """

    def projection_sweep(self, demixing: Array, covariances: Array) -> tuple[Array, Array]:
        """Return the matrices after iterative projection of each row in turn, and log |det W|, (n_freqs,).

        `covariances` is (n_freqs, n_sources, n_channels, n_channels). With fewer rows than channels these are
        rows beside a complement that stays orthogonal, and the logarithm is half of log det (W W^H).
        """

    def pair_projection(
        self, demixing: Array, covariances: Array, first: int, second: int
    ) -> tuple[Array, Array]:
        """Return the same after two rows were projected at once, with two covariances in their order."""

    def steering_sweep(self, demixing: Array, covariances: Array) -> tuple[Array, Array]:
        """Return the same after steering by each source in turn."""


def kernels_for(array: Array) -> Kernels:
    """Return the implementation for the library that `array` belongs to."""
    return cast("Kernels", importlib.import_module(f"dspsep.kernels.{level_for(array)}"))


def level_for(array: Array | None = None) -> str:
    """Return the name of the implementation for an array; of NumPy arrays, if none is given."""
    setting = os.environ.get("DSPSEP_KERNELS", "")
    if array is None or _backend.is_numpy(array):
        return _level(setting)
    return "gpu" if _backend.is_cupy(array) and setting != "generic" else "generic"


@cache
def _level(setting: str) -> str:
    if setting not in ("", "auto", "generic", "cpu", "simd"):
        raise InputError("DSPSEP_KERNELS", "'auto', 'simd', 'cpu' or 'generic'", repr(setting))
    if setting == "generic":
        return "generic"
    if importlib.util.find_spec("numba") is None:
        if setting in ("cpu", "simd"):
            raise InputError("DSPSEP_KERNELS", "'generic' where numba is not installed", repr(setting))
        return "generic"
    if setting == "cpu":
        return "cpu"
    return "simd" if _has_vectors() else "cpu"


def _has_vectors() -> bool:
    """Tell whether the installed numba can be taught vectors: that rests on parts of it that may change."""
    try:
        vectors = importlib.import_module("dspsep.kernels.simd._vectors")
        return bool(vectors.works())
    except Exception:  # noqa: BLE001 - whatever a future numba raises, there are kernels that do without
        return False
