from ._imputer import BlockImputer as BlockImputer
from ._scaler import BlockScaler as BlockScaler
from ._pca import BlockPCA as BlockPCA
