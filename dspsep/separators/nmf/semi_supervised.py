"""Semi-supervised factorisation: the templates of some sources are known, those of the rest are learned.

With W_s the templates of source s, learned from an example of it alone, and V the magnitudes of the mixture,

    V ~ sum_s W_s H_s + W_rest H_rest,        M_s = W_s H_s / (sum_r W_r H_r + W_rest H_rest)

where all activations and W_rest are learned. What is not known sounds on, and drums, words and strokes do
not: so jumps of H_rest cost something (Virtanen 2007). W_s begins as it was learned, and may adapt to the
mixture at a price, which is that of Bayes' rule with an example of it that is so many times as long as the
mixture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.separators.nmf._core import FLOOR, Prepared, Weights
from dspsep.separators.nmf._grouping import Groups
from dspsep.separators.nmf._prior import Prior
from dspsep.separators.nmf._settings import check_divergence, check_penalties
from dspsep.separators.nmf._starts import random_templates
from dspsep.separators.nmf._supervision import Supervision
from dspsep.separators.nmf.templates import MAX_N_COMPONENTS
from dspsep.sources import check_source_name

__all__ = ["SemiSupervisedNMF"]

# Below the one the mixture counts for nothing beside what is known, and is lost in its rounding; beyond the
# other what is known counts for nothing.
_LEAST_ADAPTATION, _MAX_ADAPTATION = 1e-3, 1e6


@final
@dataclass(frozen=True, kw_only=True)
class SemiSupervisedNMF(Supervision):
    """Separation of sources whose spectra are known from everything else.

    Some sources have templates, learned from recordings of them alone. Free templates are learned from the
    mixture for what these do not explain.

    Parameters
    ----------
    stft : STFT, optional
        The transform: that of the templates, which no other is accepted for.
    templates : mapping of str to Templates
        Of some sources, by name: see `learn_templates`. All for one transform, rate and exponent. Kept as a
        tuple of pairs.
    beta : float, default=1.0
        The divergence, from -1 to 3: 2 is half the squared distance, which loud bins rule; 1 is that of
        Kullback and Leibler; 0 that of Itakura and Saito, to which loud and quiet count alike.
    n_iter : int, default=200
        The most iterations.
    tol : float, default=1e-4
        They end where ten of them lower the objective by less than this part of what it was at first.
    solver : {"auto", "mu", "accelerated", "hals"}, default="auto"
        How the objective is lowered; see `NMF`.
    l1 : float, default=0.0
        The weight of the sum of activations, for data with a mean of one. Makes them sparse, but for beta 1,
        where it only scales them.
    n_free : int, default=16
        How many templates the rest has. Too few, and the known ones have to explain the rest; too many, and
        the rest explains the sources as well.
    adaptation : float, default=0.25
        How readily the templates that were given become those of this mixture, from 0, for never: they count
        as an example of theirs would, 1 / adaptation times as long as the mixture, in which each is heard
        alone for as long as the others. At least 0.001 if it is not 0; 0 for a beta below 0, where no price
        would keep them.
    continuity : float, default=0.01
        The weight of half the sum of squared differences from frame to frame of the activations of the rest,
        in the units of `l1`: what sounds on is preferred to what is struck. 0 if the rest may be anything.
    rest : str, default="rest"
        The name of what is left.
    seed : int, default=0
        Of the random numbers that the free templates begin with.

    Raises
    ------
    InputError
        If a setting is out of range, or templates do not belong together.

    See Also
    --------
    learn_templates : From an example to templates.
    SupervisedNMF : For mixtures in which all sources are known.

    Notes
    -----
    The sources are those of the templates, and the rest last. Activations begin as constants: what varies
    from frame to frame is left to templates that know how, and the rest begins with what is steady.

    The better the templates fit, the better it separates: where they do not, the rest takes a source away.
    Two defaults are against that, and both are for sources that are struck, or at least move more than what
    is not known: templates adapt, and the rest is kept from jumping. For a source that sounds on before a
    rest that does not, set `continuity` to 0.

    Several channels are factorised as one, the root of their mean square, and share masks: panning stays.

    Deviations from the paper, whose model is that of beta 1 in the language of probabilities, with
    `adaptation` and `continuity` 0: other divergences, faster solvers, and the start. For beta 1 `adaptation`
    is a Dirichlet density of each template; for others a divergence of the same form. `continuity` is that of
    Virtanen, weighed by the level of the mixture and not by that of each component, so that the objective
    never rises; and, as in Canadas-Quesada et al., for what is not percussive alone.

    Cost: O(n_iter n_components n_freqs n_frames). Peak memory beside the input and the sources: the spectrum,
    three real arrays of the size of one channel of it, and a few copies of the factors.

    References
    ----------
    P. Smaragdis, B. Raj, M. Shashanka, "Supervised and semi-supervised separation of sounds from
    single-channel mixtures", Independent Component Analysis and Signal Separation (ICA), 2007, pp. 414-421.
    doi:10.1007/978-3-540-74494-8_52

    T. Virtanen, "Monaural sound source separation by nonnegative matrix factorization with temporal
    continuity and sparseness criteria", IEEE Transactions on Audio, Speech, and Language Processing 15(3),
    2007, pp. 1066-1074. doi:10.1109/TASL.2006.885253

    F. J. Canadas-Quesada, P. Vera-Candeas, N. Ruiz-Reyes, J. Carabias-Orti, P. Cabanas-Molero,
    "Percussive/harmonic sound separation by non-negative matrix factorization with smoothness/sparseness
    constraints", EURASIP Journal on Audio, Speech, and Music Processing 2014:26.
    doi:10.1186/s13636-014-0026-5

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=2.0)
    >>> kick = dspsep.learn_templates(scene.sources["kick"], scene.sample_rate, n_components=4)
    >>> nmf = dspsep.SemiSupervisedNMF(templates={"kick": kick}, n_free=8, n_iter=50)
    >>> list(nmf.separate(scene.mixture, scene.sample_rate))
    ['kick', 'rest']
    """

    n_free: int = 16
    adaptation: float = 0.25
    continuity: float = 0.01
    rest: str = "rest"
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("n_free", "seed", "adaptation", "continuity"):
            object.__setattr__(self, name, _checks.plain(getattr(self, name)))
        _checks.integer("n_free", self.n_free, minimum=1, maximum=MAX_N_COMPONENTS - self._n_fixed)
        _checks.integer("seed", self.seed, minimum=0)
        _checks.number("adaptation", self.adaptation, minimum=0, maximum=_MAX_ADAPTATION)
        if 0 < self.adaptation < _LEAST_ADAPTATION:
            remedy = "0 keeps templates as they are."
            raise InputError(
                "adaptation", f"0 or at least {_LEAST_ADAPTATION:g}", f"{self.adaptation:g}", remedy
            )
        if self.adaptation and self.beta < 0:
            # d(W0 | W) has a limit as W grows, so that no price would keep templates.
            requirement, remedy = "0 for a beta below 0", "0 keeps templates as they are."
            raise InputError("adaptation", requirement, f"{self.adaptation:g}", remedy)
        check_penalties(0.0, 0.0, self.continuity)
        check_divergence(self.beta, self.solver, squares=self.continuity > 0)
        for name in ("adaptation", "continuity"):
            object.__setattr__(self, name, float(getattr(self, name)))
        check_source_name(self.rest)
        if self.rest in dict(self._dictionaries):
            raise InputError("rest", "another name than those of the templates", repr(self.rest))

    @property
    def source_names(self) -> tuple[str, ...]:
        """Those of the templates, and the rest."""
        return (*(name for name, _ in self._dictionaries), self.rest)

    def _components(self, prepared: Prepared) -> tuple[Array, Array, Groups]:
        V, known = prepared.values, self._known()
        n_fixed, n_freqs = known.shape
        values = np.concatenate([known, random_templates(self.n_free, n_freqs, self.seed)])
        xp = _backend.namespace(V)
        W = xp.astype(_backend.asarray_like(values, V), V.dtype)
        free = tuple(range(n_fixed, n_fixed + self.n_free))
        fixed = np.arange(len(values)) < n_fixed
        if self.adaptation:
            # What is silent has no spectrum to begin with, and would learn that of anything.
            fixed &= values.max(axis=1) == 0
        return W, fixed, (*self._groups, (self.rest, free))

    def _weights(self, prepared: Prepared, W: Array) -> Weights:
        if not prepared.mean:
            return Weights()
        xp = _backend.namespace(W)
        n_fixed, n_components = self._n_fixed, W.shape[0]
        prior = None
        if self.adaptation:
            # Beside the mixture, so many frames of its mean level in which one template is heard alone.
            n_frames = prepared.values.shape[0] / (self.adaptation * n_fixed)
            level = prepared.mean * W.shape[1]
            floor = 0.0 if self.beta == 2 else FLOOR * prepared.mean / level
            known = W[:n_fixed, :]
            prior = Prior(
                templates=xp.clip(known, floor, None) if self.beta <= 0 else known,
                weight=n_frames * level**self.beta,
                beta=self.beta,
                floor=floor,
            )
        free = xp.arange(n_components, device=W.device) >= n_fixed
        tied = xp.astype(free, W.dtype)
        return Weights(l1=self.l1, continuity=self.continuity, tied=tied, prior=prior)
