"""Looks at a graph's and a tokenizer's face before a session is opened on gigabytes of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from streamrec.errors import ModelError

#: What an encoder's graph may ask for; everything else is refused with the reason.
FED: Final = ("input_ids", "attention_mask", "token_type_ids", "position_ids")


def examine(graph: Path) -> None:
    """Read the names of a graph's inputs, without its weights.

    Raises ModelError when the file is no graph, and when it asks for what no text gives: a decoder that was exported for writing
    text asks for past keys and values, one of two parts for the other's output, one for pictures for pixels.
    """
    import onnx  # noqa: PLC0415 - 0.1 s that only building needs

    try:
        model = onnx.load(str(graph), load_external_data=False)
    except Exception as error:  # protobuf raises its own types, and ValueError
        msg = f"{graph} is no ONNX graph ({error}); build the model again, or correct its entry"
        raise ModelError(msg) from error
    stored = {constant.name for constant in model.graph.initializer}
    asked = [node.name for node in model.graph.input if node.name not in stored]
    past = [name for name in asked if "past" in name or name in {"use_cache_branch", "cache_position"}]
    if past:
        msg = (
            f"{graph} is a decoder exported for writing text: it asks for {past[0]} and {len(past) - 1} more of the kind; take one "
            "that was exported for feature extraction (without past keys and values)"
        )
        raise ModelError(msg)
    foreign = [name for name in asked if name not in FED]
    if foreign or "input_ids" not in asked:
        problem = f"asks for {', '.join(foreign)}" if foreign else "does not ask for input_ids"
        msg = f"{graph} {problem}, so it is no encoder of text alone; take one that wants none but {', '.join(FED)}"
        raise ModelError(msg)


def ends_with(tokenizer: Path, token: str) -> None:
    """Raise ModelError unless the tokenizer.json puts ``token`` behind every text, also behind one that it had to cut."""
    from tokenizers import Tokenizer  # noqa: PLC0415 - as above

    try:
        read = Tokenizer.from_file(str(tokenizer))
    except Exception as error:  # the Rust side raises bare Exception
        msg = f"{tokenizer} is not a tokenizer.json that can be read ({error}); build the model again, or correct its entry"
        raise ModelError(msg) from error
    read.no_padding()
    read.enable_truncation(8)
    for text in ("a", "a " * 20):
        tokens = read.encode(text).tokens
        if not tokens or tokens[-1] != token:
            found = tokens[-1] if tokens else "nothing"
            msg = (
                f"{tokenizer} ends a text with {found!r} and not with {token!r}, from which this model's meaning is read; "
                "take the tokenizer.json of the embedding model and not that of its base"
            )
            raise ModelError(msg)
