from tests.support.buckets import bucket, store

__all__ = ["bucket", "store"]
