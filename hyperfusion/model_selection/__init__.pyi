from ._ablate import ablate as ablate
from ._evaluate import evaluate as evaluate
from ._split import StratifiedRegressionKFold as StratifiedRegressionKFold
from ._split import time_split as time_split

__all__: list[str]
