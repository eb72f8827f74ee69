"""Classical audio source separation: one transform, one verb, sources that sum to the mixture.

>>> import dspsep
>>> scene = dspsep.data.scenes.song(duration=2.0)
>>> sources = dspsep.HPSS().separate(scene.mixture, scene.sample_rate)
>>> list(sources)
['harmonic', 'percussive']

Names are imported when they are first used, so that importing the package costs little.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dspsep import _registry
from dspsep._version import __version__

if TYPE_CHECKING:  # what `__getattr__` finds at run time, spelled out for type checkers and editors
    from dspsep import bench, data, display, masks, metrics, oracle, separators, testing
    from dspsep._frozen_array import FrozenArray
    from dspsep._parallel import get_num_threads, num_threads, set_num_threads
    from dspsep._warmup import WarmupReport, warmup
    from dspsep.batch.evaluation import evaluate_folders
    from dspsep.bench.runner import run_benchmark
    from dspsep.citations import cite
    from dspsep.data._separation import separate_file
    from dspsep.data.files import load, save
    from dspsep.data.midi import read_midi
    from dspsep.descriptions import describe
    from dspsep.ensemble import Ensemble
    from dspsep.errors import BackendError, DeviceMemoryError, DspsepError, DspsepWarning, InputError
    from dspsep.model import MaskModel, Model, load_model
    from dspsep.opinions import log_opinion_pool
    from dspsep.pipeline import Pipeline, Split
    from dspsep.progress import Progress
    from dspsep.refine.consistent_wiener import ConsistentWiener, consistent_wiener
    from dspsep.refine.filters import alpha_wiener, wiener_em
    from dspsep.refine.griffin_lim import griffin_lim
    from dspsep.refine.misi import MISI, misi
    from dspsep.refine.regroup import Regroup
    from dspsep.refine.wiener import Wiener
    from dspsep.reports.comparison import write_comparison
    from dspsep.reports.report import write_report
    from dspsep.separator import Refiner, Separator, SpectralSeparator, from_json
    from dspsep.separators.baseline.high_low_pass import HighLowPass, HighLowPassModel
    from dspsep.separators.baseline.mixture import MixtureAsEstimate
    from dspsep.separators.hpss.cascaded import CascadedHPSS
    from dspsep.separators.hpss.iterative import IterativeHPSS, IterativeHPSSModel, iterative_hpss
    from dspsep.separators.hpss.median import HPSS, HPSSModel, hpss_masks
    from dspsep.separators.hpss.two_stage import TwoStageHPSS
    from dspsep.separators.ica._model import InstantaneousModel
    from dspsep.separators.ica._whitening import whiten
    from dspsep.separators.ica.fastica import FastICA, fastica
    from dspsep.separators.ica.infomax import Infomax, infomax
    from dspsep.separators.ica.jade import JADE, jade
    from dspsep.separators.ica.picard import Picard, picard
    from dspsep.separators.ica.sobi import SOBI, sobi
    from dspsep.separators.iva._model import DemixingModel
    from dspsep.separators.iva.auxiva import AuxIVA, auxiva
    from dspsep.separators.iva.fdica import FDICA, fdica
    from dspsep.separators.iva.ilrma import ILRMA, ilrma
    from dspsep.separators.iva.overiva import OverIVA, overiva
    from dspsep.separators.iva.permutation import align_permutation
    from dspsep.separators.iva.scale import projection_back
    from dspsep.separators.lowrank.decomposition import rpca
    from dspsep.separators.lowrank.ft2d import FT2D, FT2DModel, ft2d
    from dspsep.separators.lowrank.rpca import RPCA, RPCAModel
    from dspsep.separators.nmf._online import OnlineNMFModel
    from dspsep.separators.nmf.blind import NMF, NMFModel
    from dspsep.separators.nmf.deconvolution import nmfd
    from dspsep.separators.nmf.factorisation import nmf
    from dspsep.separators.nmf.nmfd import NMFD, NMFDModel
    from dspsep.separators.nmf.online import OnlineNMF
    from dspsep.separators.nmf.score import Note, score_start
    from dspsep.separators.nmf.score_informed import ScoreInformedNMF
    from dspsep.separators.nmf.semi_supervised import SemiSupervisedNMF
    from dspsep.separators.nmf.supervised import SupervisedNMF
    from dspsep.separators.nmf.templates import Templates, learn_templates
    from dspsep.separators.repetition._period import beat_spectrum
    from dspsep.separators.repetition.adaptive import AdaptiveREPET, AdaptiveREPETModel
    from dspsep.separators.repetition.extended import REPETExtended, REPETExtendedModel
    from dspsep.separators.repetition.kam import KAM, KAMModel, kam
    from dspsep.separators.repetition.nearest import NearestNeighborMedian, NearestNeighborMedianModel
    from dspsep.separators.repetition.proximity import Cross, Horizontal, Pattern, Periodic, Vertical
    from dspsep.separators.repetition.repet import REPET, REPETModel
    from dspsep.separators.repetition.similarity import REPETSim, REPETSimModel
    from dspsep.separators.spatial._multichannel_model import FastMNMF2Model
    from dspsep.separators.spatial._panning import duet_histogram
    from dspsep.separators.spatial._projet import projet
    from dspsep.separators.spatial.adress import ADRess, ADRessModel, adress_nulls
    from dspsep.separators.spatial.cacgmm import CACGMM, CACGMMModel, cacgmm
    from dspsep.separators.spatial.duet import DUET, DUETModel
    from dspsep.separators.spatial.fastmnmf import FastMNMF2, fastmnmf2
    from dspsep.separators.spatial.mid_side import MidSide, MidSideModel, center_mask
    from dspsep.separators.spatial.projet import PROJET, PROJETModel
    from dspsep.sources import Provenance, Sources
    from dspsep.stft import STFT, Spectrogram
    from dspsep.streaming import Reach, Stream

__all__ = [
    "CACGMM",
    "DUET",
    "FDICA",
    "FT2D",
    "HPSS",
    "ILRMA",
    "JADE",
    "KAM",
    "MISI",
    "NMF",
    "NMFD",
    "PROJET",
    "REPET",
    "RPCA",
    "SOBI",
    "STFT",
    "ADRess",
    "ADRessModel",
    "AdaptiveREPET",
    "AdaptiveREPETModel",
    "AuxIVA",
    "BackendError",
    "CACGMMModel",
    "CascadedHPSS",
    "ConsistentWiener",
    "Cross",
    "DUETModel",
    "DemixingModel",
    "DeviceMemoryError",
    "DspsepError",
    "DspsepWarning",
    "Ensemble",
    "FT2DModel",
    "FastICA",
    "FastMNMF2",
    "FastMNMF2Model",
    "FrozenArray",
    "HPSSModel",
    "HighLowPass",
    "HighLowPassModel",
    "Horizontal",
    "Infomax",
    "InputError",
    "InstantaneousModel",
    "IterativeHPSS",
    "IterativeHPSSModel",
    "KAMModel",
    "MaskModel",
    "MidSide",
    "MidSideModel",
    "MixtureAsEstimate",
    "Model",
    "NMFDModel",
    "NMFModel",
    "NearestNeighborMedian",
    "NearestNeighborMedianModel",
    "Note",
    "OnlineNMF",
    "OnlineNMFModel",
    "OverIVA",
    "PROJETModel",
    "Pattern",
    "Periodic",
    "Picard",
    "Pipeline",
    "Progress",
    "Provenance",
    "REPETExtended",
    "REPETExtendedModel",
    "REPETModel",
    "REPETSim",
    "REPETSimModel",
    "RPCAModel",
    "Reach",
    "Refiner",
    "Regroup",
    "ScoreInformedNMF",
    "SemiSupervisedNMF",
    "Separator",
    "Sources",
    "SpectralSeparator",
    "Spectrogram",
    "Split",
    "Stream",
    "SupervisedNMF",
    "Templates",
    "TwoStageHPSS",
    "Vertical",
    "WarmupReport",
    "Wiener",
    "__version__",
    "adress_nulls",
    "align_permutation",
    "alpha_wiener",
    "auxiva",
    "beat_spectrum",
    "bench",
    "cacgmm",
    "center_mask",
    "cite",
    "consistent_wiener",
    "data",
    "describe",
    "display",
    "duet_histogram",
    "evaluate_folders",
    "fastica",
    "fastmnmf2",
    "fdica",
    "from_json",
    "ft2d",
    "get_num_threads",
    "griffin_lim",
    "hpss_masks",
    "ilrma",
    "infomax",
    "iterative_hpss",
    "jade",
    "kam",
    "learn_templates",
    "load",
    "load_model",
    "log_opinion_pool",
    "masks",
    "metrics",
    "misi",
    "nmf",
    "nmfd",
    "num_threads",
    "oracle",
    "overiva",
    "picard",
    "projection_back",
    "projet",
    "read_midi",
    "rpca",
    "run_benchmark",
    "save",
    "score_start",
    "separate_file",
    "separators",
    "set_num_threads",
    "sobi",
    "testing",
    "warmup",
    "whiten",
    "wiener_em",
    "write_comparison",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _registry.PUBLIC:
        value = _registry.load(_registry.PUBLIC[name])
    elif name in _registry.MODULES:
        value = importlib.import_module(f"dspsep.{name}")
    else:
        raise AttributeError(f"module 'dspsep' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
