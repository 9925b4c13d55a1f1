"""The tiny FUSAR-GPT, untrained: architecture (about 4 M parameters, 224 px chips), image processor and tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, Qwen2VLImageProcessorPil

from fusar_gpt.model.config import FusarGptConfig

SIDE = 224  # chip side in px
PATCH = 8
MERGE = 2

# Qwen's rotary settings suit wide heads and long texts: with 16 frequencies at theta 1e6 the width axis
# hardly turns. A smaller theta, and interleaved frequencies (time, row, column, time, ...), serve all three axes.
# In texts some frequencies must hardly turn, so that a token can be found by its content at any position.
_THETA = 100.0
_TEXT_THETA = 10_000.0
_HEAD_DIM = 32

LARGEST_NUMBER = 224  # chip coordinates run from 0 to the tiny chip's side
SIDES = "lurd"
LARGEST_REACH = 128  # px that a box in the tiny chip can reach over the token its centre is in

PAD = "<|endoftext|>"
END = "<|im_end|>"
IMAGE = "<|image_pad|>"
SPECIAL = (
    PAD,
    "<|im_start|>",
    END,
    "<|vision_start|>",
    "<|vision_end|>",
    IMAGE,
    "<|video_pad|>",
)

# The words of the compact prompts and answers, and of plain captions. Other words cost one token a byte.
_WORDS = """
    count locate classify detect describe ask any none user assistant
    ship ships plane planes aircraft airplane tank tanks vehicle vehicles bridge bridges building buildings
    harbour harbours harbor port ports airport airports runway runways apron quay quays pier piers dock docks
    oil storage crane cranes container containers warehouse warehouses road roads river rivers lake coast
    coastal shore shoreline sea ocean water land island islands beach vegetation forest forests field fields
    farmland cropland crops crop grassland grass shrub shrubland wetland wetlands mangrove snow ice bare soil
    rock rocky desert mountain mountains hill hills urban rural town city village residential industrial area
    areas region regions scene image radar sar chip simulated open calm rough bright dark strong weak echo
    echoes return returns speckle shadow shadows clutter surface terrain cover covered mostly mainly partly
    some many few several no one two three four five six seven eight nine ten large small medium dense sparse
    scattered clustered long narrow wide empty moored berthed anchored parked moving
    the a an of in on at to by with and or but is are was there here this that these it its from near beside
    along around between over under inside outside above below not what where how which who why when does do
    can you see left right top bottom upper lower center centre middle corner edge side north south east west
    northern southern eastern western part half grid cell cells row rows column columns total about shows
    show showing contains contain visible seen lies lie located yes more less than most all each every
    same other object objects target targets class number size metre metres meter meters length width
    """
WORDS = tuple(dict.fromkeys(_WORDS.split()))

# Qwen's turn format without its system prompt. Content is a string or a list of image and text parts.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

# A word or a number includes one blank before it, so that " 100" is one token; so is " l12", a side of a box.
_PIECES = r" ?[lurd]\p{N}+| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s"


def tiny_config(
    tokenizer: PreTrainedTokenizerBase,
    *,
    vision_depth: int = 6,
    vision_hidden: int = 128,
    text_layers: int = 4,
    text_hidden: int = 192,
    tlm_hidden: int = 256,
    sigma: float = 1.0,
    stem: Sequence[int] | None = None,
) -> FusarGptConfig:
    """The tiny architecture for ``tokenizer``: 224 px chips become 14 x 14 visual tokens.

    Hidden sizes are multiples of 32, the width of one attention head. The defaults give about 4 M parameters. With the
    channels of a ``stem`` (three, for tokens of 16 px) the vision tower begins with convolutions.
    """
    token = tokenizer.convert_tokens_to_ids
    patch, merge = (PATCH * MERGE, 1) if stem else (PATCH, MERGE)
    vision = {
        "depth": vision_depth,
        "hidden_size": vision_hidden,
        "intermediate_size": vision_hidden * 5 // 2,
        "num_heads": vision_hidden // _HEAD_DIM,
        "in_channels": 3,
        "patch_size": patch,
        "spatial_merge_size": merge,
        "temporal_patch_size": 1,
        "stem": list(stem) if stem else None,
        "window_size": 112,
        "fullatt_block_indexes": list(range((vision_depth - 1) % 3, vision_depth, 3)),
        "out_hidden_size": text_hidden,
        "rope_parameters": {"rope_type": "axial", "rope_theta": _THETA},
    }
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": text_hidden,
        "intermediate_size": text_hidden * 8 // 3,
        "num_hidden_layers": text_layers,
        "num_attention_heads": text_hidden // _HEAD_DIM,
        "num_key_value_heads": text_hidden // _HEAD_DIM,
        "max_position_embeddings": 4096,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": _TEXT_THETA,
            "mrope_section": [1] * (_HEAD_DIM // 2),
        },
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": token(END),
        "pad_token_id": token(PAD),
    }
    return FusarGptConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=token(IMAGE),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
        tlm={"hidden": tlm_hidden, "sigma": sigma},
    )


def tiny_image_processor(patch: int = PATCH, merge: int = MERGE) -> Qwen2VLImageProcessorPil:
    """Qwen's image processor with the tiny sizes: grey 0..255 becomes -1..1, and nothing is ever resized."""
    return Qwen2VLImageProcessorPil(
        patch_size=patch,
        merge_size=merge,
        temporal_patch_size=1,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
        do_resize=False,
    )


def tiny_tokenizer(words: Iterable[str] = ()) -> PreTrainedTokenizerBase:
    """A tokenizer of about 2,300 tokens that round-trips any Unicode text.

    Every integer 0..224, ``WORDS`` and the caller's ``words`` are one token, with and without a blank before
    them, words also with a capital; so are the sides of boxes, " l0" to " d128". Other text falls back to UTF-8
    bytes. The saved folder loads with ``AutoTokenizer``. Padding goes left and ``<|im_end|>`` ends an answer.
    """
    blank = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(" ")[0][0]
    whole = [str(number) for number in range(LARGEST_NUMBER + 1)]
    for word in (*WORDS, *words):
        if not (word.isascii() and word.isalpha()):
            raise ValueError(f"only plain ASCII words can become tokens: {word!r}")
        whole += [word, word.capitalize()]
    pieces = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    pieces += [form for word in whole for form in (word, blank + word)]
    pieces += [f"{blank}{side}{reach}" for side in SIDES for reach in range(LARGEST_REACH + 1)]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    # No merges: a piece that is not a token as a whole is spelled in bytes.
    backend = Tokenizer(BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=list(SPECIAL),
        padding_side="left",
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )
