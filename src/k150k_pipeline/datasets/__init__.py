"""Kedro datasets that this project needs and kedro-datasets lacks."""

from k150k_pipeline.configuration import read_credentials
from k150k_pipeline.datasets.atomic import (
    AtomicCSVDataset,
    AtomicFileDataset,
    AtomicJSONDataset,
    AtomicJSONLinesDataset,
    AtomicParquetDataset,
    ReportCSVDataset,
)
from k150k_pipeline.datasets.card_file import DataCardDataset
from k150k_pipeline.datasets.clip_folder import ClipFolder, ClipFolderDataset, Clips, clip_folder
from k150k_pipeline.datasets.extra_columns import ExtraColumnsDataset
from k150k_pipeline.datasets.features_table import FeaturesDataset
from k150k_pipeline.datasets.finished_parts import FinishedPartsDataset
from k150k_pipeline.datasets.folder import FolderDataset
from k150k_pipeline.datasets.journal import JournalDataset
from k150k_pipeline.datasets.model_set import ModelSet, ModelSetDataset
from k150k_pipeline.datasets.report_page import AtomicPlotlyDataset, ReportPageDataset
from k150k_pipeline.datasets.table_parts import TableParts, TablePartsDataset
from k150k_pipeline.datasets.validated import ValidatedJSONDataset
from k150k_pipeline.storage.settings import credentials_from

# Whoever uses a dataset may need them; libraries below know no configuration.
credentials_from(read_credentials)

__all__ = [
    "AtomicCSVDataset",
    "AtomicFileDataset",
    "AtomicJSONDataset",
    "AtomicJSONLinesDataset",
    "AtomicParquetDataset",
    "AtomicPlotlyDataset",
    "ClipFolder",
    "ClipFolderDataset",
    "Clips",
    "DataCardDataset",
    "ExtraColumnsDataset",
    "FeaturesDataset",
    "FinishedPartsDataset",
    "FolderDataset",
    "JournalDataset",
    "ModelSet",
    "ModelSetDataset",
    "ReportCSVDataset",
    "ReportPageDataset",
    "TableParts",
    "TablePartsDataset",
    "ValidatedJSONDataset",
    "clip_folder",
]
