"""The feature table: the grammar of its columns' names, and the `Schema` it spells."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
