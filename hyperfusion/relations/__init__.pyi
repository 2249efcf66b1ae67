from ._clusters import HierarchicalClusterEncoder as HierarchicalClusterEncoder
from ._relation import RelationEncoder as RelationEncoder
from ._similarity import CrossModalSimilarity as CrossModalSimilarity
