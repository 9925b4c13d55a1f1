"""From texts to token ids and back: BERT's from the hub, or one trained on the texts themselves."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from torch import Tensor

from fusar_gpt.errors import CheckpointError, TooLarge
from fusar_gpt.model.klip_card import TOKENIZER_FILE

PAD, UNKNOWN, START, END, MASK = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_PIECES = r"▁?\p{Han}|▁?[\p{L}&&[^\p{Han}]]+|▁?\p{N}+|▁?[^\s\p{L}\p{N}▁]|▁"
"""A word, a number or a sign, with the blank before it."""
_SPELLED = 0.5
"""A word of four letters and more counts as unknown when it takes more tokens than this share of its letters."""


@dataclass(frozen=True)
class Texts:
    """Some texts as the text tower reads them: ids int64 [N, L], mask bool [N, L], False where there is no text."""

    ids: Tensor
    mask: Tensor


class KlipTokenizer:
    """A tokenizer with BERT's special tokens.

    Attributes:
        backend: The library's.
        pad, start, end, mask: Ids of special tokens.
    """

    def __init__(self, backend: Tokenizer) -> None:
        """CheckpointError when it lacks one of BERT's special tokens."""
        known = {name: number for name in SPECIAL if (number := backend.token_to_id(name)) is not None}
        if missing := [name for name in SPECIAL if name not in known]:
            raise CheckpointError(f"the tokenizer has no {', '.join(missing)}: give one of BERT's kind")
        backend.no_padding()
        backend.no_truncation()
        self.backend = backend
        self.pad, self.unknown, self.start, self.end, self.mask = (known[name] for name in SPECIAL)

    def __len__(self) -> int:
        return int(self.backend.get_vocab_size())

    @classmethod
    def read(cls, folder: Path) -> KlipTokenizer:
        """The tokenizer of a folder; ValueError or OSError when it is none."""
        return cls(read_tokenizer(folder / TOKENIZER_FILE))

    def pieces(self, text: str) -> list[int]:
        """The ids of a text without any special tokens."""
        return list(self.backend.encode(text, add_special_tokens=False).ids)

    def sentence(self, pieces: Iterable[Sequence[int]]) -> list[int]:
        """The ids of a text of several pieces, with the special tokens at its ends."""
        return [self.start, *(one for piece in pieces for one in piece), self.end]

    def batch(self, sentences: Sequence[Sequence[int]]) -> Texts:
        """Several sentences, padded to the longest."""
        longest = max(map(len, sentences))
        ids = torch.full((len(sentences), longest), self.pad)
        mask = torch.zeros(len(sentences), longest, dtype=torch.bool)
        for row, sentence in enumerate(sentences):
            ids[row, : len(sentence)] = torch.tensor(sentence)
            mask[row, : len(sentence)] = True
        return Texts(ids, mask)

    def encode(self, texts: Sequence[str], longest: int) -> Texts:
        """Several texts, padded to the longest of them.

        Raises:
            TooLarge: A text has more than ``longest`` tokens.
        """
        sentences = [self.sentence([self.pieces(text)]) for text in texts]
        refuse_longer(texts, sentences, longest)
        return self.batch(sentences)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, without special tokens."""
        return str(self.backend.decode(list(ids), skip_special_tokens=True))

    def words(self, text: str) -> list[str]:
        """The words of a text as the tokenizer divides it; Chinese characters one by one, no numbers and signs."""
        backend = self.backend
        plain = backend.normalizer.normalize_str(text) if backend.normalizer else text
        pieces = [(plain, (0, 0))]
        if backend.pre_tokenizer:
            pieces = backend.pre_tokenizer.pre_tokenize_str(plain)
        return [word for piece, _ in pieces if (word := piece.strip("▁ ")).isalpha()]

    def unknown_share(self, texts: Iterable[str]) -> float:
        """The share of words that the tokenizer does not know: without a token, or spelled almost letter by letter.

        A text in another language than the tokenizer was made for has many; numbers are no words.
        """
        unknown = words = 0
        for text in texts:
            encoding = self.backend.encode(text, add_special_tokens=False)
            first_of: dict[int, list[int]] = {}
            for place, word in enumerate(encoding.word_ids):
                if word is not None:
                    first_of.setdefault(word, []).append(place)
            for places in first_of.values():
                letters = encoding.offsets[places[-1]][1] - encoding.offsets[places[0]][0]
                if not any(c.isalpha() for c in text[encoding.offsets[places[0]][0] :][:letters]):
                    continue
                words += 1
                spelled = letters >= 4 and len(places) > _SPELLED * letters
                unknown += spelled or any(encoding.ids[place] == self.unknown for place in places)
        return unknown / max(words, 1)


def read_tokenizer(file: Path) -> Tokenizer:
    """The library's tokenizer of a file; ValueError or OSError when it is none."""
    content = file.read_text(encoding="utf-8")
    try:
        return Tokenizer.from_str(content)
    except Exception as error:  # the library raises nothing more exact
        raise ValueError(f"no tokenizer: {error}") from error


def refuse_longer(texts: Sequence[str], sentences: Sequence[Sequence[int]], longest: int) -> None:
    """TooLarge where the tokens of a text are more than ``longest``."""
    for text, sentence in zip(texts, sentences, strict=True):
        if len(sentence) > longest:
            raise TooLarge(
                f"the text {text[:40]!r}... has {len(sentence)} tokens and at most {longest} are read: shorten it"
            )


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> KlipTokenizer:
    """A tokenizer of at most ``vocabulary`` tokens for some texts, English, Chinese or others; the same for the same.

    Frequent words and numbers become tokens, every Chinese character is one, and words that the texts do not have are
    spelled in letters. It is BPE because the library's trainer of WordPiece settles ties by chance.
    """
    backend = Tokenizer(BPE(unk_token=UNKNOWN))
    backend.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Lowercase(),
            normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Strip(),
        ]
    )
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Split(Regex(_PIECES), behavior="isolated")]
    )
    backend.decoder = decoders.Metaspace()
    words = list(texts)
    # Which rare characters get a token is settled here: the trainer settles ties by chance.
    counts = Counter(
        char for text in words for char in backend.normalizer.normalize_str(text) if not char.isspace()
    )
    often = sorted(counts, key=lambda char: (-counts[char], char))[: vocabulary // 2]
    alphabet = dict.fromkeys([*string.ascii_lowercase, *string.digits, *string.punctuation, "▁", *often])
    trainer = BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=list(SPECIAL),
        limit_alphabet=len(alphabet),
        initial_alphabet=list(alphabet),
        show_progress=False,
    )
    backend.train_from_iterator(words, trainer)
    return KlipTokenizer(backend)
