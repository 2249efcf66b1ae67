from ._ablate import ablate as ablate
from ._evaluate import evaluate as evaluate
from ._leaks import check_leaks as check_leaks
from ._split import LabeledSplit as LabeledSplit
from ._split import StratifiedRegressionKFold as StratifiedRegressionKFold
from ._split import labeled_scorer as labeled_scorer
from ._split import time_split as time_split

__all__: list[str]
