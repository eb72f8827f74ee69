"""How the documentation is built: ``python -m sphinx -W -n -b html docs docs/_build/html``, offline."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]  # the checkout is documented, not what is installed

import _demo  # noqa: E402 - after the path
import _reference  # noqa: E402
from sphinx_gallery.sorting import ExplicitOrder  # noqa: E402

import dspsep  # noqa: E402

project = "dspsep"
author = "The dspsep developers"
copyright = "2026, the dspsep developers"
version = release = dspsep.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "_chart",
    "_lectures",
    "_mathml",
    "_names",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]

default_role = "name"  # what single backticks are in docstrings: see _names.py
# Docstrings state types in words, with shapes and units, which annotations cannot.
autodoc_typehints = "none"
autosummary_generate = True
autosummary_generate_overwrite = True
numpydoc_show_class_members = False  # the class template lists them
html_math_renderer = "mathml"
myst_enable_extensions = ["dollarmath", "amsmath", "deflist"]
myst_heading_anchors = 3

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"plot_",
    "within_subsection_order": ExplicitOrder(
        [
            "plot_hpss.py",
            "plot_stft_clicks.py",
            "plot_pipeline.py",
            "plot_cascaded_hpss.py",
            "plot_iterative_hpss.py",
            "plot_two_stage_hpss.py",
            "*",
            "plot_scores.py",
        ]
    ),
    "abort_on_example_error": True,
    "capture_repr": ("_repr_html_",),  # players; not what setting the labels of axes happens to return
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,  # its page would load scripts from the network
}

html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["dspsep.css"]
html_title = "dspsep"
html_show_sourcelink = False
html_theme_options = {
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}

_reference.write(HERE / "api")
_demo.write(HERE / "api")
