from .cache._cache import EmbeddingCache as EmbeddingCache
from .clip._image import ClipImageEncoder as ClipImageEncoder
from .clip._models import clear_model_cache as clear_model_cache
from .clip._text import ClipTextEncoder as ClipTextEncoder
from .context._geo import GeoEncoder as GeoEncoder
from .context._plain import CategoryEncoder as CategoryEncoder
from .context._plain import NumberEncoder as NumberEncoder
from .context._plain import VectorEncoder as VectorEncoder
from .context._time import TemporalEncoder as TemporalEncoder
from .image._statistics import ImageStatistics as ImageStatistics
from .post._post import PostEncoder as PostEncoder
from .text._components import TfidfComponents as TfidfComponents
from .text._glove import GloveTextVectorizer as GloveTextVectorizer
from .text._statistics import TextStatistics as TextStatistics
from .user._history import UserHistory as UserHistory
from .user._profile import UserProfileEncoder as UserProfileEncoder
from .user._svd import SVDUserEmbedder as SVDUserEmbedder

__all__: list[str]
