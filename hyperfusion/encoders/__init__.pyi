from ._cache import EmbeddingCache as EmbeddingCache
from ._clip_image import ClipImageEncoder as ClipImageEncoder
from ._clip_models import clear_model_cache as clear_model_cache
from ._clip_text import ClipTextEncoder as ClipTextEncoder
from ._glove import GloveTextVectorizer as GloveTextVectorizer
__all__: list[str]
