from ._clusters import HierarchicalClusterEncoder as HierarchicalClusterEncoder
from ._neighbors import NeighborTargets as NeighborTargets
from ._relation import RelationEncoder as RelationEncoder
from ._similarity import CrossModalSimilarity as CrossModalSimilarity
