"""Pictures and pages: what a separation looks and sounds like, and what a model has learned.

Every ``plot_`` function draws one picture on the axes that ``ax`` names, or on a new figure, and returns
the axes. Axes are in seconds, hertz and decibels; colours are told apart with any colour vision; pyplot is
neither imported nor changed. `dspsep.Model.plot` chooses among them. `write_page` makes one HTML file to
listen to, look at and pass on. `StemPlayer` is what `Sources.play` shows in a notebook. matplotlib, soundfile
and Pillow are imported when something is drawn or written, not before.
"""

from __future__ import annotations

from dspsep.display.demixing import plot_beam_pattern, plot_mixing
from dspsep.display.factors import plot_activations, plot_templates
from dspsep.display.losses import plot_losses
from dspsep.display.lowrank import plot_singular_values
from dspsep.display.mask import plot_mask
from dspsep.display.page import write_page
from dspsep.display.panorama import plot_duet_histogram, plot_panorama
from dspsep.display.periods import plot_beat_spectrogram, plot_beat_spectrum, plot_periods
from dspsep.display.scores import plot_scores
from dspsep.display.shares import plot_shares
from dspsep.display.similarity import plot_neighbors, plot_similarity
from dspsep.display.spectrogram import plot_spectrogram
from dspsep.display.stem_player import StemPlayer

__all__ = [
    "StemPlayer",
    "plot_activations",
    "plot_beam_pattern",
    "plot_beat_spectrogram",
    "plot_beat_spectrum",
    "plot_duet_histogram",
    "plot_losses",
    "plot_mask",
    "plot_mixing",
    "plot_neighbors",
    "plot_panorama",
    "plot_periods",
    "plot_scores",
    "plot_shares",
    "plot_similarity",
    "plot_singular_values",
    "plot_spectrogram",
    "plot_templates",
    "write_page",
]
