"""Constrained decoding: each answer of a batch is kept inside its own grammar, by xgrammar."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
import xgrammar
from torch import Tensor
from transformers import PreTrainedTokenizerBase

_CACHE_BYTES = 256 * 2**20


class Grammars:
    """Compiles EBNF grammars for one tokenizer, each once, and masks what they forbid.

    Special tokens other than the ``stops``, and padding rows of the vocabulary, are forbidden always: an answer
    is text.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, vocab_size: int, stops: Collection[int]) -> None:
        info = xgrammar.TokenizerInfo.from_huggingface(
            tokenizer, vocab_size=vocab_size, stop_token_ids=sorted(stops)
        )
        self._compiler = xgrammar.GrammarCompiler(info, cache_limit_bytes=_CACHE_BYTES)
        silent = set(tokenizer.all_special_ids) - set(stops)
        self._text = _packed([i < len(tokenizer) and i not in silent for i in range(vocab_size)])

    def matcher(self, grammar: str) -> xgrammar.GrammarMatcher:
        """A matcher for one answer, at the start of its grammar."""
        return xgrammar.GrammarMatcher(self._compiler.compile_grammar(grammar))

    def forbid(self, logits: Tensor, matchers: Sequence[xgrammar.GrammarMatcher | None]) -> None:
        """Set to -inf, in place, what must not come next.

        Args:
            logits: float32 [n, V].
            matchers: n of them, each advanced by its answer so far; None allows any text.
        """
        mask = self._text.repeat(len(matchers), 1)
        for row, matcher in enumerate(matchers):
            if matcher is not None:
                matcher.fill_next_token_bitmask(mask, row)
        mask &= self._text
        xgrammar.apply_token_bitmask_inplace(logits, mask.to(logits.device))


def _packed(flags: Sequence[bool]) -> Tensor:
    """Int32 [ceil(V / 32)], the lowest bit first, as xgrammar packs its masks."""
    words = -(-len(flags) // 32)
    bits = torch.zeros(words * 32, dtype=torch.int64)
    bits[: len(flags)] = torch.tensor(flags)
    return (bits.view(words, 32) << torch.arange(32)).sum(-1).to(torch.int32)
