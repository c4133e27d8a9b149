"""What is known of the items: facts applied only if newer, as columns in memory and as hashes in Redis."""

from streamrec.catalogue.codes import CodeBook
from streamrec.catalogue.filters import Filter, Masks
from streamrec.catalogue.table import Change, ItemTable

__all__ = ["Change", "CodeBook", "Filter", "ItemTable", "Masks"]
