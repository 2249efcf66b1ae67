"""Private parts of the package."""
