from tests.support.buckets import bucket, local_copies, store

__all__ = ["bucket", "local_copies", "store"]
