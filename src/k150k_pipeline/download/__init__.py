"""Clips from the network: the right bytes, or a typed failure."""

from k150k_pipeline.download.client import Downloader
from k150k_pipeline.download.crew import NetworkWatch, work_off
from k150k_pipeline.download.state import DownloadState

__all__ = ["DownloadState", "Downloader", "NetworkWatch", "work_off"]
