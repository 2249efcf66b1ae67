"""Posts to learn from: synthetic ones, and loaders of the SMP Challenge files."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
