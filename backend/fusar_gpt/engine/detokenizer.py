"""From byte-level tokens to text, token by token."""

from __future__ import annotations

import codecs

from transformers import PreTrainedTokenizerBase
from transformers.convert_slow_tokenizer import bytes_to_unicode

_BYTES = {character: byte for byte, character in bytes_to_unicode().items()}


class IncrementalDetokenizer:
    """Text that grows by one token at a time.

    Special tokens add no text. A character whose bytes are spread over several tokens appears with the last of them;
    invalid UTF-8 becomes U+FFFD, as in the tokenizer's own decoder.

    Attributes:
        text: All complete characters so far.
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
        """Flush an incomplete character as U+FFFD; no token may be added after."""
        rest = self._decoder.decode(b"", final=True)
        if rest:
            self.text += rest
            self.ends[-1] = len(self.text)


def _bytes_of(tokenizer: PreTrainedTokenizerBase, index: int) -> bytes:
    added = tokenizer.added_tokens_decoder.get(index)
    if added is not None:
        return b"" if added.special else added.content.encode()
    return bytes(_BYTES[character] for character in tokenizer.convert_ids_to_tokens(index))
