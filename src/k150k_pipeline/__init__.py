"""KoNViD-150k as training data for video-quality models."""

__version__ = "0.1.0"
