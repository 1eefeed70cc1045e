"""What happens to a clip before it is scored: probe, decode, and the processes that do it."""
