"""The tiny tokenizer: any text survives, numbers and words are one token, tools understand it."""

from __future__ import annotations

import pytest
import xgrammar
from fresh_model import fresh_processor
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from fusar_gpt.engine.detokenizer import IncrementalDetokenizer
from fusar_gpt.model import tiny_tokenizer
from fusar_gpt.model.tiny import SIDES, SPECIAL
from fusar_gpt.tasks import compact

TOKENIZER = tiny_tokenizer()
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


def plain(text):
    return TOKENIZER(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]


def detokenize(ids: list[int]) -> tuple[str, tuple[int, ...]]:
    """The text and where each token ends in it."""
    grown = IncrementalDetokenizer(TOKENIZER)
    for index in ids:
        grown.add(index)
    grown.close()
    return grown.text, tuple(grown.ends)


@settings(max_examples=200, deadline=None)
@given(TEXT | st.sampled_from(["e\u0301 \u00e9", "  a \n\n b\t", "007 1234 224 225", *SPECIAL]))
def test_any_text_survives(text):
    assert TOKENIZER.decode(plain(text)) == text


@pytest.mark.parametrize("blank", ["", " "])
def test_every_coordinate_and_word_is_one_token(blank):
    assert all(len(plain(f"{blank}{number}")) == 1 for number in range(225))
    assert len({plain(f"{blank}{number}")[0] for number in range(225)}) == 225
    assert all(len(plain(blank + word)) == 1 for word in ("count", "ship", "Ships", "none", "water", "The"))


def test_a_detected_object_takes_six_tokens():
    assert len(plain("90 ship l12 u22 r24 d14; 92 ship l0 u128 r22 d12")) == 6 + 1 + 6
    assert SIDES == compact.SIDES  # neither module may import the other


def test_callers_add_words():
    extended = tiny_tokenizer(words=["zeppelin", "ship"])
    assert len(extended("a zeppelin")["input_ids"]) == 2
    assert len(extended) == len(TOKENIZER) + 4  # bare and after a blank, small and capital
    with pytest.raises(ValueError, match="two words"):
        tiny_tokenizer(words=["two words"])


def test_special_tokens_count_only_in_the_template():
    assert all(len(TOKENIZER(token)["input_ids"]) == 1 for token in SPECIAL)
    assert not set(plain("".join(SPECIAL))) & set(TOKENIZER.all_special_ids)


def test_the_template_has_no_system_prompt():
    content = [{"type": "image"}, {"type": "text", "text": "count ship"}]
    turn = [{"role": "user", "content": content}]
    assert TOKENIZER.apply_chat_template(turn, tokenize=False, add_generation_prompt=True) == (
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>count ship<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_the_saved_folder_loads_with_the_ordinary_class(tmp_path):
    TOKENIZER.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    text = " ship 100 é <|im_end|>\n"
    assert loaded(text)["input_ids"] == TOKENIZER(text)["input_ids"]
    assert loaded.get_vocab() == TOKENIZER.get_vocab()
    assert (loaded.eos_token, loaded.pad_token) == ("<|im_end|>", "<|endoftext|>")
    assert (loaded.padding_side, loaded.chat_template) == ("left", TOKENIZER.chat_template)


def test_xgrammar_reads_the_vocabulary_as_bytes():
    info = xgrammar.TokenizerInfo.from_huggingface(TOKENIZER, vocab_size=len(TOKENIZER))
    assert info.vocab_type is xgrammar.VocabType.BYTE_LEVEL
    texts = {index: detokenize([index])[0] for index in range(len(TOKENIZER))}
    decoded = info.decoded_vocab
    assert all(
        decoded[index].decode() == text for index, text in texts.items() if text and "\ufffd" not in text
    )


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, len(TOKENIZER) - 1), max_size=12))
def test_detokenizing_agrees_with_the_tokenizer_and_places_every_token(ids):
    text, ends = detokenize(ids)
    assert text == TOKENIZER.decode(ids, skip_special_tokens=True)
    assert list(ends) == sorted(ends)
    assert len(ends) == len(ids)
    assert (ends[-1] if ends else 0) == len(text)


def test_a_character_split_over_tokens_ends_with_the_last():
    assert detokenize(plain("a日b")) == ("a日b", (1, 1, 1, 2, 3))


def test_the_processor_survives_a_lone_surrogate():
    batch = fresh_processor().encode_text(["ask \udcff"])
    assert "ask ?" in TOKENIZER.decode(batch["input_ids"][0])
