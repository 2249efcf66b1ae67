"""One reader for each kind of cell, whatever sort of column it stands in."""
