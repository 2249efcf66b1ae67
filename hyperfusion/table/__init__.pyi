from ._build import describe_table as describe_table
from ._build import feature_table as feature_table
from ._names import BLOCKS as BLOCKS
from ._names import MODALITIES as MODALITIES
from ._schema import Schema as Schema

__all__: list[str]
