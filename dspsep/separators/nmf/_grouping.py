"""Which components make which source."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from dspsep import _backend, _checks
from dspsep._pictures import each_name
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.kernels import kernels_for
from dspsep.separators.nmf._updates import blocks
from dspsep.sources import check_source_name

__all__ = [
    "RESIDUAL",
    "Grouping",
    "Groups",
    "by_timbre",
    "checked_groups",
    "component_names",
    "iter_group_masks",
]

Groups: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]
#: From templates (n_freqs, n_components), activations (n_components, n_frames), both NumPy, and the rate.
Grouping: TypeAlias = Callable[[Array, Array, float], Mapping[str, Sequence[int]]]

RESIDUAL = "residual"
_N_MELS, _N_MFCC = 40, 13


def checked_groups(groups: Any, n_components: int) -> Groups:
    """Return groups as pairs, with what is in none of them as the residual."""
    try:
        pairs = [(name, tuple(_checks.plain(members))) for name, members in dict(groups).items()]
    except (TypeError, ValueError):
        got = repr(groups)[:60]
        raise InputError("groups", "a mapping from name to the numbers of components", got) from None
    if not pairs:
        raise InputError("groups", "at least one group", "none", "None makes each component a source.")
    taken: set[int] = set()
    for name, members in pairs:
        check_source_name(name)
        for member in members:
            _checks.integer("groups", member, minimum=0, maximum=n_components - 1)
            if member in taken:
                raise InputError("groups", "groups without a component in common", f"{member} in two")
            taken.add(member)
    rest = tuple(k for k in range(n_components) if k not in taken)
    if rest:
        if RESIDUAL in dict(pairs):
            raise InputError(
                "groups", f"complete, if one of them is named {RESIDUAL!r}", f"none for {rest[0]}"
            )
        pairs.append((RESIDUAL, rest))
    return tuple(pairs)


def component_names(groups: Groups) -> tuple[str, ...]:
    """Return a name for each component, in their order: its source's, numbered if that has several."""
    if all(name == f"component_{k}" and members == (k,) for k, (name, members) in enumerate(groups)):
        return tuple(str(k) for k in range(len(groups)))  # the axis says what they are
    counted = each_name([(name, len(members)) for name, members in groups])
    order = [member for _, members in groups for member in members]
    return tuple(name for _, name in sorted(zip(order, counted, strict=True)))


def by_timbre(W: Array, sample_rate: float, n_groups: int, seed: int) -> Groups:
    """Cluster frame-major templates of magnitudes by mel-frequency cepstra, into ``group_0`` and so on.

    As Spiertz & Gnann (2009) do; the coefficient that says how loud a template is, a matter of scale, is left
    out.
    """
    import librosa
    from sklearn.cluster import KMeans

    templates = np.asarray(_backend.to_host(W), np.float64).T
    names = [f"group_{number}" for number in range(n_groups)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # empty mel bands of short frames, clusters of equal templates
        mel = librosa.feature.melspectrogram(S=templates**2, sr=sample_rate, n_mels=_N_MELS)
        mel /= np.maximum(mel.max(axis=0), np.finfo(float).tiny)
        mfcc = librosa.feature.mfcc(S=librosa.power_to_db(mel, top_db=None, amin=1e-8), n_mfcc=_N_MFCC + 1)[
            1:
        ]
        labels = KMeans(n_groups, n_init=10, random_state=seed).fit_predict(mfcc.T)
    # Clusters are numbered as they are met, so that names do not depend on how k-means numbers them.
    order = list(dict.fromkeys(labels.tolist()))
    order += [label for label in range(n_groups) if label not in order]
    return tuple(
        (name, tuple(np.flatnonzero(labels == label).tolist()))
        for name, label in zip(names, order, strict=True)
    )


def iter_group_masks(W: Array, H: Array, groups: Groups) -> Iterator[Array]:
    """Yield the share of each group in the model, (1, n_freqs, n_frames): Wiener-like, one at a time.

    What exists at once is one mask and blocks of frames: it does not grow with the number of components, nor
    with that of groups. Where the model is zero, all groups have equal shares.
    """
    xp = _backend.namespace(W, H)
    tie = 1 / len(groups)
    everyone = {k for _, members in groups for k in members}
    for _, members in groups:
        own = _chosen(xp, members, W)
        others = _chosen(xp, sorted(everyone - set(members)), W)
        mask = xp.empty((1, H.shape[0], W.shape[1]), dtype=W.dtype, device=W.device)
        for block in blocks(mask[0, ...]):
            part = H[block, :]
            share = kernels_for(W).soft_mask(
                _product(xp, part, own), _product(xp, part, others), 1.0, 1.0, tie
            )
            mask[0, block, :] = share
        yield xp.permute_dims(mask, (0, 2, 1))


def _chosen(xp: Any, members: Sequence[int], W: Array) -> tuple[Any, Array]:
    index = xp.asarray(list(members), dtype=xp.int64, device=W.device)
    return index, xp.take(W, index, axis=0)


def _product(xp: Any, H: Array, chosen: tuple[Any, Array]) -> Array:
    index, W = chosen
    if not W.shape[0]:
        return xp.zeros((H.shape[0], W.shape[1]), dtype=H.dtype, device=H.device)  # type: ignore[no-any-return]
    return xp.take(H, index, axis=1) @ W  # type: ignore[no-any-return]
