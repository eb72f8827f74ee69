"""Supervised factorisation: all templates are known, and only when they are heard is learned.

With W_s the templates of source s, learned from an example of it alone, and V the magnitudes of the mixture,

    V ~ sum_s W_s H_s,        M_s = W_s H_s / sum_r W_r H_r

where only H is learned. For beta from 1 to 2 that is a convex problem, so the start does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.separators.nmf._core import Prepared
from dspsep.separators.nmf._grouping import Groups
from dspsep.separators.nmf._supervision import Supervision, with_residual

__all__ = ["SupervisedNMF"]


@final
@dataclass(frozen=True, kw_only=True)
class SupervisedNMF(Supervision):
    """Separation of sources whose spectra are known from examples.

    Each source has templates, learned from a recording of it alone; what is learned from the mixture is when
    each template is heard.

    Parameters
    ----------
    stft : STFT, optional
        The transform: that of the templates, which no other is accepted for.
    templates : mapping of str to Templates
        Of every source, by name: see `learn_templates`. All for one transform, rate and exponent. Kept as a
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
        The weight of the sum of activations, for data with a mean of one. Makes them sparse, which is of use
        with more templates than there are frequencies; but for beta 1, where it only scales them.

    Raises
    ------
    InputError
        If a setting is out of range, or templates do not belong together.

    See Also
    --------
    learn_templates : From an example to templates.
    SemiSupervisedNMF : For mixtures in which something else is heard as well.

    Notes
    -----
    The sources are those of the templates. They share the mixture in every bin in the ratio of their parts of
    the model, so that what no template explains goes to whoever is nearest. Only frequencies at which all
    templates are zero, as above the bandwidth of the examples, are nobody's: if there are any, there is a
    ``residual``, and the model has one more component for it.

    Several channels are factorised as one, the root of their mean square, and share masks: panning stays.

    Deviations from the paper, whose model is that of beta 1 in the language of probabilities: other
    divergences, and faster solvers.

    Cost: O(n_iter n_components n_freqs n_frames). Peak memory beside the input and the sources: the spectrum,
    three real arrays of the size of one channel of it, and a few copies of the factors.

    References
    ----------
    P. Smaragdis, B. Raj, M. Shashanka, "Supervised and semi-supervised separation of sounds from
    single-channel mixtures", Independent Component Analysis and Signal Separation (ICA), 2007, pp. 414-421.
    doi:10.1007/978-3-540-74494-8_52

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=2.0)
    >>> known = {
    ...     name: dspsep.learn_templates(scene.sources[name], scene.sample_rate, n_components=8)
    ...     for name in ("kick", "bass", "vocals")
    ... }
    >>> list(dspsep.SupervisedNMF(templates=known).separate(scene.mixture, scene.sample_rate))
    ['kick', 'bass', 'vocals']
    """

    @property
    def source_names(self) -> tuple[str, ...]:
        """Those of the templates, and ``residual`` if all are zero at some frequency."""
        return tuple(name for name, _ in self._complete()[1])

    def _complete(self) -> tuple[Array, Groups]:
        return with_residual(self._known(), self._groups)

    def _components(self, prepared: Prepared) -> tuple[Array, Array, Groups]:
        known, groups = self._complete()
        V = prepared.values
        W = _backend.namespace(V).astype(_backend.asarray_like(known, V), V.dtype)
        return W, np.ones(known.shape[0], bool), groups
