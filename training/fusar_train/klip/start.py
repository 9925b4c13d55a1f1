"""What a run starts from: untrained towers of the settings' sizes, or a ViT and a BERT of the hub or a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoTokenizer, BertForMaskedLM, ViTModel

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model.checkpoint import quiet
from fusar_gpt.model.folder import refuse_code, refused
from fusar_gpt.model.hub import cached, check_space, fetch, look_up
from fusar_gpt.retrieval import KlipConfig, KlipModel, KlipTokenizer, TextTowerConfig
from fusar_gpt.retrieval.image_tower import vit_config
from fusar_gpt.retrieval.text_tower import bert_config
from fusar_gpt.retrieval.tokenizer import train_tokenizer
from fusar_train.klip.data import KlipData
from fusar_train.klip.settings import KlipError, KlipSettings, image_config, text_config
from fusar_train.stages.run_log import report

_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt")
_VOCABULARIES = ("tokenizer.json", "vocab.txt")
_SAME = ("hidden_act", "layer_norm_eps", "qkv_bias", "type_vocab_size")
"""What our towers take from the library's defaults, so that other weights would be read wrongly."""


def open_tokenizer(settings: KlipSettings, data: KlipData) -> KlipTokenizer:
    """The tokenizer of a BERT, or one trained on the texts.

    Raises:
        KlipError: It cannot be had.
    """
    if isinstance(settings.tokenizer, int):
        return train_tokenizer(data.words(), settings.tokenizer)
    found = _read_tokenizer(settings.tokenizer)
    if isinstance(settings.text, str) and settings.text != settings.tokenizer:
        own = _read_tokenizer(settings.text)
        if own.backend.get_vocab() != found.backend.get_vocab():
            raise KlipError(
                f"{settings.tokenizer} numbers its words otherwise than {settings.text} was trained with: give "
                f"--set tokenizer={settings.text}."
            )
    return found


def _read_tokenizer(name: str) -> KlipTokenizer:
    folder = weights_folder(name)
    try:
        with refused(f"the tokenizer of {name} cannot be read", "put it beside the weights, or give another"):
            if not any((folder / file).is_file() for file in _VOCABULARIES):
                raise ValueError(f"it has neither {' nor '.join(_VOCABULARIES)}")
            refuse_code(folder)
            fast = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            return KlipTokenizer(Tokenizer.from_str(fast.backend_tokenizer.to_str()))
    except CheckpointError as error:
        raise KlipError(f"{error}.") from error


def new_model(settings: KlipSettings, tokenizer: KlipTokenizer) -> KlipModel:
    """The model that training starts from; the same settings give the same.

    Raises:
        KlipError: The weights cannot be had, or fit no tower of ours.
    """
    torch.manual_seed(settings.seed)
    vit = (
        _open(ViTModel, settings.image, add_pooling_layer=False) if isinstance(settings.image, str) else None
    )
    bert = _open(BertForMaskedLM, settings.text) if isinstance(settings.text, str) else None
    image = image_config(_image_entries(vit.config) if vit else dict(settings.image))  # type: ignore[arg-type]
    entries = _text_entries(bert.config) if bert else dict(settings.text)  # type: ignore[arg-type]
    if bert:
        entries |= {"layers": entries["layers"] - settings.fusion_layers}
    text = text_config(entries, settings, bert.config.vocab_size if bert else len(tokenizer))
    if bert:
        _check_room(settings, len(tokenizer), bert.config)
    model = KlipModel(KlipConfig(image=image, text=text, embedding=settings.embedding))
    if vit:
        _check_same(vit.config, vit_config(image), str(settings.image))
        model.image.vit.load_state_dict(vit.state_dict())
    if bert:
        _check_same(bert.config, bert_config(text), str(settings.text))
        _put_bert(model, bert.state_dict(), text)
    return model


def weights_folder(name: str) -> Path:
    """The folder of that name, or that of a model of the hub, fetched unless it is in the hub's cache.

    Raises:
        KlipError: It is no folder, and the hub has no such model or cannot be reached, or the disk has no room for it.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    try:
        if known := cached(name, _FILES):
            return known
        remote = look_up(name, _FILES)
        check_space([remote])
        return fetch(remote, report)
    except CheckpointError as error:
        raise KlipError(
            f"{name} is no folder, and from the hub {error}; or give a folder that holds it, with --set image=..., "
            "text=... and tokenizer=..."
        ) from error


def _open(kind: Any, name: str, **more: Any) -> Any:
    folder = weights_folder(name)
    try:
        with refused(f"{name} cannot be loaded", "give another"), quiet():
            refuse_code(folder)
            stated = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
            wanted = kind.config_class.model_type
            if stated != wanted:
                raise ValueError(f"it is a {stated}, not a {wanted}")
            model, report = kind.from_pretrained(
                folder,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
                dtype=torch.float32,
                **more,
            )
            if report["missing_keys"]:  # the library would run on with random weights
                raise ValueError(f"missing weights: {sorted(report['missing_keys'])[:3]}")
            return model
    except CheckpointError as error:
        raise KlipError(f"{error}.") from error


def _image_entries(config: Any) -> dict[str, Any]:
    return {
        "image_px": config.image_size,
        "token_px": config.patch_size,
        "hidden": config.hidden_size,
        "layers": config.num_hidden_layers,
        "heads": config.num_attention_heads,
        "mlp": config.intermediate_size,
        "dropout": config.hidden_dropout_prob,
    }


def _text_entries(config: Any) -> dict[str, Any]:
    return {
        "hidden": config.hidden_size,
        "layers": config.num_hidden_layers,
        "heads": config.num_attention_heads,
        "mlp": config.intermediate_size,
        "dropout": config.hidden_dropout_prob,
    }


def _check_room(settings: KlipSettings, tokens: int, config: Any) -> None:
    most = config.max_position_embeddings
    if tokens > config.vocab_size or settings.longest > most:
        raise KlipError(
            f"{settings.text} knows {config.vocab_size} tokens and reads {most}, and {tokens} and {settings.longest} "
            f"are wanted: take its own tokenizer, and --set longest={most} or less."
        )


def _check_same(theirs: Any, ours: Any, name: str) -> None:
    for key in _SAME:
        if getattr(theirs, key, None) != getattr(ours, key, None):
            raise KlipError(
                f"{name} has {key} {getattr(theirs, key)}, which this tower cannot: give another."
            )


def _put_bert(model: KlipModel, state: dict[str, Tensor], text: TextTowerConfig) -> None:
    """BERT's lower layers, its upper ones with fresh cross-attention, and what it writes with."""
    named: dict[str, Tensor] = {}
    for key, value in state.items():
        rest = key.removeprefix("bert.encoder.layer.")
        if rest != key:
            number, _, name = rest.partition(".")
            upper = int(number) - text.layers
            named[f"layers.{number}.{name}" if upper < 0 else f"fusion.{upper}.{name}"] = value
        elif key.startswith("bert.embeddings."):
            named[key.removeprefix("bert.")] = value
        elif key.startswith("cls.predictions.transform."):
            named[key.replace("cls.predictions.transform", "head")] = value
        elif key == "cls.predictions.bias":
            named["bias"] = value
    places = "embeddings.position_embeddings.weight"
    named[places] = named[places][: text.longest]
    found = model.text.load_state_dict(named, strict=False)
    wrong = [*found.unexpected_keys, *(key for key in found.missing_keys if "crossattention" not in key)]
    assert not wrong, wrong
