"""The bounds of a results table: what masks and filters of the true sources reach, and what is for free.

The upper bounds know the answer. They are given the true sources, the *references*, and may use them to
make a mask or a filter, but not to leave the mixture: what is heard is still the mixture, masked or
filtered. So they tell how far a class of methods can get on a mixture, and no method of that class that
does not know the answer gets further, or not by much.

==================  =====================================================  ==========================
bound               what a bin of a source is, of the mixture X            in tables
==================  =====================================================  ==========================
`IBM`               all of X if ``|S|^p >= threshold |X|^p``               IBM1, IBM2 (exponent 1, 2)
`IRM`, `IWM`        the share of ``|S|^p`` in the sum over sources         IRM1, IRM2 (exponent 1, 2)
`PSM`               ``Re(S / X)``, within [0, 1]
`MWF`               a Wiener filter across channels                        MWF
==================  =====================================================  ==========================

The lower bounds know nothing, and are ordinary separators: `MixtureAsEstimate` and `HighLowPass`.

The definitions of IBM, IRM and MWF are those of the evaluation campaign SiSEC 2018 (Stöter, Liutkus & Ito
2018), whose transform is ``STFT(2048, 1024)``.
"""

from __future__ import annotations

from dspsep.oracle._base import OracleModel
from dspsep.oracle.binary import IBM
from dspsep.oracle.phase_sensitive import PSM
from dspsep.oracle.ratio import IRM, IWM
from dspsep.oracle.wiener import MWF
from dspsep.separators.baseline.high_low_pass import HighLowPass
from dspsep.separators.baseline.mixture import MixtureAsEstimate

__all__ = ["IBM", "IRM", "IWM", "MWF", "PSM", "HighLowPass", "MixtureAsEstimate", "OracleModel"]
