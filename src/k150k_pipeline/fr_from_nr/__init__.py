"""FR rows of NR clips: decode an upload, encode it at several CRFs, score it against itself."""

from k150k_pipeline.fr_from_nr.adapter import NrInputRow, NrToFrAdapter
from k150k_pipeline.fr_from_nr.rows import rows_of
from k150k_pipeline.schemas.fr_parameters import CorpusOptions

__all__ = ["CorpusOptions", "NrInputRow", "NrToFrAdapter", "rows_of"]
