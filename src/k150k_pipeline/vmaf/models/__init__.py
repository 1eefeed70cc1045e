"""Model files that ship with the package."""
