"""Every separator keeps the contract."""

from __future__ import annotations

import numpy as np
import pytest

from dspsep import _registry
from dspsep.ensemble import Ensemble
from dspsep.pipeline import Pipeline
from dspsep.refine.consistent_wiener import ConsistentWiener
from dspsep.refine.misi import MISI
from dspsep.refine.regroup import Regroup
from dspsep.refine.wiener import Wiener
from dspsep.separators.baseline.high_low_pass import HighLowPass
from dspsep.separators.baseline.mixture import MixtureAsEstimate
from dspsep.separators.hpss.cascaded import CascadedHPSS
from dspsep.separators.hpss.iterative import IterativeHPSS
from dspsep.separators.hpss.median import HPSS
from dspsep.separators.hpss.two_stage import TwoStageHPSS
from dspsep.separators.ica.fastica import FastICA
from dspsep.separators.ica.infomax import Infomax
from dspsep.separators.ica.jade import JADE
from dspsep.separators.ica.picard import Picard
from dspsep.separators.ica.sobi import SOBI
from dspsep.separators.iva.auxiva import AuxIVA
from dspsep.separators.iva.fdica import FDICA
from dspsep.separators.iva.ilrma import ILRMA
from dspsep.separators.iva.overiva import OverIVA
from dspsep.separators.lowrank.ft2d import FT2D
from dspsep.separators.lowrank.rpca import RPCA
from dspsep.separators.nmf.blind import NMF
from dspsep.separators.nmf.nmfd import NMFD
from dspsep.separators.nmf.online import OnlineNMF
from dspsep.separators.repetition.adaptive import AdaptiveREPET
from dspsep.separators.repetition.extended import REPETExtended
from dspsep.separators.repetition.kam import KAM
from dspsep.separators.repetition.nearest import NearestNeighborMedian
from dspsep.separators.repetition.proximity import Cross, Horizontal, Pattern, Periodic, Vertical
from dspsep.separators.repetition.repet import REPET
from dspsep.separators.repetition.similarity import REPETSim
from dspsep.separators.spatial.adress import ADRess
from dspsep.separators.spatial.cacgmm import CACGMM
from dspsep.separators.spatial.duet import DUET
from dspsep.separators.spatial.fastmnmf import FastMNMF2
from dspsep.separators.spatial.mid_side import MidSide
from dspsep.separators.spatial.projet import PROJET
from dspsep.stft import STFT
from dspsep.testing import contract

_SMALL = STFT(512)
_COARSE = STFT(256, 128)
_ICA = {"channels": (2,), "precision_snr": 40, "scale_tolerance": 1e-4}

_DEMIXING = {"channels": (2,), "scale_tolerance": 1e-4, "precision_snr": 40}

SEPARATORS = {
    "hpss": (HPSS(), {}),
    "hpss-margin": (HPSS(stft=_SMALL, margin=(1.5, 3.0), power=1.0), {}),
    "hpss-hard": (HPSS(stft=STFT(510, 170, "blackman"), mask="hard"), {"precision_snr": 40}),
    "hpss-physical": (HPSS(stft=_SMALL, harmonic_seconds=0.2, percussive_hertz=800.0, power=3.5), {}),
    "cascaded": (CascadedHPSS(), {}),
    "cascaded-paper": (
        CascadedHPSS(
            first=HPSS(stft=STFT(1024), mask="hard", margin=2.0),
            second=HPSS(stft=STFT(128), mask="hard", margin=2.0),
            between="residual",
        ),
        {"precision_snr": 40},
    ),
    "iterative": (IterativeHPSS(stft=STFT(1024), n_iter=20), {}),
    "iterative-hard": (
        IterativeHPSS(stft=STFT(510, 170, "blackman"), n_iter=5, harmonic_weight=0.3, mask="hard"),
        {"precision_snr": 40},
    ),
    "two-stage": (TwoStageHPSS(), {}),
    "two-stage-iterative": (
        TwoStageHPSS(
            first=IterativeHPSS(stft=STFT(2048), n_iter=8),
            second=HPSS(stft=STFT(256), margin=1.5),
            cutoff_hertz=None,
        ),
        {},
    ),
    "nmf": (NMF(n_components=3, n_iter=10), {"precision_snr": 40}),
    "nmf-euclidean": (
        NMF(
            stft=STFT(510, 170, "blackman"),
            n_components=4,
            beta=2.0,
            exponent=2.0,
            n_iter=10,
            groups={"one": [0, 2]},
        ),
        {"precision_snr": 40},
    ),
    "nmf-itakura-saito": (
        NMF(
            stft=_SMALL,
            n_components=4,
            beta=0.0,
            exponent=2.0,
            n_iter=10,
            init="nndsvdar",
            l1=0.01,
            groups="timbre",
        ),
        {"precision_snr": 40},
    ),
    "nmfd": (NMFD(n_iter=12), {}),
    "nmfd-random": (
        NMFD(stft=STFT(510, 170, "blackman"), start="random", beta=0.5, n_iter=5, power=1.0),
        {},
    ),
    "online-nmf": (OnlineNMF(n_components=3, n_iter=10, batch_seconds=0.5), {"precision_snr": 40}),
    "online-nmf-itakura-saito": (
        OnlineNMF(
            stft=STFT(510, 170, "blackman"),
            n_components=4,
            beta=0.0,
            exponent=2.0,
            n_iter=5,
            batch_seconds=0.05,
            memory_seconds=0.5,
        ),
        {"precision_snr": 40},
    ),
    "repet": (REPET(stft=_SMALL, min_period_seconds=0.02), {}),
    "repet-extended": (
        REPETExtended(
            stft=STFT(510, 170, "blackman"), min_period_seconds=0.05, segment_seconds=0.7, step_seconds=0.3
        ),
        {},
    ),
    "adaptive-repet": (
        AdaptiveREPET(stft=_SMALL, min_period_seconds=0.05, window_seconds=0.7, step_seconds=0.3, order=7),
        {},
    ),
    "repet-sim": (REPETSim(distance_seconds=0.1, cutoff_hertz=None), {}),
    "nearest-neighbor-median": (NearestNeighborMedian(distance_seconds=0.1, margin=(2, 10)), {}),
    "nearest-neighbor-median-certain": (
        NearestNeighborMedian(
            stft=STFT(510, 170, "blackman"), distance_seconds=0.02, n_neighbors=5, power=1.0
        ),
        {},
    ),
    "repet-sim-past": (
        REPETSim(stft=STFT(510, 170, "blackman"), distance_seconds=0.05, past_seconds=0.3),
        {},
    ),
    "kam": (KAM(min_period_seconds=0.02), {}),
    "kam-patterns": (
        KAM(
            stft=STFT(510, 170, "blackman"),
            sources={
                "notes": Horizontal(seconds=0.1),
                "glides": [Pattern(values=np.eye(3)), Pattern(values=np.eye(3)[::-1])],
                "loop": Periodic(period_seconds=0.05, n_repeats=3),
                "rest": [Vertical(bins=17), Cross(frames=3, hertz=200.0)],
            },
            exponent=2.0,
            n_iter=2,
            cutoff_hertz=300.0,
            low="loop",
        ),
        {},
    ),
    "rpca": (RPCA(), {}),
    "rpca-binary": (
        RPCA(stft=STFT(510, 170, "blackman"), mask="binary", sparsity=0.7, gain=1.5, max_rank=20),
        {"precision_snr": 40},
    ),
    "ft2d": (FT2D(stft=_SMALL), {}),
    "ft2d-threshold": (
        FT2D(stft=STFT(510, 170, "blackman"), peaks="threshold", neighbourhood=(3, 9), cutoff_hertz=None),
        {"precision_snr": 40},
    ),
    "adress": (ADRess(stft=_SMALL), {"channels": (2,), "precision_snr": 40}),
    "adress-places": (
        ADRess(stft=STFT(510, 170, "blackman"), positions=(-0.5, 0, 0.4), mask="hard"),
        {"channels": (2,), "precision_snr": 40},
    ),
    "duet": (DUET(stft=_SMALL), {"channels": (2,), "precision_snr": 40}),
    "duet-soft": (
        DUET(stft=STFT(510, 170, "blackman"), mask="soft", n_sources=2, max_attenuation=3.0, p=0.5, q=1.0),
        {"channels": (2,), "precision_snr": 40},
    ),
    "mid-side": (MidSide(stft=_SMALL, cutoff_hertz=100), {"channels": (2,)}),
    "projet": (
        PROJET(stft=_SMALL, n_angles=9, n_projections=5, n_iter=5),
        {"channels": (2,), "precision_snr": 40},
    ),
    "fastica": (FastICA(), _ICA),
    "infomax": (Infomax(extended=False, tol=1e-4, n_sources=2), _ICA),
    "picard": (Picard(ortho=True), _ICA),
    "jade": (JADE(n_sources=1), _ICA),
    "sobi": (SOBI(), _ICA),
    "fastmnmf2": (
        FastMNMF2(stft=_SMALL, n_components=2, n_iter=4, init="random"),
        {"channels": (2,), "precision_snr": 40},
    ),
    "fastmnmf2-three": (
        FastMNMF2(stft=STFT(510, 170, "blackman"), n_sources=3, n_components=1, n_iter=2, init="random"),
        {"channels": (2,), "precision_snr": 40},
    ),
    "cacgmm": (CACGMM(stft=_SMALL, n_sources=3, n_iter=4), {"channels": (2,), "precision_snr": 40}),
    "auxiva": (AuxIVA(stft=_SMALL, n_iter=3), _DEMIXING),
    "auxiva-gauss-steering": (
        AuxIVA(stft=STFT(510, 170, "blackman"), update="iss", contrast="gauss", n_iter=3, n_sources=2),
        _DEMIXING,
    ),
    "overiva": (OverIVA(stft=_SMALL, n_iter=3), _DEMIXING),
    "ilrma": (ILRMA(stft=_SMALL, n_iter=3, n_starts=2, init=AuxIVA(stft=_SMALL, n_iter=2)), _DEMIXING),
    "fdica": (FDICA(stft=_SMALL, n_iter=3), _DEMIXING),
    "mixture": (MixtureAsEstimate(), {}),
    "mixture-of-three": (MixtureAsEstimate(source_names=("drums", "bass", "rest")), {}),
    "high-low-pass": (HighLowPass(), {}),
    "high-low-pass-small": (
        HighLowPass(stft=STFT(510, 170, "blackman"), cutoff_hertz=1234.5, low="bass"),
        {},
    ),
    "pipeline": (
        HPSS(stft=STFT(1024), margin=2.0)
        >> {"percussive": HPSS(stft=STFT(256)), "residual": HPSS(stft=_SMALL) >> Regroup(all=["harmonic"])}
        >> Regroup(drums=["percussive"], rest=["harmonic", "residual"]),
        {},
    ),
    "misi": (HPSS(stft=_SMALL) >> MISI(stft=_SMALL, n_iter=2), {}),
    "consistent-wiener": (
        HPSS(stft=_SMALL) >> ConsistentWiener(stft=STFT(510, 170, "blackman"), n_iter=3),
        {},
    ),
    "pipeline-of-families": (
        HPSS(stft=STFT(1024))
        >> {
            "harmonic": REPET(stft=_COARSE, min_period_seconds=0.02)
            >> {"foreground": NMF(stft=_COARSE, n_components=2, n_iter=2)},
            "percussive": FT2D(stft=_COARSE) >> {"background": RPCA(stft=_COARSE)},
        }
        >> Regroup(rest=["percussive/foreground", "harmonic/background"]),
        {"precision_snr": 40},
    ),
    "pipeline-of-families-stereo": (
        MidSide(stft=_SMALL)
        >> {
            "center": FastICA() >> {"source_0": HighLowPass(stft=_SMALL)},
            "sides": AuxIVA(stft=_SMALL, n_iter=2)
            >> {"source_0": KAM(stft=_SMALL, min_period_seconds=0.02, n_iter=1)},
        },
        _DEMIXING,
    ),
    "pipeline-of-streams": (
        OnlineNMF(stft=_COARSE, n_components=2, n_iter=2, batch_seconds=0.1)
        >> {
            "component_0": REPETSim(stft=STFT(510, 170, "blackman"), distance_seconds=0.05, past_seconds=0.3),
            "component_1": HPSS(stft=STFT(256)) >> {"harmonic": HighLowPass(stft=_SMALL)},
        }
        >> Regroup(rest=["component_1/percussive", "component_0/foreground"]),
        {"precision_snr": 40},
    ),
    "ensemble": (
        Ensemble([HPSS(stft=_SMALL), HPSS(stft=STFT(1024), margin=2.0)], weights=[2, 1]),
        {},
    ),
    "ensemble-log-opinion": (
        Ensemble(
            [
                HPSS(stft=_SMALL),
                OnlineNMF(stft=_COARSE, n_components=2, n_iter=2, batch_seconds=0.1)
                >> Regroup(percussive=["component_0"], harmonic=["component_1"]),
            ],
            method="log-opinion",
            stft=STFT(510, 170, "blackman"),
        ),
        {"precision_snr": 40},
    ),
    "wiener": (HPSS(stft=_SMALL, margin=2.0) >> Wiener(stft=STFT(510, 170, "blackman"), alpha=1.5), {}),
    "wiener-steps": (HPSS(stft=_SMALL) >> Wiener(stft=_SMALL, n_iter=3), {"precision_snr": 40}),
}


def _clauses():
    """Yield all clauses for all separators; of each class, those of the first settings belong to the core."""
    seen = set()
    for name, (separator, options) in SEPARATORS.items():
        marks = () if type(separator) in seen else (pytest.mark.core,)
        if name == "pipeline-of-families-stereo":  # its matrices are given parts, which are no mixtures
            marks = (*marks, pytest.mark.filterwarnings(r"ignore:\[W_DELAYS\]"))
        seen.add(type(separator))
        for clause in contract(separator, **options):
            yield pytest.param(clause, id=f"{name}-{clause!r}", marks=marks)


# What the audio of the bench is not: panned, nor a few sources at two microphones.
@pytest.mark.filterwarnings(r"ignore:\[W_(NOT_PANNED|FEW_SOURCES|PHASE)\]")
@pytest.mark.parametrize("clause", list(_clauses()))
def test_contract(clause):
    clause()


def test_every_registered_separator_is_tested():
    tested = {type(separator).__name__ for separator, _ in SEPARATORS.values()}
    assert set(_registry.METHODS) <= tested
    assert {Pipeline.__name__, Ensemble.__name__} <= tested
