"""FR rows of NR clips: an upload is encoded at several CRFs and scored against itself."""

from k150k_pipeline.fr_from_nr.adapter import NrInputRow, NrToFrAdapter
from k150k_pipeline.fr_from_nr.rows import rows_of
from k150k_pipeline.schemas.fr_parameters import CorpusOptions

__all__ = ["CorpusOptions", "NrInputRow", "NrToFrAdapter", "rows_of"]
