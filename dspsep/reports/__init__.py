"""Reports: one HTML file with all there is to say of a separation, or of several of one mixture.

They stand above what they speak of: sounds and pictures are those of `dspsep.display`, scores those of
`dspsep.metrics`, and references those of `dspsep.cite`.
"""

from __future__ import annotations

from dspsep.reports.comparison import write_comparison
from dspsep.reports.report import write_report

__all__ = ["write_comparison", "write_report"]
