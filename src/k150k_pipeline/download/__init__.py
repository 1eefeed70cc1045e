"""Downloads of clips: the right bytes, or a typed failure."""

from k150k_pipeline.download.client import Downloader
from k150k_pipeline.download.concurrency import NetworkWatch, for_each
from k150k_pipeline.download.state import DownloadState

__all__ = ["DownloadState", "Downloader", "NetworkWatch", "for_each"]
