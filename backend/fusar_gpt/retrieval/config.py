"""The sizes of FUSAR-KLIP's two towers, as ``config.json`` holds them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

_STRICT = ConfigDict(extra="forbid")
_Width = Annotated[int, Field(strict=True, ge=1, le=4096)]
_Layers = Annotated[int, Field(strict=True, ge=1, le=64)]
_Dropout = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class ImageTowerConfig:
    """A ViT over the tokens of a grey image.

    Attributes:
        image_px: Side of the image.
        token_px: Side of the ground of one token; 16 is ViT-B/16's patch.
        hidden, layers, heads, mlp: Of the transformer.
        stem: Channels of the convolutions of stride 2 that come before the tokens, over blocks of 2 x 2 px; empty for
            ViT's own patches.
        grid: Rows and columns of cells whose mean tokens stand beside the first token (CLS) in an image's vector, so
            that it tells where things are; 0 takes the first token alone, as ViT does.
        mean, std: Of grey levels 0 to 1, subtracted and divided by.
        dropout: Within the transformer.
    """

    image_px: Annotated[int, Field(strict=True, ge=16, le=1024)]
    token_px: Annotated[int, Field(strict=True, ge=4, le=64)]
    hidden: _Width
    layers: _Layers
    heads: _Width
    mlp: Annotated[int, Field(strict=True, ge=1, le=16384)]
    stem: tuple[_Width, ...] = ()
    grid: Annotated[int, Field(strict=True, ge=0, le=16)] = 0
    mean: float = 0.5
    std: Annotated[float, Field(gt=0)] = 0.5
    dropout: _Dropout = 0.0

    @model_validator(mode="after")
    def _fit_together(self) -> ImageTowerConfig:
        if self.image_px % self.token_px:
            raise ValueError(f"image_px {self.image_px} is no multiple of token_px {self.token_px}")
        if self.stem and self.token_px % 2 ** (1 + len(self.stem)):
            raise ValueError(
                f"token_px {self.token_px} is no multiple of what {len(self.stem)} convolutions halve"
            )
        if self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} is no multiple of heads {self.heads}")
        return self


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class TextTowerConfig:
    """A BERT whose last layers also look at an image.

    Attributes:
        vocabulary: Tokens of the tokenizer.
        hidden, heads, mlp: Of all layers.
        layers: Those that read the text alone; what they leave becomes the text's vector.
        fusion_layers: Those above, with cross-attention, which match text and image and write text.
        pool: What stands for the text: its "first" token, as in BERT, or the "mean" of all, which a small tower that
            starts from nothing learns much sooner.
        longest: Most tokens of a text, or of a text and what is written after it.
        dropout: Within the layers.
    """

    vocabulary: Annotated[int, Field(strict=True, ge=8, le=1_000_000)]
    hidden: _Width
    layers: _Layers
    fusion_layers: _Layers
    heads: _Width
    mlp: Annotated[int, Field(strict=True, ge=1, le=16384)]
    longest: Annotated[int, Field(strict=True, ge=16, le=8192)]
    pool: Literal["first", "mean"] = "first"
    dropout: _Dropout = 0.0

    @model_validator(mode="after")
    def _fit_together(self) -> TextTowerConfig:
        if self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} is no multiple of heads {self.heads}")
        return self


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class KlipConfig:
    """Both towers, and the size of the vectors that they are compared in."""

    image: ImageTowerConfig
    text: TextTowerConfig
    embedding: _Width
    model_type: Literal["fusar-klip"] = "fusar-klip"
