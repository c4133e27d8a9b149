"""Texts to token ids: any tokenizer.json, held to a bounded number of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Encoding, Tokenizer

from streamrec.errors import ModelError

#: No vocabulary has many pieces longer than this, so characters beyond ``max_tokens`` times it cannot become a token that counts.
_CHARS_PER_TOKEN = 16


class TextTokenizer:
    """Turns texts into lists of at most ``max_tokens`` ids, with the special tokens that the tokenizer.json adds.

    ``split_unknown`` gives one unknown token per unknown character, where the Rust unigram model joins a run of them into one, and
    puts one unknown token into an empty text: both are what Universal Sentence Encoder was measured with.
    """

    def __init__(self, path: Path, *, max_tokens: int, split_unknown: bool = False) -> None:
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the Rust side raises bare Exception
            msg = f"{path} is not a tokenizer.json that can be read ({error}); correct model.tokenizer_path"
            raise ModelError(msg) from error
        self._tokenizer.no_padding()  # the encoder pads by micro-batch
        self._tokenizer.enable_truncation(max_tokens)
        self._max_tokens = max_tokens
        self._split_unknown = split_unknown

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """Return one list of ids per text."""
        limit = self._max_tokens * _CHARS_PER_TOKEN
        readable = [_readable(text[:limit]) for text in texts]
        if not self._split_unknown:
            return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(readable)]
        # The fast way keeps no places in the text, without which nobody knows how many unknown characters were joined.
        return [self._split(encoding) for encoding in self._tokenizer.encode_batch(readable)]

    def _split(self, encoding: Encoding) -> list[int]:
        ids: list[int] = encoding.ids
        if len(ids) == 2:  # begin and end: nothing of the text is left
            return [ids[0], 0, ids[1]]
        if 0 not in ids:
            return ids
        spread: list[int] = []
        for token_id, token in zip(ids, encoding.tokens, strict=True):
            spread += [0] * (1 if token == "<unk>" else len(token)) if token_id == 0 else [token_id]  # noqa: S105 - a token of text
        return spread if len(spread) <= self._max_tokens else [*spread[: self._max_tokens - 1], ids[-1]]


def _readable(text: str) -> str:
    """Replace lone surrogates, which JSON can carry and no tokenizer takes."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
