"""The tiny FUSAR-GPT: an architecture of about four million parameters for 224 px chips, untrained."""

from __future__ import annotations

from transformers import PreTrainedTokenizerBase, Qwen2VLImageProcessorPil

from fusar_gpt.model.config import FusarGptConfig
from fusar_gpt.model.tokens import END, IMAGE, PAD

SIDE = 224  # chip side in px
PATCH = 8
MERGE = 2

# Qwen's rotary settings suit wide heads and long texts: with 16 frequencies at theta 1e6 the width axis
# hardly turns. A smaller theta, and the frequencies dealt out in turn (time, row, column, time, ...), give each
# axis its share. In texts some must hardly turn, too, so that a token can be found by what it holds wherever it is.
_THETA = 100.0
_TEXT_THETA = 10_000.0
_HEAD_DIM = 32


def tiny_config(
    tokenizer: PreTrainedTokenizerBase,
    *,
    vision_depth: int = 6,
    vision_hidden: int = 128,
    text_layers: int = 4,
    text_hidden: int = 192,
    tlm_hidden: int = 256,
    sigma: float = 1.0,
) -> FusarGptConfig:
    """The tiny architecture for ``tokenizer``: 224 px chips become 14 x 14 visual tokens.

    Hidden sizes are multiples of 32, the width of one attention head. The defaults give about 4 M parameters.
    """
    token = tokenizer.convert_tokens_to_ids
    vision = {
        "depth": vision_depth,
        "hidden_size": vision_hidden,
        "intermediate_size": vision_hidden * 5 // 2,
        "num_heads": vision_hidden // _HEAD_DIM,
        "in_channels": 3,
        "patch_size": PATCH,
        "spatial_merge_size": MERGE,
        "temporal_patch_size": 1,
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


def tiny_image_processor() -> Qwen2VLImageProcessorPil:
    """Qwen's image processor with the tiny sizes: grey 0..255 becomes -1..1, and nothing is ever resized."""
    return Qwen2VLImageProcessorPil(
        patch_size=PATCH,
        merge_size=MERGE,
        temporal_patch_size=1,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
        do_resize=False,
    )
