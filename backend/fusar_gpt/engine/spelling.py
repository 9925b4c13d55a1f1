"""From tokens to text, with the place of every token in it."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase
from transformers.convert_slow_tokenizer import bytes_to_unicode

_BYTES = {character: byte for byte, character in bytes_to_unicode().items()}


def spell(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> tuple[str, tuple[int, ...]]:
    """The text of byte-level tokens and the character offset where each of them ends.

    Special tokens spell nothing. A character whose bytes are spread over tokens ends with the last of them;
    bytes that are no UTF-8 become U+FFFD, as the tokenizer's own decoder has it.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text, ends = "", []
    for index in ids:
        text += decoder.decode(_bytes_of(tokenizer, index))
        ends.append(len(text))
    rest = decoder.decode(b"", final=True)
    if rest:
        ends[-1] += len(rest)
    return text + rest, tuple(ends)


def _bytes_of(tokenizer: PreTrainedTokenizerBase, index: int) -> bytes:
    added = tokenizer.added_tokens_decoder.get(index)
    if added is not None:
        return b"" if added.special else added.content.encode()
    return bytes(_BYTES[character] for character in tokenizer.convert_ids_to_tokens(index))
