from ._imputer import BlockImputer as BlockImputer
