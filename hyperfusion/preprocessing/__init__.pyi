from ._imputer import BlockImputer as BlockImputer
from ._numeric_table import NumericTable as NumericTable
from ._outliers import IQRFilter as IQRFilter
from ._pca import BlockPCA as BlockPCA
from ._scaler import BlockScaler as BlockScaler
