from . import datasets as datasets
from . import encoders as encoders
from . import ensemble as ensemble
from . import exceptions as exceptions
from . import feature_table as feature_table
from . import metrics as metrics
from . import model_selection as model_selection
from . import preprocessing as preprocessing
from . import regressors as regressors
from . import relations as relations
from .datasets import make_posts as make_posts
from .encoders import EmbeddingCache as EmbeddingCache
from .ensemble import HyperFusionRegressor as HyperFusionRegressor
from .metrics import spearman_score as spearman_score
from .metrics import spearman_scorer as spearman_scorer
from .metrics import within_user_spearman as within_user_spearman
from .model_selection import StratifiedRegressionKFold as StratifiedRegressionKFold
from .model_selection import time_split as time_split
from .preprocessing import BlockImputer as BlockImputer
from .preprocessing import BlockPCA as BlockPCA
from .preprocessing import BlockScaler as BlockScaler
from .regressors import CatBoostHuberRegressor as CatBoostHuberRegressor

__version__: str
