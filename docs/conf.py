"""Sphinx configuration."""

import re
import warnings
from types import ModuleType

from sphinx.util.logging import getLogger
from sphinx.util.nodes import make_refnode

import hyperfusion

LOGGER = getLogger(__name__)

project = "hyperfusion"
author = "The hyperfusion developers"
copyright = "2026, the hyperfusion developers"
version = release = hyperfusion.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "numpydoc",
]
autosummary_generate = True
autodoc_default_options = {
    "members": True,
    # methods of our base classes and scikit-learn's mixins, but not what all share
    "inherited-members": "BaseEstimator,BaseCrossValidator,ImportError,BaseException",
}
autodoc_typehints = "none"  # the docstrings name types in words
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
templates_path = ["_templates"]
exclude_patterns = ["_build", "_static", "_templates"]
default_role = "any"
nitpicky = True
toc_object_entries_show_parents = "hide"

html_theme = "pydata_sphinx_theme"
html_title = "hyperfusion"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": False,
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
    "show_toc_level": 2,
}
html_sidebars = {"quick_start": []}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "ignore_pattern": r"demo\.py",
    "within_subsection_order": "FileNameSortKey",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("hyperfusion",),
    "reference_url": {"hyperfusion": None},
    "remove_config_comments": True,
    "show_memory": False,
}

# docstrings that come from scikit-learn refer to its own pages; `fit` means any fit
suppress_warnings = ["ref.ref", "ref.any"]
warnings.filterwarnings("ignore", category=DeprecationWarning)

PAPER = """
The paper is Ye et al., "HyperFusion: Hierarchical Multimodal Ensemble Learning for
Social Media Popularity Prediction", MM '25,
`doi:10.48550/arXiv.2507.00926 <https://doi.org/10.48550/arXiv.2507.00926>`__;
see :doc:`/user_guide/paper`.
"""
PUBLIC = {
    name
    for name in hyperfusion.__all__
    if not isinstance(getattr(hyperfusion, name), ModuleType)
}


def name_of(node):
    """Return the full name that a reference is to, without marks of markup."""
    return node["reftarget"].lstrip("~.").removesuffix("()")


def find_public_name(app, env, node, contnode):
    """Resolve the short name of a public object, on whatever page it stands."""
    name = name_of(node).rpartition(".")[2]
    if name not in PUBLIC:
        return None
    python = env.get_domain("py")
    for full_name, entry in python.find_obj(env, None, None, name, None, 1):
        if not entry.aliased:
            to = (entry.docname, entry.node_id)
            return make_refnode(app.builder, node["refdoc"], *to, contnode, full_name)
    return None


def cite_paper(_app, what, _name, _object, _options, lines):
    """Cite the paper below a docstring that refers to its sections or equations."""
    cited = re.search(r"section \d|equation \d|table \d|figure \d", " ".join(lines))
    if cited and what in ("class", "function"):
        lines += PAPER.splitlines()


def warn_of_own_names(_app, _domain, node):
    """Warn where a name of this project leads nowhere; other names may.

    Backticks also hold parameters, and names of other projects.
    """
    parts = name_of(node).split(".")
    private = any(part.startswith("_") for part in parts)
    if parts[-1] in PUBLIC or (parts[0] == "hyperfusion" and not private):
        LOGGER.warning(
            "%s leads nowhere: is it in api.rst?", ".".join(parts), location=node
        )
    return True


def setup(app):
    """Connect what is done about references."""
    app.connect("autodoc-process-docstring", cite_paper, priority=900)
    app.connect("missing-reference", find_public_name)
    app.connect("warn-missing-reference", warn_of_own_names)
