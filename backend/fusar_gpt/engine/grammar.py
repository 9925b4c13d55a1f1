"""Keeps an answer inside its grammar while it is generated."""

from __future__ import annotations

import torch
import xgrammar
from torch import Tensor
from transformers import LogitsProcessor, PreTrainedTokenizerBase

_CACHE_BYTES = 256 * 2**20


class Grammars:
    """Compiles EBNF grammars for one tokenizer, each once."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, vocab_size: int) -> None:
        info = xgrammar.TokenizerInfo.from_huggingface(
            tokenizer, vocab_size=vocab_size, stop_token_ids=[tokenizer.eos_token_id]
        )
        self._compiler = xgrammar.GrammarCompiler(info, cache_limit_bytes=_CACHE_BYTES)
        special = set(tokenizer.all_special_ids) - {tokenizer.eos_token_id}
        self._silent = torch.tensor([i in special or i >= len(tokenizer) for i in range(vocab_size)])
        self.vocab_size = vocab_size

    def constraint(self, grammar: str | None, batch: int) -> Constraint:
        """A fresh constraint for a batch of answers that share a grammar (None: any text)."""
        matchers = []
        if grammar is not None:
            compiled = self._compiler.compile_grammar(grammar)
            matchers = [xgrammar.GrammarMatcher(compiled) for _ in range(batch)]
        return Constraint(matchers, self._silent)


class Constraint(LogitsProcessor):
    """Masks tokens that the grammar forbids, and notes the probability of the token that greedy search takes.

    Serves one ``generate`` call. Special tokens other than the end, and padding rows of the vocabulary, are
    forbidden always: an answer is text.
    """

    def __init__(self, matchers: list[xgrammar.GrammarMatcher], silent: Tensor) -> None:
        self._matchers = matchers
        self._silent = silent
        self._started = False
        self._logprobs: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Mask the scores [B, V] of the next token; rows that ended are left to ``generate``."""
        scores = scores.float().masked_fill(self._silent.to(scores.device), -torch.inf)
        if self._matchers:
            last = input_ids[:, -1].tolist() if self._started else [None] * len(self._matchers)
            mask = xgrammar.allocate_token_bitmask(*scores.shape)
            for row, (matcher, token) in enumerate(zip(self._matchers, last, strict=True)):
                if token is not None and not matcher.is_terminated():
                    matcher.accept_token(token)
                if not matcher.is_terminated():
                    matcher.fill_next_token_bitmask(mask, row)
            xgrammar.apply_token_bitmask_inplace(scores, mask.to(scores.device))
        self._started = True
        self._logprobs.append(scores.log_softmax(-1).amax(-1))
        return scores

    def logprobs(self) -> Tensor:
        """Log probabilities of the tokens taken so far, float64 [B, T] on the CPU."""
        return torch.stack(self._logprobs, dim=-1).double().cpu()
