"""Sphinx configuration."""

import warnings

import hyperfusion

project = "hyperfusion"
author = "The hyperfusion developers"
copyright = "2026, the hyperfusion developers"
version = release = hyperfusion.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.linkcode",
    "numpydoc",
]
autosummary_generate = True
autodoc_default_options = {"members": True, "inherited-members": False}
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
exclude_patterns = ["_build"]
default_role = "any"
nitpicky = False

html_theme = "pydata_sphinx_theme"
html_title = "hyperfusion"
html_theme_options = {"show_prev_next": False}

# docstrings that come from scikit-learn refer to its own documentation
suppress_warnings = ["ref.any", "ref.ref", "ref.term"]
warnings.filterwarnings("ignore", category=DeprecationWarning)


def linkcode_resolve(domain, info):
    """Return the address of a module's source."""
    if domain != "py" or not info["module"]:
        return None
    path = info["module"].replace(".", "/")
    return f"https://github.com/hyperfusion/hyperfusion/blob/main/{path}"
