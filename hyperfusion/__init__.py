"""Multimodal popularity prediction as scikit-learn estimators.

Public names load when they are first used, so that importing the package
costs next to nothing and pulls in none of its heavy dependencies.

"The paper", whose sections and equations the docstrings cite, is L. Ye et al.,
"HyperFusion: Hierarchical Multimodal Ensemble Learning for Social Media Popularity
Prediction", MM '25, https://doi.org/10.48550/arXiv.2507.00926.
"""

import lazy_loader

from hyperfusion._version import __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]
