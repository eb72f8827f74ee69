"""Pictures and pages: what a separation looks and sounds like.

`plot_spectrogram` draws one spectrogram; `write_page` makes one HTML file to listen to, look at and pass on.
`StemPlayer` is what `Sources.play` shows in a notebook.
matplotlib, soundfile and Pillow are imported when something is drawn or written, not before.
"""

from __future__ import annotations

from dspsep.display.page import write_page
from dspsep.display.spectrogram import plot_spectrogram
from dspsep.display.stem_player import StemPlayer

__all__ = ["StemPlayer", "plot_spectrogram", "write_page"]
