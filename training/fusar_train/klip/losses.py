"""FUSAR-KLIP's losses (3.3): contrast (ITC, eq. 4), matching (ITM, eq. 5), masked text (MLM, eq. 6).

A text that is true of another image, too, is never a negative of it. What is true is told by facts: a row int64 [slots]
holds the number of the fact that an image's texts, or one text, tell about each key; ``UNKNOWN_FACT`` where they tell
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from fusar_gpt.retrieval import KlipModel
from fusar_gpt.retrieval.decoding import NOT_LEARNT, DecoderInputs
from fusar_train.klip.data import UNKNOWN_FACT


@dataclass(frozen=True)
class Relation:
    """Which of M candidates belong to each of N queries, bool [N, M].

    Attributes:
        positive: They say what the query says, or what it shows.
        open: They may be true of it, too: no positives and no negatives.
    """

    positive: Tensor
    open: Tensor

    @property
    def negative(self) -> Tensor:
        """They do not belong to the query."""
        return ~(self.positive | self.open)


@dataclass(frozen=True)
class Encoded:
    """Texts as the text tower has read them: states [N, L, C] and mask bool [N, L]."""

    states: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Pairs:
    """K pairs for ITM: the numbers of text and image, int64 [K], and whether they belong together, bool [K]."""

    texts: Tensor
    images: Tensor
    right: Tensor


def truth(texts: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """Whether each of N texts is true of each of M images, and whether it may be, bool [N, M].

    It is true where all its facts are the image's; it may be where those are that both tell about, at least one, and
    of the others nothing is known.
    """
    told, known = (texts != UNKNOWN_FACT)[:, None], (images != UNKNOWN_FACT)[None]
    equal = texts[:, None] == images[None]
    agree = (equal | ~(told & known)).all(-1) & (told & known).any(-1)
    true = (equal | ~told).all(-1)
    return true, agree & ~true


def relations(
    texts: Tensor, images: Tensor, key_texts: Tensor, key_images: Tensor, own: Tensor
) -> tuple[Relation, Relation]:
    """What N images have to do with M texts, and N texts with M images, by their facts.

    For a text, every image that it is true of is a positive. For an image, the texts that tell the same as its own are;
    others that are true of it are open, as they may say less.

    Args:
        texts: Facts of the queries' texts, int64 [N, slots].
        images: Of their images.
        key_texts: Of the candidates' texts, int64 [M, slots].
        key_images: Of their images.
        own: int64 [N], the candidate that the query itself is.
    """
    itself = functional.one_hot(own, len(key_texts)).bool()
    true, maybe = (each.T for each in truth(key_texts, images))
    same = itself | ((texts[:, None] == key_texts[None]).all(-1) & true)
    of_images = Relation(same, (true | maybe) & ~same)
    true, maybe = truth(texts, key_images)
    of_texts = Relation(true | itself, maybe & ~itself)
    return of_images, of_texts


def contrast(
    queries: Tensor, keys: Tensor, relation: Relation, temperature: Tensor, soft: Tensor | None
) -> Tensor:
    """One direction of InfoNCE (eq. 4): the cross-entropy of each query among its positives and negatives.

    Args:
        queries: Unit vectors [N, E].
        keys: Unit vectors [M, E].
        relation: Open keys take no part; several positives share the target.
        temperature: tau.
        soft: Soft targets [N, M] that sum to 1 and are 0 at open keys, or None. ``blend`` makes the target of both.
    """
    logits = likeness(queries, keys, temperature).masked_fill(relation.open, -torch.inf)
    target = hard_targets(relation) if soft is None else soft
    logs = functional.log_softmax(logits, dim=-1).masked_fill(relation.open, 0)
    return -(target * logs).sum(-1).mean()


def likeness(queries: Tensor, keys: Tensor, temperature: Tensor) -> Tensor:
    """Cosines over tau, float32 [N, M] whatever else computes in half: they may differ in the third digit only."""
    with torch.autocast(queries.device.type, enabled=False):
        return queries.float() @ keys.float().T / temperature


def hard_targets(relation: Relation) -> Tensor:
    """Equal shares for all positives, float [N, M]."""
    positive = relation.positive.float()
    return positive / positive.sum(-1, keepdim=True)


def blend(queries: Tensor, keys: Tensor, relation: Relation, temperature: Tensor, alpha: float) -> Tensor:
    """Targets [N, M]: a share alpha from how alike the momentum encoders find query and keys, the rest hard (ALBEF).

    Args:
        queries: Unit vectors [N, E] of the momentum encoders.
        keys: Theirs [M, E].
        relation: Open keys get nothing.
        temperature: tau.
        alpha: The paper's is 0.4.
    """
    with torch.no_grad():
        alike = likeness(queries, keys, temperature).masked_fill(relation.open, -torch.inf)
        return alpha * functional.softmax(alike, dim=-1) + (1 - alpha) * hard_targets(relation)


def draw_negatives(
    alike: Tensor, relation: Relation, hard: float, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """One negative for each query that has any, for ITM.

    Args:
        alike: How alike ITC finds query and candidate, divided by the temperature, [N, M].
        relation: Only its negatives are drawn.
        hard: The share of draws by likeness; the others are blind.
        generator: Of the draws.

    Returns:
        The queries that have a negative, int64 [K], and the candidate drawn for each, int64 [K].
    """
    allowed = relation.negative
    rows = allowed.any(-1).nonzero()[:, 0]
    allowed = allowed[rows].float()
    blind = allowed / allowed.sum(-1, keepdim=True)
    known = (
        alike.detach().float()[rows].nan_to_num()
    )  # whoever looks at the loss will find what is not finite
    near = functional.softmax(known.masked_fill(allowed == 0, -torch.inf), dim=-1)
    chances = hard * near + (1 - hard) * blind
    if not len(rows):
        return rows, rows
    return rows, torch.multinomial(chances, 1, generator=generator)[:, 0]


def make_pairs(
    alike: Tensor,
    of_images: Relation,
    of_texts: Relation,
    hard: float,
    generator: torch.Generator | None = None,
) -> Pairs:
    """All N right pairs, a wrong text for each image and a wrong image for each text, where there are any.

    Args:
        alike: How alike ITC finds image and text, divided by the temperature, [N, N].
        of_images: What images have to do with texts, of ``relations``.
        of_texts: What texts have to do with images.
        hard: As in ``draw_negatives``.
        generator: Of the draws.
    """
    own = torch.arange(len(alike), device=alike.device)
    images, wrong_texts = draw_negatives(alike, of_images, hard, generator)
    texts, wrong_images = draw_negatives(alike.T, of_texts, hard, generator)
    right = torch.arange(len(own) + len(images) + len(texts), device=alike.device) < len(own)
    return Pairs(torch.cat([own, wrong_texts, texts]), torch.cat([own, images, wrong_images]), right)


def reading(model: KlipModel, ids: Tensor, mask: Tensor, groups: int = 1) -> tuple[Tensor, Tensor]:
    """``KlipModel.encode_texts`` in groups of texts of like length, so that short ones are hardly padded."""
    if groups == 1:
        return model.encode_texts(ids, mask)
    order, lengths = by_length(mask, groups)
    found = [
        model.encode_texts(ids[rows, :most], mask[rows, :most])
        for rows, most in zip(order, lengths, strict=True)
    ]
    whole = [functional.pad(states, (0, 0, 0, ids.shape[1] - states.shape[1])) for states, _ in found]
    back = torch.cat(order).argsort()
    return torch.cat(whole)[back], torch.cat([vectors for _, vectors in found])[back]


def by_length(mask: Tensor, groups: int) -> tuple[list[Tensor], list[int]]:
    """Rows of a mask [N, L] in groups of like length, and the length of each group."""
    lengths = mask.sum(-1)
    order = [rows for rows in lengths.argsort(stable=True).tensor_split(groups) if len(rows)]
    return order, [int(lengths[rows[-1]]) for rows in order]


def matching(
    model: KlipModel, texts: Encoded, tokens: Tensor, pairs: Pairs, groups: int = 1
) -> tuple[Tensor, Tensor]:
    """ITM (eq. 5) over pairs: the cross-entropy, and the share of them that is matched rightly.

    Args:
        model: Matches.
        texts: Of ``encode_texts``, N.
        tokens: The images [N, T, C].
        pairs: Which text goes with which image, and whether it is right.
        groups: As in ``reading``.
    """
    order, lengths = by_length(texts.mask[pairs.texts], groups)
    logits = torch.cat(
        [
            model.match(
                texts.states[pairs.texts[rows], :most],
                texts.mask[pairs.texts[rows], :most],
                tokens[pairs.images[rows]],
            )
            for rows, most in zip(order, lengths, strict=True)
        ]
    )
    labels = pairs.right[torch.cat(order)].long()
    return functional.cross_entropy(logits, labels), (logits.argmax(-1) == labels).float().mean()


def writing(
    model: KlipModel, decoder: DecoderInputs, tokens: Tensor, groups: int = 1
) -> tuple[Tensor, Tensor]:
    """MLM (eq. 6): the summed negative log-likelihood of the blanks' tokens, and how many they are.

    Args:
        model: Writes.
        decoder: Texts with blanks.
        tokens: Of their images.
        groups: As in ``reading``.
    """
    total, count = tokens.new_zeros((), dtype=torch.float32), 0
    order, lengths = by_length(decoder.there, groups)
    for rows, most in zip(order, lengths, strict=True):
        labels = decoder.labels[rows, :most]
        learnt = labels != NOT_LEARNT
        states = model.decode(
            decoder.ids[rows, :most],
            decoder.mask[rows, :most, :most],
            decoder.positions[rows, :most],
            tokens[rows],
        )
        logits = model.text.words(states[learnt]).float()
        total = total + functional.cross_entropy(logits, labels[learnt], reduction="sum")
        count += int(learnt.sum())
    return total, torch.tensor(count)
