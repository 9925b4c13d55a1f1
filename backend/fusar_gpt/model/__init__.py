"""FUSAR-GPT as a model: Qwen2.5-VL + TLM, its processor, its tiny variant, and checkpoints on disk.

``load(name)`` is all that a script needs.

Importing this room registers the model with transformers' Auto classes.
"""

from fusar_gpt.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from fusar_gpt.model.config import FusarGptConfig
from fusar_gpt.model.folder import Card
from fusar_gpt.model.fusar import FusarGptForConditionalGeneration, FusarGptModel
from fusar_gpt.model.loaded import LoadedModel, load
from fusar_gpt.model.processor import FusarGptProcessor
from fusar_gpt.model.tiny import tiny_config, tiny_image_processor, tiny_tokenizer

__all__ = [
    "Card",
    "Checkpoint",
    "FusarGptConfig",
    "FusarGptForConditionalGeneration",
    "FusarGptModel",
    "FusarGptProcessor",
    "LoadedModel",
    "load",
    "load_checkpoint",
    "save_checkpoint",
    "tiny_config",
    "tiny_image_processor",
    "tiny_tokenizer",
]
