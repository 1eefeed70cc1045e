"""Clips from the network: the right bytes, or a typed failure."""
