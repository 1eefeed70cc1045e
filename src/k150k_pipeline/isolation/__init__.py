"""Work on a clip's bytes in a process that may die of them, with limits on time and memory."""

from k150k_pipeline.isolation.helper import ClipTask, Helper, HelperPool, own_helper

__all__ = ["ClipTask", "Helper", "HelperPool", "own_helper"]
