"""Several questions about one chip in one sequence, so that its image is encoded and read once.

The questions share the image prefix and cannot see each other: every one has the positions, the context and so
the logits that it would have alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from fusar_gpt.model.processor import IGNORED, FusarGptProcessor
from fusar_gpt.model.tiny import IMAGE
from fusar_gpt.tasks import ANY, SEARCHES, Task
from fusar_gpt.tasks.compact import NONE, SEEN
from fusar_train.pretrain.questions import QuestionAnswer

PREFIX, PADDING = -1, -2
OBJECT_TOKENS = 7
"""Tokens of a detected object with its separator: cell, class, four sides, semicolon."""
NOWHERE = -1
OUTSIDE = -1
"""The cell of an object that is not there: the token before the image."""
CELL_WEIGHT = 4.0
"""A box in the wrong cell is wrong whatever its sides are, and so is one too many."""


@dataclass(frozen=True)
class Packed:
    """N chips with their questions, padded on the right to T tokens.

    Attributes:
        ids: int64 [N, T].
        positions: int64 [3, N, T], M-RoPE positions.
        question: int64 [N, T], which question a token belongs to, or ``PREFIX`` or ``PADDING``.
        labels: int64 [N, T], the token to be said after each position, -100 where none is learnt.
        weights: float32 [N, T], the weight of each label.
        attend: int64 [2, N, T], positions of visual tokens that two layers attend to. At a label about an object: the
            object just named, then the object to be named, which is the next one after an object. At the visual
            token of an object: the object before it, then ``NOWHERE``. The token before the image stands for the
            object before the first and after the last. Elsewhere ``NOWHERE``.
    """

    ids: Tensor
    positions: Tensor
    question: Tensor
    labels: Tensor
    weights: Tensor
    attend: Tensor

    def mask(self) -> Tensor:
        """Which positions see which, bool [N, 1, T, T]: earlier ones of the prefix and of the same question."""
        q = self.question
        causal = torch.ones(q.shape[1], q.shape[1], dtype=torch.bool).tril()
        sees = (q[:, None, :] == PREFIX) | (q[:, None, :] == q[:, :, None])
        return (causal & sees)[:, None]


class Packer:
    """Packs pairs with the processor that also serves, so that both see the same tokens."""

    def __init__(self, processor: FusarGptProcessor, model: Any) -> None:
        """``model`` is only asked for the rotary positions of the prefix."""
        self.processor = processor
        card = processor.card
        self.size = (card.width, card.height)
        text = processor.encode_text([""])
        types = text["mm_token_type_ids"]
        self.length = int(types[0].nonzero()[-1]) + 1
        grid = torch.tensor([[1, card.height // card.patch, card.width // card.patch]])
        self.prefix = text["input_ids"][0, : self.length]
        self.image = int((self.prefix == processor.tokenizer.convert_tokens_to_ids(IMAGE)).nonzero()[0])
        self.positions = model.get_rope_index(self.prefix[None], types[:, : self.length], grid)[0][:, 0]

    def __call__(self, chips: Sequence[Sequence[QuestionAnswer]]) -> Packed:
        """Pack the pairs of N chips."""
        rows = [self._row(pairs) for pairs in chips]
        longest = max(len(row["ids"]) for row in rows)
        blank = self.processor.tokenizer.pad_token_id
        fill = {"ids": blank, "question": PADDING, "labels": IGNORED, "attend": NOWHERE}

        def stacked(name: str) -> Tensor:
            padded = [pad(row[name], (0, longest - len(row["ids"])), value=fill.get(name, 0)) for row in rows]
            return torch.stack(padded, dim=-2)

        return Packed(**{name: stacked(name) for name in rows[0]})

    def _row(self, pairs: Sequence[QuestionAnswer]) -> dict[str, Tensor]:
        """One chip, unpadded."""
        text = self.processor.encode_text([p.prompt(self.size) for p in pairs], [p.answer for p in pairs])
        start = int(self.positions.max()) + 1
        parts = [self._part(self.prefix, self.positions, PREFIX, torch.full((self.length,), IGNORED), None)]
        for number, pair in enumerate(pairs):
            begin = int(text["mm_token_type_ids"][number].nonzero()[-1]) + 1
            ids, labels = text["input_ids"][number, begin:], text["labels"][number, begin:]
            positions = (start + torch.arange(len(ids))).expand(3, -1)
            parts.append(self._part(ids, positions, number, labels, pair))
            self._point_back(parts[0]["attend"][0], pair)
        return {name: torch.cat([part[name] for part in parts], dim=-1) for name in parts[0]}

    def _point_back(self, look: Tensor, pair: QuestionAnswer) -> None:
        """Points the visual token of each object in a detect answer for one class at that of the one before it."""
        if pair.question.task is Task.DETECT and pair.question.target != ANY:
            before = OUTSIDE
            for number, cell in enumerate(object_cells(pair)):
                if number not in pair.decoys:
                    look[self.image + cell] = self.image + before
                    before = cell

    def _part(
        self, ids: Tensor, positions: Tensor, number: int, labels: Tensor, pair: QuestionAnswer | None
    ) -> dict[str, Tensor]:
        """The prefix or one question, with labels moved to the position that says them."""
        said = torch.cat([labels[1:], torch.tensor([IGNORED])])
        answer = (said != IGNORED).nonzero().flatten()
        look = torch.full((2, len(ids)), NOWHERE)
        # A long answer counts more than a short one, but not by its length.
        weights = torch.zeros(len(ids))
        weights[answer] = max(len(answer), 1) ** -0.5
        if pair is not None and pair.question.task in SEARCHES:
            looks, untrue = attention_targets(pair)
            about = answer[: looks.shape[1]]
            stride = object_tokens(pair)
            for place in {0, stride - 1}:
                weights[about[place::stride]] *= CELL_WEIGHT
            look[:, about] = self.image + looks[:, : len(about)]
            said[answer[untrue]] = IGNORED
        return {
            "ids": ids,
            "positions": positions,
            "question": torch.full((len(ids),), number),
            "labels": said,
            "weights": weights,
            "attend": look,
        }


def object_tokens(pair: QuestionAnswer) -> int:
    """Tokens of an object in the answer to a search."""
    return OBJECT_TOKENS if pair.question.task is Task.DETECT else 1


def object_cells(pair: QuestionAnswer) -> list[int]:
    """The cells of the objects that the answer to a search names."""
    if pair.question.task is Task.DETECT:
        return [] if pair.answer == NONE else [int(row.split()[0]) for row in pair.answer.split(";")]
    return [int(cell) for cell in pair.answer.rpartition(SEEN)[0].split()]


def attention_targets(pair: QuestionAnswer) -> tuple[Tensor, list[int]]:
    """For the words about objects in an answer the cells that two layers attend to [2, L], and the untrue words.

    The last pair is for what follows the last object; a detect answer has ended before it.
    """
    cells, stride = object_cells(pair), object_tokens(pair)

    def ahead(number: int) -> int:
        """The cell of the first true object from this one on."""
        return next((cells[i] for i in range(number, len(cells)) if i not in pair.decoys), OUTSIDE)

    first, then = [OUTSIDE], [ahead(0)]
    untrue: list[int] = []
    for number, cell in enumerate(cells):
        first += [cell] * stride
        then += ([cell] * stride + [ahead(number + 1)] * 2)[-stride:]
        if number in pair.decoys:
            begin = number * stride
            # That the answer goes on with a decoy is true only of those with an object behind them.
            untrue += range(max(begin - (ahead(number) == OUTSIDE), 0), begin + stride - 1)
    return torch.tensor([first, then]), untrue
