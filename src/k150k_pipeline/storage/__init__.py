"""Files in object stores, behind a URL: each has a copy on this disk, through which it is used.

:mod:`places` maps URLs to paths of these copies, :mod:`connection` talks to a store,
:mod:`copies` keeps copies and objects alike, :mod:`scratch` has what a process needs for itself,
and :mod:`ahead` fetches clips ahead of their use.
"""

from k150k_pipeline.storage.ahead import FetchedAhead
from k150k_pipeline.storage.connection import Object, StoreError
from k150k_pipeline.storage.copies import discard, fetched, make_folder, push, refresh, vacate
from k150k_pipeline.storage.places import in_words, place, place_on_disk, url_of

__all__ = [
    "FetchedAhead",
    "Object",
    "StoreError",
    "discard",
    "fetched",
    "in_words",
    "make_folder",
    "place",
    "place_on_disk",
    "push",
    "refresh",
    "url_of",
    "vacate",
]
