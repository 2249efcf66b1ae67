from ._cache import EmbeddingCache as EmbeddingCache
from ._clip_image import ClipImageEncoder as ClipImageEncoder
from ._clip_models import clear_model_cache as clear_model_cache
from ._clip_text import ClipTextEncoder as ClipTextEncoder
from ._geo import GeoEncoder as GeoEncoder
from ._glove import GloveTextVectorizer as GloveTextVectorizer
from ._image_statistics import ImageStatistics as ImageStatistics
from ._plain_columns import CategoryEncoder as CategoryEncoder
from ._plain_columns import NumberEncoder as NumberEncoder
from ._post import PostEncoder as PostEncoder
from ._svd_user import SVDUserEmbedder as SVDUserEmbedder
from ._temporal import TemporalEncoder as TemporalEncoder
from ._text_components import TfidfComponents as TfidfComponents
from ._text_statistics import TextStatistics as TextStatistics
from ._user_history import UserHistory as UserHistory
from ._user_profile import UserProfileEncoder as UserProfileEncoder

__all__: list[str]
