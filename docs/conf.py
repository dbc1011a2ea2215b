"""Sphinx: how `make docs` builds these pages. A broken link or reference fails."""

from traderecon import __version__

project = "TradeRecon"
author = "The TradeRecon authors"
release = __version__
extensions = ["myst_parser", "sphinx_click"]
exclude_patterns = ["_build"]
myst_heading_anchors = 4
myst_enable_extensions = ["deflist"]
html_theme = "alabaster"
html_title = f"TradeRecon {release}"
