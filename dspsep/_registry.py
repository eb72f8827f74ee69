"""The one list of what there is: read by public names, command line, JSON, tests, docs and benchmarks.

A new separator is added here in one line. Nothing is imported until it is asked for.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from dspsep.errors import InputError

__all__ = ["METHODS", "PUBLIC", "Method", "find_method", "load", "type_named"]


@dataclass(frozen=True, kw_only=True)
class Method:
    """A separator, as the registry knows it before it is imported."""

    target: str
    family: str
    summary: str
    min_channels: int = 1
    max_channels: int | None = None
    #: The names under default settings; None where only the data decide them.
    source_names: tuple[str, ...] | None = None


#: The separators, by class name.
METHODS: dict[str, Method] = {
    "HPSS": Method(
        target="dspsep.separators.hpss.median:HPSS",
        family="hpss",
        summary="Harmonic-percussive separation by median filtering of the spectrogram",
        source_names=("harmonic", "percussive"),
    ),
    "CascadedHPSS": Method(
        target="dspsep.separators.hpss.cascaded:CascadedHPSS",
        family="hpss",
        summary="Harmonic-percussive separation in two passes, with long frames and then with short ones",
        source_names=("harmonic", "percussive"),
    ),
    "IterativeHPSS": Method(
        target="dspsep.separators.hpss.iterative:IterativeHPSS",
        family="hpss",
        summary="Harmonic-percussive separation by complementary diffusion of a spectrogram",
        source_names=("harmonic", "percussive"),
    ),
    "TwoStageHPSS": Method(
        target="dspsep.separators.hpss.two_stage:TwoStageHPSS",
        family="hpss",
        summary="A singing voice by two passes: percussive in long frames, harmonic in short ones",
        source_names=("harmonic", "percussive", "vocals"),
    ),
    "NMF": Method(
        target="dspsep.separators.nmf.blind:NMF",
        family="nmf",
        summary="Components with a fixed spectrum each, by non-negative matrix factorisation",
        source_names=tuple(f"component_{k}" for k in range(8)),
    ),
    "NMFD": Method(
        target="dspsep.separators.nmf.nmfd:NMFD",
        family="nmf",
        summary="Convolutive factorisation of a spectrogram; kick, snare and hi-hat of a drum track",
        source_names=("kick", "snare", "hihat"),
    ),
    "OnlineNMF": Method(
        target="dspsep.separators.nmf.online:OnlineNMF",
        family="nmf",
        summary="Factorisation in blocks, of recordings of any length: templates learned as they go on",
        source_names=tuple(f"component_{k}" for k in range(8)),
    ),
    "REPET": Method(
        target="dspsep.separators.repetition.repet:REPET",
        family="repetition",
        summary="A background that repeats with a period, and what does not",
        source_names=("background", "foreground"),
    ),
    "REPETExtended": Method(
        target="dspsep.separators.repetition.extended:REPETExtended",
        family="repetition",
        summary="A background that repeats with a period of its own in each part, and what does not",
        source_names=("background", "foreground"),
    ),
    "AdaptiveREPET": Method(
        target="dspsep.separators.repetition.adaptive:AdaptiveREPET",
        family="repetition",
        summary="A background that repeats with a period that changes, and what does not",
        source_names=("background", "foreground"),
    ),
    "REPETSim": Method(
        target="dspsep.separators.repetition.similarity:REPETSim",
        family="repetition",
        summary="A background that comes again, with a period or without, and what does not",
        source_names=("background", "foreground"),
    ),
    "NearestNeighborMedian": Method(
        target="dspsep.separators.repetition.nearest:NearestNeighborMedian",
        family="repetition",
        summary="A background whose frames are like some others, wherever those are, and what is not",
        source_names=("background", "foreground"),
    ),
    "KAM": Method(
        target="dspsep.separators.repetition.kam:KAM",
        family="repetition",
        summary="A voice and an accompaniment, or others, by kernels that say where each is alike",
        source_names=("accompaniment", "vocals"),
    ),
    "RPCA": Method(
        target="dspsep.separators.lowrank.rpca:RPCA",
        family="lowrank",
        summary="A background of low rank and a sparse foreground, by robust principal component analysis",
        source_names=("background", "foreground"),
    ),
    "FT2D": Method(
        target="dspsep.separators.lowrank.ft2d:FT2D",
        family="lowrank",
        summary="A background that repeats, by the peaks of a 2-D Fourier transform of the spectrogram",
        source_names=("background", "foreground"),
    ),
    "ADRess": Method(
        target="dspsep.separators.spatial.adress:ADRess",
        family="spatial",
        summary="Sources of an amplitude-panned stereo mixture, by where its channels cancel",
        min_channels=2,
        max_channels=2,
        source_names=("source_0", "source_1", "source_2", "residual"),
    ),
    "DUET": Method(
        target="dspsep.separators.spatial.duet:DUET",
        family="spatial",
        summary="Sources by attenuation and delay between two channels, each bin being one source's",
        min_channels=2,
        max_channels=2,
        source_names=("source_0", "source_1", "source_2"),
    ),
    "MidSide": Method(
        target="dspsep.separators.spatial.mid_side:MidSide",
        family="spatial",
        summary="What is alike in both channels of a stereo mixture, its centre, and what is not",
        min_channels=2,
        max_channels=2,
        source_names=("center", "sides"),
    ),
    "PROJET": Method(
        target="dspsep.separators.spatial.projet:PROJET",
        family="spatial",
        summary="Sources that are spread over the stereo panorama, learned from many projections",
        min_channels=2,
        max_channels=2,
        source_names=("source_0", "source_1", "source_2"),
    ),
    "FastICA": Method(
        target="dspsep.separators.ica.fastica:FastICA",
        family="ica",
        summary="Instantaneous mixtures: outputs as far from Gaussian as they can be, by a fixed point",
        min_channels=2,
    ),
    "Infomax": Method(
        target="dspsep.separators.ica.infomax:Infomax",
        family="ica",
        summary="Instantaneous mixtures: the matrix of largest likelihood, by relative gradient descent",
        min_channels=2,
    ),
    "Picard": Method(
        target="dspsep.separators.ica.picard:Picard",
        family="ica",
        summary="Instantaneous mixtures: the matrix of largest likelihood, by preconditioned L-BFGS",
        min_channels=2,
    ),
    "JADE": Method(
        target="dspsep.separators.ica.jade:JADE",
        family="ica",
        summary="Instantaneous mixtures: joint diagonalisation of fourth-order cumulants",
        min_channels=2,
    ),
    "SOBI": Method(
        target="dspsep.separators.ica.sobi:SOBI",
        family="ica",
        summary="Instantaneous mixtures: joint diagonalisation of correlations over time",
        min_channels=2,
    ),
    "FastMNMF2": Method(
        target="dspsep.separators.spatial.fastmnmf:FastMNMF2",
        family="spatial",
        summary="Sources by place and by spectrum, more than microphones if need be: fast multichannel NMF",
        min_channels=2,
        source_names=("source_0", "source_1"),
    ),
    "CACGMM": Method(
        target="dspsep.separators.spatial.cacgmm:CACGMM",
        family="spatial",
        summary="Masks by direction, more sources than microphones if need be: angular Gaussian mixtures",
        min_channels=2,
        source_names=("source_0", "source_1"),
    ),
    "AuxIVA": Method(
        target="dspsep.separators.iva.auxiva:AuxIVA",
        family="iva",
        summary="As many sources as microphones, in a room, by independent vector analysis",
        min_channels=2,
    ),
    "OverIVA": Method(
        target="dspsep.separators.iva.overiva:OverIVA",
        family="iva",
        summary="Fewer sources than microphones, and a background, by independent vector analysis",
        min_channels=2,
    ),
    "ILRMA": Method(
        target="dspsep.separators.iva.ilrma:ILRMA",
        family="iva",
        summary="As many sources as microphones, in a room, by independent low-rank matrix analysis",
        min_channels=2,
    ),
    "FDICA": Method(
        target="dspsep.separators.iva.fdica:FDICA",
        family="iva",
        summary="As many sources as microphones, in a room, bin by bin, and then put in order",
        min_channels=2,
    ),
    "MixtureAsEstimate": Method(
        target="dspsep.separators.baseline.mixture:MixtureAsEstimate",
        family="baseline",
        summary="An equal share of the mixture for every source: the lower bound of a results table",
        source_names=("vocals", "accompaniment"),
    ),
    "HighLowPass": Method(
        target="dspsep.separators.baseline.high_low_pass:HighLowPass",
        family="baseline",
        summary="A low source and a high one, parted at a frequency: a lower bound",
        source_names=("accompaniment", "vocals"),
    ),
}

#: Steps of a pipeline that are not separators by themselves.
REFINERS: dict[str, str] = {
    "ConsistentWiener": "dspsep.refine.consistent_wiener:ConsistentWiener",
    "MISI": "dspsep.refine.misi:MISI",
    "Regroup": "dspsep.refine.regroup:Regroup",
    "Split": "dspsep.pipeline:Split",
    "Wiener": "dspsep.refine.wiener:Wiener",
}

_COMPOSITIONS: dict[str, str] = {
    "Ensemble": "dspsep.ensemble:Ensemble",
    "Pipeline": "dspsep.pipeline:Pipeline",
}

_MODELS: dict[str, str] = {
    "HPSSModel": "dspsep.separators.hpss.median:HPSSModel",
    "HighLowPassModel": "dspsep.separators.baseline.high_low_pass:HighLowPassModel",
    "AdaptiveREPETModel": "dspsep.separators.repetition.adaptive:AdaptiveREPETModel",
    "REPETExtendedModel": "dspsep.separators.repetition.extended:REPETExtendedModel",
    "REPETModel": "dspsep.separators.repetition.repet:REPETModel",
    "REPETSimModel": "dspsep.separators.repetition.similarity:REPETSimModel",
    "NearestNeighborMedianModel": "dspsep.separators.repetition.nearest:NearestNeighborMedianModel",
    "KAMModel": "dspsep.separators.repetition.kam:KAMModel",
    "NMFDModel": "dspsep.separators.nmf.nmfd:NMFDModel",
    "IterativeHPSSModel": "dspsep.separators.hpss.iterative:IterativeHPSSModel",
    "OnlineNMFModel": "dspsep.separators.nmf._online:OnlineNMFModel",
    "NMFModel": "dspsep.separators.nmf.blind:NMFModel",
    "RPCAModel": "dspsep.separators.lowrank.rpca:RPCAModel",
    "FT2DModel": "dspsep.separators.lowrank.ft2d:FT2DModel",
    "ADRessModel": "dspsep.separators.spatial.adress:ADRessModel",
    "DUETModel": "dspsep.separators.spatial.duet:DUETModel",
    "MidSideModel": "dspsep.separators.spatial.mid_side:MidSideModel",
    "PROJETModel": "dspsep.separators.spatial.projet:PROJETModel",
    "InstantaneousModel": "dspsep.separators.ica._model:InstantaneousModel",
    "CACGMMModel": "dspsep.separators.spatial.cacgmm:CACGMMModel",
    "FastMNMF2Model": "dspsep.separators.spatial._multichannel_model:FastMNMF2Model",
    "DemixingModel": "dspsep.separators.iva._model:DemixingModel",
}

#: Separators that cannot be made without templates or notes of the user's, and so are no methods of the
#: command line, and these templates and notes.
_SUPERVISED: dict[str, str] = {
    "Note": "dspsep.separators.nmf.score:Note",
    "ScoreInformedNMF": "dspsep.separators.nmf.score_informed:ScoreInformedNMF",
    "SemiSupervisedNMF": "dspsep.separators.nmf.semi_supervised:SemiSupervisedNMF",
    "SupervisedNMF": "dspsep.separators.nmf.supervised:SupervisedNMF",
    "Templates": "dspsep.separators.nmf.templates:Templates",
}

#: What the sources of a `KAM` are alike in: settings, and no methods.
_KERNELS: dict[str, str] = {
    "Cross": "dspsep.separators.repetition.proximity:Cross",
    "Horizontal": "dspsep.separators.repetition.proximity:Horizontal",
    "Pattern": "dspsep.separators.repetition.proximity:Pattern",
    "Periodic": "dspsep.separators.repetition.proximity:Periodic",
    "Vertical": "dspsep.separators.repetition.proximity:Vertical",
}

#: Separators that cannot be made without the true sources, and so are no methods of the command line. They
#: and their model are public names of `dspsep.oracle`.
_ORACLES: dict[str, str] = {
    "IBM": "dspsep.oracle.binary:IBM",
    "IRM": "dspsep.oracle.ratio:IRM",
    "IWM": "dspsep.oracle.ratio:IWM",
    "MWF": "dspsep.oracle.wiener:MWF",
    "OracleModel": "dspsep.oracle._base:OracleModel",
    "PSM": "dspsep.oracle.phase_sensitive:PSM",
}

_PUBLIC_TYPES: dict[str, str] = {
    **{name: method.target for name, method in METHODS.items()},
    **REFINERS,
    **_COMPOSITIONS,
    **_MODELS,
    **_SUPERVISED,
    **_KERNELS,
    "STFT": "dspsep.stft:STFT",
}

#: What may appear by name in stored settings and models, and nothing else.
_TYPES: dict[str, str] = {**_PUBLIC_TYPES, **_ORACLES}

#: The names that `import dspsep` offers, and where each comes from.
PUBLIC: dict[str, str] = {
    **_PUBLIC_TYPES,
    "BackendError": "dspsep.errors:BackendError",
    "DeviceMemoryError": "dspsep.errors:DeviceMemoryError",
    "DspsepError": "dspsep.errors:DspsepError",
    "DspsepWarning": "dspsep.errors:DspsepWarning",
    "FrozenArray": "dspsep._frozen_array:FrozenArray",
    "InputError": "dspsep.errors:InputError",
    "Model": "dspsep.model:Model",
    "MaskModel": "dspsep.model:MaskModel",
    "Progress": "dspsep.progress:Progress",
    "Provenance": "dspsep.sources:Provenance",
    "Reach": "dspsep.streaming:Reach",
    "Refiner": "dspsep.separator:Refiner",
    "Separator": "dspsep.separator:Separator",
    "Sources": "dspsep.sources:Sources",
    "SpectralSeparator": "dspsep.separator:SpectralSeparator",
    "Spectrogram": "dspsep.stft:Spectrogram",
    "Stream": "dspsep.streaming:Stream",
    "adress_nulls": "dspsep.separators.spatial.adress:adress_nulls",
    "alpha_wiener": "dspsep.refine.filters:alpha_wiener",
    "align_permutation": "dspsep.separators.iva.permutation:align_permutation",
    "auxiva": "dspsep.separators.iva.auxiva:auxiva",
    "beat_spectrum": "dspsep.separators.repetition._period:beat_spectrum",
    "center_mask": "dspsep.separators.spatial.mid_side:center_mask",
    "consistent_wiener": "dspsep.refine.consistent_wiener:consistent_wiener",
    "duet_histogram": "dspsep.separators.spatial._panning:duet_histogram",
    "evaluate_folders": "dspsep.batch.evaluation:evaluate_folders",
    "fastica": "dspsep.separators.ica.fastica:fastica",
    "cacgmm": "dspsep.separators.spatial.cacgmm:cacgmm",
    "cite": "dspsep.citations:cite",
    "describe": "dspsep.descriptions:describe",
    "fastmnmf2": "dspsep.separators.spatial.fastmnmf:fastmnmf2",
    "fdica": "dspsep.separators.iva.fdica:fdica",
    "from_json": "dspsep.separator:from_json",
    "ft2d": "dspsep.separators.lowrank.ft2d:ft2d",
    "get_num_threads": "dspsep._parallel:get_num_threads",
    "griffin_lim": "dspsep.refine.griffin_lim:griffin_lim",
    "hpss_masks": "dspsep.separators.hpss.median:hpss_masks",
    "infomax": "dspsep.separators.ica.infomax:infomax",
    "ilrma": "dspsep.separators.iva.ilrma:ilrma",
    "iterative_hpss": "dspsep.separators.hpss.iterative:iterative_hpss",
    "kam": "dspsep.separators.repetition.kam:kam",
    "jade": "dspsep.separators.ica.jade:jade",
    "learn_templates": "dspsep.separators.nmf.templates:learn_templates",
    "load": "dspsep.data.files:load",
    "load_model": "dspsep.model:load_model",
    "misi": "dspsep.refine.misi:misi",
    "log_opinion_pool": "dspsep.opinions:log_opinion_pool",
    "nmf": "dspsep.separators.nmf.factorisation:nmf",
    "nmfd": "dspsep.separators.nmf.deconvolution:nmfd",
    "num_threads": "dspsep._parallel:num_threads",
    "projet": "dspsep.separators.spatial._projet:projet",
    "picard": "dspsep.separators.ica.picard:picard",
    "overiva": "dspsep.separators.iva.overiva:overiva",
    "projection_back": "dspsep.separators.iva.scale:projection_back",
    "read_midi": "dspsep.data.midi:read_midi",
    "rpca": "dspsep.separators.lowrank.decomposition:rpca",
    "run_benchmark": "dspsep.bench.runner:run_benchmark",
    "save": "dspsep.data.files:save",
    "score_start": "dspsep.separators.nmf.score:score_start",
    "separate_file": "dspsep.data._separation:separate_file",
    "set_num_threads": "dspsep._parallel:set_num_threads",
    "sobi": "dspsep.separators.ica.sobi:sobi",
    "warmup": "dspsep._warmup:warmup",
    "WarmupReport": "dspsep._warmup:WarmupReport",
    "whiten": "dspsep.separators.ica._whitening:whiten",
    "wiener_em": "dspsep.refine.filters:wiener_em",
    "write_comparison": "dspsep.reports.comparison:write_comparison",
    "write_report": "dspsep.reports.report:write_report",
}

#: Modules that are public names themselves.
MODULES = ("bench", "data", "display", "masks", "metrics", "oracle", "separators", "testing")


def load(target: str) -> Any:
    """Import ``module:name`` and return it."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def type_named(name: object) -> Any:
    """Return a registered class by its name; anything else is refused, not imported."""
    if not isinstance(name, str) or name not in _TYPES:
        raise InputError("type", f"one of {', '.join(sorted(_TYPES))}", repr(name)[:80])
    return load(_TYPES[name])


def is_registered(kind: type) -> bool:
    """Tell whether `kind` is the class that its name is registered for."""
    target = _TYPES.get(kind.__name__)
    return target == f"{kind.__module__}:{kind.__qualname__}"


def find_method(name: str) -> str:
    """Return the registered spelling of a method's name: case, ``-`` and ``_`` do not count."""
    wanted = _plain(name)
    for registered in METHODS:
        if _plain(registered) == wanted:
            return registered
    raise InputError("method", f"one of {', '.join(method.lower() for method in METHODS)}", repr(name)[:80])


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
