"""What can be searched: passages and words in full-text tables, and how text becomes words of the index.

`fts` and `lexicon` are used by their module's name: theirs are the tables.
"""

from omi_mcp.mirror.index import fts, lexicon
from omi_mcp.mirror.index.fts import SearchUnavailable
from omi_mcp.mirror.index.passages import MONTHS, WEEKDAYS, Passage, Piece, head_fields, in_words
from omi_mcp.mirror.index.words import (
    Word,
    folded_words,
    indexable,
    is_torn,
    run_length,
    stems,
    storable,
    word_count,
    words,
)

__all__ = [
    "MONTHS",
    "WEEKDAYS",
    "Passage",
    "Piece",
    "SearchUnavailable",
    "Word",
    "folded_words",
    "fts",
    "head_fields",
    "in_words",
    "indexable",
    "is_torn",
    "lexicon",
    "run_length",
    "stems",
    "storable",
    "word_count",
    "words",
]
