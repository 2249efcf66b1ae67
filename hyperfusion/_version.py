"""What the package is called where it is installed from, and its version."""

DISTRIBUTION = "scikit-hyperfusion"
__version__ = "0.1.0"
