"""What pictures add: the same kind of goods, found by title, by picture and by both, on goods that were held out."""

from streamrec.evaluate.pictures.goods import Goods, read_goods
from streamrec.evaluate.pictures.run import Options, run
from streamrec.evaluate.pictures.seeing import features_of, fit_to

__all__ = ["Goods", "Options", "features_of", "fit_to", "read_goods", "run"]
