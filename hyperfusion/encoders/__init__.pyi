from ._cache import EmbeddingCache as EmbeddingCache
__all__: list[str]
