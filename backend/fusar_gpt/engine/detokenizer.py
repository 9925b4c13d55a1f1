"""From tokens to text, with the place of every token in it."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase
from transformers.convert_slow_tokenizer import bytes_to_unicode

_BYTES = {character: byte for byte, character in bytes_to_unicode().items()}


class IncrementalDetokenizer:
    """Text that grows token by token.

    Special tokens spell nothing. A character whose bytes are spread over tokens comes with the last of them;
    bytes that are no UTF-8 become U+FFFD, as the tokenizer's own decoder has it.

    Attributes:
        text: All whole characters so far.
        ends: The character offset where each token ends.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.text = ""
        self.ends: list[int] = []

    def add(self, token: int) -> None:
        """Append the token's bytes."""
        self.text += self._decoder.decode(_bytes_of(self._tokenizer, token))
        self.ends.append(len(self.text))

    def close(self) -> None:
        """Append what a character begun and never completed becomes; nothing may be added after."""
        rest = self._decoder.decode(b"", final=True)
        if rest:
            self.text += rest
            self.ends[-1] = len(self.text)


def spell(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> tuple[str, tuple[int, ...]]:
    """The text of byte-level tokens and the character offset where each of them ends."""
    spelling = IncrementalDetokenizer(tokenizer)
    for index in ids:
        spelling.add(index)
    spelling.close()
    return spelling.text, tuple(spelling.ends)


def _bytes_of(tokenizer: PreTrainedTokenizerBase, index: int) -> bytes:
    added = tokenizer.added_tokens_decoder.get(index)
    if added is not None:
        return b"" if added.special else added.content.encode()
    return bytes(_BYTES[character] for character in tokenizer.convert_ids_to_tokens(index))
