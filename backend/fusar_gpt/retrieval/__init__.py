"""FUSAR-KLIP (Yang et al., 2025): images and texts as vectors that can be compared, and texts written for images.

``load_klip(folder)`` is all that a script needs.
"""

from fusar_gpt.model.klip_card import KlipCard
from fusar_gpt.retrieval.config import ImageTowerConfig, KlipConfig, TextTowerConfig
from fusar_gpt.retrieval.folder import save_klip
from fusar_gpt.retrieval.klip import Klip, load_klip
from fusar_gpt.retrieval.model import KlipModel
from fusar_gpt.retrieval.tokenizer import KlipTokenizer

__all__ = [
    "ImageTowerConfig",
    "Klip",
    "KlipCard",
    "KlipConfig",
    "KlipModel",
    "KlipTokenizer",
    "TextTowerConfig",
    "load_klip",
    "save_klip",
]
