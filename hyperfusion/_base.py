"""What all estimators of the package share."""

from __future__ import annotations

from sklearn.base import BaseEstimator


class HyperFusionEstimator(BaseEstimator):
    """Base class: the HTML representation links to this package's documentation."""

    _doc_link_module = "hyperfusion"
    _doc_link_template = (
        "https://hyperfusion.readthedocs.io/en/stable/generated/"
        "{estimator_module}.{estimator_name}.html"
    )
