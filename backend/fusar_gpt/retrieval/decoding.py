"""Text with blanks as the decoder reads and fills it: what is visible, then the key of a blank and its text.

The visible part has a [MASK] for each blank (FUSAR-KLIP eq. 12). Every blank is written on its own: it sees what is
visible, and nothing of the other blanks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from fusar_gpt.retrieval.model import KlipModel
from fusar_gpt.retrieval.tokenizer import KlipTokenizer

NOT_LEARNT = -100
"""The label of tokens that are not to be predicted."""


@dataclass(frozen=True)
class Blank:
    """A blank in a text.

    Attributes:
        key: What the blank is about, such as "targets Count".
        pieces: The sub-texts of the text in order, None for each blank.
    """

    key: str
    pieces: tuple[str | None, ...] = (None,)


@dataclass(frozen=True)
class Filled:
    """One text with its blanks as token ids.

    Attributes:
        visible: With the special tokens at its ends, and [MASK] for each blank.
        blanks: For each blank its key and its text.
    """

    visible: list[int]
    blanks: list[tuple[list[int], list[int]]]

    @property
    def longest_reach(self) -> int:
        """The number of positions that the decoder needs."""
        return len(self.visible) + max(len(key) + len(text) for key, text in self.blanks)


@dataclass(frozen=True)
class DecoderInputs:
    """What ``KlipModel.decode`` takes, and what it should say.

    Attributes:
        ids, mask, positions: As ``KlipModel.decode`` takes them.
        labels: The token that follows each, int64 [N, L], or ``NOT_LEARNT``.
        there: Where there is a token, bool [N, L].
    """

    ids: Tensor
    mask: Tensor
    positions: Tensor
    labels: Tensor
    there: Tensor

    def to(self, device: torch.device) -> DecoderInputs:
        """On a device."""
        return DecoderInputs(*(getattr(self, one.name).to(device) for one in fields(DecoderInputs)))


def prompt(tokenizer: KlipTokenizer, key: str) -> list[int]:
    """The token ids that begin a blank: those of its key and a colon."""
    return tokenizer.pieces(f"{key}:")


def decoder_inputs(tokenizer: KlipTokenizer, texts: Sequence[Filled]) -> DecoderInputs:
    """Several texts side by side, padded to the longest.

    The visible part is read in both directions; each blank, from its key on, word by word. Its positions go on from
    those of the visible part, whichever blank it is.
    """
    length = max(len(text.visible) + sum(len(k) + len(t) for k, t in text.blanks) for text in texts)
    shape = (len(texts), length)
    ids, positions = torch.full(shape, tokenizer.pad), torch.zeros(shape, dtype=torch.int64)
    labels, blank_of = torch.full(shape, NOT_LEARNT), torch.full(shape, -1)
    for row, text in enumerate(texts):
        at = len(text.visible)
        ids[row, :at], positions[row, :at], blank_of[row, :at] = (
            torch.tensor(text.visible),
            torch.arange(at),
            0,
        )
        for number, (key, said) in enumerate(text.blanks, 1):
            whole = slice(at, at + len(key) + len(said))
            ids[row, whole] = torch.tensor(key + said)
            positions[row, whole] = len(text.visible) + torch.arange(len(key) + len(said))
            blank_of[row, whole] = number
            ends = [*said, tokenizer.end]
            labels[row, at + len(key) - 1 : whole.stop] = torch.tensor(ends)
            at = whole.stop
    return DecoderInputs(ids, _may_see(blank_of), positions, labels, blank_of >= 0)


def _may_see(blank_of: Tensor) -> Tensor:
    """Bool [N, L, L] from the number of the blank that each token belongs to: 0 visible, -1 no token."""
    asking, asked = blank_of[:, :, None], blank_of[:, None, :]
    before = torch.ones(blank_of.shape[1], blank_of.shape[1], dtype=torch.bool).tril()
    return (asked == 0) | ((asking == asked) & (asked > 0) & before)


def write_blanks(
    model: KlipModel, tokenizer: KlipTokenizer, tokens: Tensor, blanks: Sequence[Blank], longest: int
) -> list[str]:
    """What the model writes into blanks (eq. 13), always its likeliest next token.

    Args:
        model: Runs where ``tokens`` are.
        tokenizer: Its tokenizer.
        tokens: Of ``KlipModel.encode_images``, one image a blank.
        blanks: What is to be filled.
        longest: Most tokens of what is written; less where the model's positions end.
    """
    texts = [_opened(tokenizer, blank) for blank in blanks]
    room = [min(longest, model.config.text.longest - text.longest_reach) for text in texts]
    going = [number for number in range(len(texts)) if room[number] > 0]
    while going:
        inputs = decoder_inputs(tokenizer, [texts[number] for number in going])
        where = (
            inputs.ids.to(tokens.device),
            inputs.mask.to(tokens.device),
            inputs.positions.to(tokens.device),
        )
        states = model.decode(*where, tokens[going])
        last = (inputs.there.sum(1) - 1).to(tokens.device)
        words = (
            model.text.words(states[torch.arange(len(going), device=tokens.device), last]).argmax(-1).tolist()
        )
        on = []
        for number, word in zip(going, words, strict=True):
            said = texts[number].blanks[0][1]
            if word != tokenizer.end:
                said.append(word)
                on += [number] if len(said) < room[number] else []
        going = on
    return [tokenizer.decode(text.blanks[0][1]) for text in texts]


def _opened(tokenizer: KlipTokenizer, blank: Blank) -> Filled:
    """The blank with nothing written into it yet."""
    visible = [[tokenizer.mask] if piece is None else tokenizer.pieces(piece) for piece in blank.pieces]
    return Filled(tokenizer.sentence(visible), [(prompt(tokenizer, blank.key), [])])
