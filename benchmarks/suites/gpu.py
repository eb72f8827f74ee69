"""The same separators on a GPU: beside all threads of the processor, others on the GPU, and its bandwidth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks import gpu
from benchmarks.expressions import Array
from benchmarks.goals import Goal, Within
from benchmarks.harness import Comparison, Contender, Suite, Task
from benchmarks.inputs import Music, music
from benchmarks.machine import available_cores
from benchmarks.suites import iva, nmf

__all__ = ["SUITE"]

ON_GPU, ON_CPU, TORCH, BOUND = "dspsep, GPU", "dspsep, CPU", "torch, GPU", "the limit of bandwidth"
SKLEARN, CUPYX = "scikit-learn, CPU", "cupyx, GPU"
_N_FFT, _HOP, _LENGTH = 2048, 512, 31
_COMPONENTS, _FRAMES, _N_ITER = 32, 26_000, 200


@dataclass(frozen=True, kw_only=True)
class _Torch(Contender):
    """torch, where it has been built for the GPU."""

    def is_installed(self) -> bool:
        """Tell whether torch finds the GPU."""
        if not super().is_installed():
            return False
        import torch

        return bool(torch.cuda.is_available())


def _ours(prepare: Callable[[Any], Task]) -> Contender:
    return Contender(name=ON_GPU, package="cupy", prepare=prepare)


def _cpu(prepare: Callable[[Any], Task]) -> Contender:
    return Contender(name=ON_CPU, package="dspsep", prepare=prepare)


def _torch(prepare: Callable[[Any], Task]) -> Contender:
    return _Torch(name=TORCH, package="torch", prepare=prepare)


def _bound(n_bytes: Callable[[Any], float]) -> Contender:
    return Contender(name=BOUND, package="cupy", prepare=lambda source: gpu.at_bandwidth(n_bytes(source)))


def _on_torch(call: Callable[[], Any], comparable: Callable[[Any], Array]) -> Task:
    import torch

    def done() -> Any:
        result = call()
        torch.cuda.synchronize()
        return result

    return Task(done, comparable)


def _n_bins(samples: Array) -> int:
    """Return how many bins the spectrogram of stereo samples has."""
    return int(samples.shape[0] * (1 + samples.shape[1] // _HOP) * (_N_FFT // 2 + 1))


# --- HPSS -------------------------------------------------------------------------------------------------


def _hpss(put: bool, source: Music) -> Task:
    from dspsep import HPSS

    separator = HPSS(harmonic_frames=_LENGTH, percussive_bins=_LENGTH)
    samples, rate = source

    def parts(sources: Any, back: Callable[[Any], Array] = np.asarray) -> Array:
        return np.stack([back(sources["harmonic"]), back(sources["percussive"])])

    if not put:
        return Task(lambda: separator.separate(samples, rate), parts)
    there = gpu.device().put(samples)
    return gpu.on_device(
        lambda: separator.separate(there, rate), lambda found: parts(found, gpu.device().back)
    )


def _hpss_bytes(source: Music) -> float:
    """Return what steps move that read their input once and write their output once.

    The spectrum is written, read by the medians, and read again to be masked; two medians are written and
    read; samples go in, and to the remainder, and two sources come out.
    """
    return 40.0 * _n_bins(source.samples) + 16.0 * source.samples.size


_HPSS = Comparison(
    name="gpu-hpss",
    title="HPSS on a GPU, from audio to audio",
    note="Stereo, ten times as long as what the other tables are of; arrays lie on the device.",
    contenders=(_ours(partial(_hpss, True)), _cpu(partial(_hpss, False)), _bound(_hpss_bytes)),
    make_input=lambda seconds: music(10 * seconds),
    tolerance=1e-3,
    goals=(Goal(at_least=10, over=(ON_CPU,)), Within(at_most=5, bound=BOUND)),
)

# --- Medians ----------------------------------------------------------------------------------------------


def _frames(seconds: float) -> Array:
    """Return magnitudes (n_channels, n_frames, n_freqs)."""
    from dspsep import STFT

    magnitude = STFT(_N_FFT, _HOP).forward(*music(2 * seconds)).magnitude()
    return np.ascontiguousarray(np.transpose(magnitude, (0, 2, 1)))


def _medians(name: str, put: bool, values: Array) -> Task:
    from dspsep.kernels import kernels_for

    there = gpu.device().put(values) if put else values
    median = getattr(kernels_for(there), name)
    return gpu.on_device(lambda: median(there, _LENGTH)) if put else Task(lambda: median(there, _LENGTH))


def _cupyx_medians(size: tuple[int, int, int], values: Array) -> Task:
    from cupyx.scipy.ndimage import median_filter

    there = gpu.device().put(values)
    return gpu.on_device(lambda: median_filter(there, size=size, mode="reflect"))


def _median(along: str, size: tuple[int, int, int]) -> Comparison:
    name = f"median_over_{along}"
    return Comparison(
        name=f"gpu-median-{along}",
        title=f"Medians over {_LENGTH} values along {along}, on a GPU",
        note="Of the magnitudes of stereo music, twice as long as what the other tables are of.",
        contenders=(
            _ours(partial(_medians, name, True)),
            _cpu(partial(_medians, name, False)),
            Contender(name=CUPYX, package="cupyx", prepare=partial(_cupyx_medians, size)),
            _bound(lambda values: 8.0 * values.size),
        ),
        make_input=_frames,
        tolerance=0.0,
        goals=(Goal(at_least=10, over=(CUPYX,)),),
    )


# --- The transform ----------------------------------------------------------------------------------------


def _stft(put: bool, source: Music) -> Task:
    from dspsep import STFT

    stft, (samples, rate) = STFT(_N_FFT, _HOP), source
    if not put:
        return Task(lambda: stft.forward(samples, rate).values)
    there = gpu.device().put(samples)
    return gpu.on_device(lambda: stft.forward(there, rate).values)


def _torch_stft(source: Music) -> Task:
    import torch

    samples, window = torch.from_numpy(source.samples.copy()).cuda(), torch.hann_window(_N_FFT).cuda()
    return _on_torch(
        lambda: torch.stft(samples, _N_FFT, _HOP, window=window, pad_mode="constant", return_complex=True),
        lambda values: np.asarray(values.cpu().numpy()),
    )


_STFT = Comparison(
    name="gpu-stft",
    title="STFT on a GPU",
    note="Stereo, ten times as long as what the other tables are of.",
    contenders=(
        _ours(partial(_stft, True)),
        _cpu(partial(_stft, False)),
        _torch(_torch_stft),
        _bound(lambda source: 8.0 * _n_bins(source.samples) + 4.0 * source.samples.size),
    ),
    make_input=lambda seconds: music(10 * seconds),
    tolerance=1e-4,
)

# --- Factorisation ----------------------------------------------------------------------------------------


def _problem(seconds: float) -> nmf.Problem:
    """Return a spectrogram of 26,000 frames for 30 s of what others are measured on: ten times as long."""
    problem = nmf._problem(1.0, _COMPONENTS, 10.1 * seconds)
    n_frames = min(problem.V.shape[1], round(_FRAMES * seconds / 30))
    return problem._replace(
        V=np.ascontiguousarray(problem.V[:, :n_frames]), H=np.ascontiguousarray(problem.H[:, :n_frames])
    )


def _objective(problem: nmf.Problem, factors: Any, back: Callable[[Any], Array] = np.asarray) -> Array:
    return nmf._reached(problem, (back(factors[0]), back(factors[1])))


def _nmf(put: bool, problem: nmf.Problem) -> Task:
    from dspsep import nmf as factorise

    arrays = (problem.V, problem.W, problem.H)
    V, W, H = map(gpu.device().put, arrays) if put else arrays

    def call() -> Any:
        return factorise(V, W, H, beta=1.0, n_iter=_N_ITER, solver="mu")

    if put:
        return gpu.on_device(call, lambda found: _objective(problem, found, gpu.device().back))
    return Task(call, partial(_objective, problem))


def _torch_nmf(problem: nmf.Problem) -> Task:
    import torch

    V, start_W, start_H = (torch.from_numpy(array).cuda() for array in problem[:3])
    tiny = torch.finfo(torch.float32).tiny

    def call() -> Any:
        W, H = start_W.clone(), start_H.clone()
        for _ in range(_N_ITER):
            H *= (W.T @ (V / (W @ H).clamp_(min=tiny))) / W.sum(dim=0)[:, None]
            W *= ((V / (W @ H).clamp_(min=tiny)) @ H.T) / H.sum(dim=1)
        return W, H

    return _on_torch(call, lambda found: _objective(problem, [factor.cpu() for factor in found]))


def _sklearn_nmf(problem: nmf.Problem) -> Task:
    return Task(lambda: nmf._sklearn("mu", _N_ITER, problem), partial(_objective, problem))


_NMF = Comparison(
    name="gpu-nmf",
    title="KL-NMF on a GPU, 1025 × 26000, 32 components, 200 iterations",
    note="From the same start; compared is the divergence that is reached. torch has the few lines that one"
    " would write. Both updates have to read the spectrogram.",
    contenders=(
        _ours(partial(_nmf, True)),
        _cpu(partial(_nmf, False)),
        Contender(name=SKLEARN, package="sklearn", prepare=_sklearn_nmf),
        _torch(_torch_nmf),
        _bound(lambda problem: 2.0 * _N_ITER * problem.V.nbytes),
    ),
    make_input=_problem,
    tolerance=0.02,
    goals=(
        Goal(at_least=20, over=(SKLEARN,)),
        Goal(at_least=1.2, over=(TORCH,)),
        Goal(at_least=2, over=(TORCH,)),
    ),
)

# --- Similar frames, and demixing -------------------------------------------------------------------------


def _repet_sim(put: bool, source: Music) -> Task:
    from dspsep import REPETSim

    samples, rate = source
    there = gpu.device().put(samples) if put else samples

    def call() -> Any:
        return REPETSim().separate(there, rate)

    return gpu.on_device(call, None) if put else Task(call)


_REPET_SIM = Comparison(
    name="gpu-repet-sim",
    title="REPET-SIM on a GPU",
    note="Stereo, 120 times as long as what the other tables are of. Which of two frames that are equally"
    " alike is taken is a matter of rounding, so results are not compared here, but in the tests.",
    contenders=(_ours(partial(_repet_sim, True)), _cpu(partial(_repet_sim, False))),
    make_input=lambda seconds: music(120 * seconds),
    tolerance=None,
    goals=(Goal(at_least=10, over=(ON_CPU,)),),
)


def _auxiva(put: bool, X: Array) -> Task:
    from dspsep import auxiva

    there = gpu.device().put(X) if put else X

    def call() -> Any:
        return auxiva(there, n_iter=iva._N_ITER)[0]

    if put:
        return gpu.on_device(call, lambda W: iva._images(X, gpu.device().back(W)))
    return Task(call, partial(iva._images, X))


_AUXIVA = Comparison(
    name="gpu-auxiva",
    title="AuxIVA on a GPU, frames of 2048, 4 channels",
    note=f"Spectra to matrices, {iva._N_ITER} iterations; twice as long as what the other tables are of."
    " Compared is how loud each output is at the first microphone. Each iteration has to read the spectra.",
    contenders=(
        _ours(partial(_auxiva, True)),
        _cpu(partial(_auxiva, False)),
        _bound(lambda X: float(iva._N_ITER * X.nbytes)),
    ),
    make_input=lambda seconds: iva._spectra(_N_FFT, 4, 2 * seconds),
    tolerance=0.02,
    goals=(Goal(at_least=10, over=(ON_CPU,)),),
)

SUITE = Suite(
    name="gpu",
    title="On a GPU",
    note=(
        "Arrays lie on the device before the clock starts, and it stops when the device has done all of it."
        f" The processor works with all its threads. *{BOUND[0].upper()}{BOUND[1:]}* is a copy on the device,"
        " in the same turns, of as many bytes as the job has to read and write at the least."
    ),
    comparisons=(
        _HPSS,
        _median("time", (1, _LENGTH, 1)),
        _median("frequency", (1, 1, _LENGTH)),
        _STFT,
        _NMF,
        _REPET_SIM,
        _AUXIVA,
    ),
    threads=max(2, available_cores()),
    audio="music and, for AuxIVA, noises that come and go, of the multiples that the tables say",
    obstacle=gpu.obstacle,
    must=True,
    device=gpu.name,
    unmeasured=(
        "Nothing has been measured on a GPU yet. Where there is one, and CuPy,"
        " `python -m benchmarks run gpu --rounds 3` does it. See [the GPU](gpu.md)."
    ),
)
