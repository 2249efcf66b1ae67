"""Tier 1: from the columns of a table of posts to blocks of features."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
