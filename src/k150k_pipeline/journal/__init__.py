"""The journal: an append-only record of finished clips, from which every output is derived."""

from k150k_pipeline.journal.handle import Journal
from k150k_pipeline.journal.records import Entry, Failure, Payload

__all__ = ["Entry", "Failure", "Journal", "Payload"]
