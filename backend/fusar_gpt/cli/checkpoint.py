"""``fusar checkpoint``: import, fetch, list, show, export and remove models. Light to import: no model code."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fusar_gpt.model.folder import Card
    from fusar_gpt.model.klip_card import KlipCard
    from fusar_gpt.model.store import Entry


_NOT_SAID = ("tasks", "free_questions", "sensors", "pixel_m", "chip_m")  # where a card holds nothing
_OF_TRAINING = ("data", "texts", "records", "simulated", "steps")  # of a FUSAR-KLIP, in words


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommands of ``fusar checkpoint``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    add_import(actions.add_parser("import", help="make a checkpoint of a folder as the authors release it"))
    add_pull(actions.add_parser("pull", help="download the authors' release and its base"))

    export = actions.add_parser("export", help="write a checkpoint whole, with its base's weights")
    export.add_argument("checkpoint", metavar="NAME|DIR")
    export.add_argument("--out", type=Path, required=True, metavar="DIR")
    export.add_argument(
        "--format",
        choices=["fusar", "vllm"],
        default="fusar",
        help="vllm: its language model as a stock Qwen2.5-VL, for --engine vllm; default: %(default)s",
    )
    export.set_defaults(run=run_export)

    listing = actions.add_parser("list", help="the checkpoints that can be loaded by name")
    listing.add_argument("--json", action="store_true", help="print one JSON array")
    listing.set_defaults(run=run_list)

    show = actions.add_parser("show", help="one checkpoint's card, hash and settings, its files checked")
    show.add_argument("checkpoint", metavar="NAME|DIR")
    show.add_argument(
        "--verify", action="store_true", help="compare every byte of the base with the import's"
    )
    show.add_argument("--json", action="store_true", help="print one JSON object")
    show.set_defaults(run=run_show)

    remove = actions.add_parser("remove", help="delete a checkpoint from the store, never its base")
    remove.add_argument("name", metavar="NAME")
    remove.add_argument("--yes", action="store_true", help="do it; without, only say what would be deleted")
    remove.set_defaults(run=run_remove)


def add_import(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``fusar checkpoint import``."""
    parser.add_argument("source", type=Path, metavar="SRC", help="the released folder")
    parser.add_argument(
        "--base", required=True, metavar="DIR|HUB_ID", help="the Qwen2.5-VL it was trained on"
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--out", type=Path, metavar="DIR", help="the folder to write")
    where.add_argument("--name", help="the name in the store to write to")
    add_stage(parser)
    parser.add_argument("--sigma", type=float, help="of TLM, where SRC has one and no tlm_config.json")
    parser.set_defaults(run=run_import)


def add_pull(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``fusar checkpoint pull``."""
    parser.add_argument("repo", nargs="?", metavar="REPO_ID", help="default: the authors' kkcyy/FUSAR-GPT")
    parser.add_argument(
        "--base",
        metavar="BASE_ID",
        help="the Qwen2.5-VL it was trained on; default: Qwen/Qwen2.5-VL-7B-Instruct",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--subfolder", help="of the repository; default for the authors': stage2/detection")
    add_stage(where)
    parser.add_argument(
        "--sigma", type=float, help="of TLM, where there is no tlm_config.json; the authors': 2"
    )
    parser.add_argument(
        "--name", help="in the store; default: the repository's name, and the stage's if given"
    )
    parser.set_defaults(run=run_pull)


def add_stage(parser: argparse._ActionsContainer) -> None:
    """Which of the authors' two adapters."""
    parser.add_argument(
        "--stage", choices=["stage1", "stage2"], help="stage1 describes and answers in words, stage2 detects"
    )


def run_import(args: argparse.Namespace) -> int:
    """``fusar checkpoint import``."""
    from fusar_gpt.model.released import import_release
    from fusar_gpt.model.store import new_folder

    out = args.out or new_folder(args.name)
    import_release(
        args.source, args.base, out, stage=args.stage, sigma=args.sigma, name=args.name, report=say
    )
    print(f"written: {out}")
    return 0


def run_pull(args: argparse.Namespace) -> int:
    """``fusar checkpoint pull``."""
    from fusar_gpt.model.released import pull
    from fusar_gpt.model.store import store_folder

    given = {
        key: value
        for key in ("repo", "base", "subfolder", "stage", "sigma", "name")
        if (value := getattr(args, key)) is not None
    }
    card = pull(**given, report=say)
    print(f"written: {store_folder() / card.name}")
    return 0


def run_export(args: argparse.Namespace) -> int:
    """``fusar checkpoint export``."""
    if args.format == "vllm":
        return export_for_vllm(args)
    from fusar_gpt.model.checkpoint import export_checkpoint

    export_checkpoint(args.checkpoint, args.out)
    print(f"written: {args.out}")
    return 0


def export_for_vllm(args: argparse.Namespace) -> int:
    """``fusar checkpoint export --format vllm``; prints the command that serves the folder."""
    from fusar_gpt.model.export_vllm import export_language_model

    exported = export_language_model(args.checkpoint, args.out)
    if exported.blank_vision:
        say("note: its vision tower has a stem, which no stock Qwen2.5-VL has; the folder's own sees nothing")
    print(f"written: {args.out}")
    print(f"serve: {exported.command}")
    return 0


def run_list(args: argparse.Namespace) -> int:
    """``fusar checkpoint list``."""
    from fusar_gpt.model.hub import in_words
    from fusar_gpt.model.store import FUSAR_KLIP, entries

    found = entries()
    if args.json:
        print(json.dumps([_as_json(entry) for entry in found], indent=2))
        return 0
    width = max(len(entry.name) for entry in found)
    for entry in found:
        title = entry.card.title if entry.card else f"cannot be loaded: {entry.problem}"
        kind = "; compares images with texts, cannot interpret" if entry.kind == FUSAR_KLIP else ""
        flag = ", demonstration only" if entry.card and entry.card.demonstration else ""
        print(f"{entry.name:{width}}  {title} ({in_words(entry.size)}{flag}{kind})")
        print(f"{'':{width}}  {entry.folder}")
    return 0


def run_show(args: argparse.Namespace) -> int:
    """``fusar checkpoint show``."""
    from fusar_gpt.model.klip_card import KlipCard
    from fusar_gpt.model.store import find_folder, read_card

    folder = find_folder(args.checkpoint)
    card = read_card(folder)
    if isinstance(card, KlipCard):
        shown = _of_klip(folder, card)
        texts = {} if args.json else _klip_in_words(shown)
    else:
        shown = _of_fusar_gpt(folder, card, verify=args.verify)
        texts = {} if args.json else _fusar_gpt_in_words(shown, card)
    if args.json:
        print(json.dumps(shown, indent=2))
    for key, text in texts.items():
        print(f"{key.replace('_', ' '):14} {text}")
    return 0


def run_remove(args: argparse.Namespace) -> int:
    """``fusar checkpoint remove``."""
    from fusar_gpt.model.store import remove

    folder = remove(args.name, really=args.yes)
    print(f"removed: {folder}")
    return 0


def say(line: str) -> None:
    """A line for the person at the terminal."""
    print(f"fusar: {line}", file=sys.stderr, flush=True)


def _of_fusar_gpt(folder: Path, card: Card, *, verify: bool) -> dict[str, Any]:
    """What ``show`` says of a FUSAR-GPT; CheckpointError when a file or, to ``verify``, its base is not the card's."""
    from fusar_gpt.model.base import check_digests, reopen_base
    from fusar_gpt.model.checkpoint import read_config
    from fusar_gpt.model.folder import digest
    from fusar_gpt.model.store import FUSAR_GPT, size_of

    shown: dict[str, Any] = {
        "kind": FUSAR_GPT,
        **_described(card),
        "tlm": read_config(folder).tlm if card.uses_prior else None,
        "folder": str(folder),
        "size": size_of(folder),
        "hash": digest(folder, card),
    }
    if card.base is not None:
        shown["base_size"] = sum(card.base_sizes.values())
        if verify:
            check_digests(reopen_base(card), card)
            shown["base_verified"] = True
    return shown


def _fusar_gpt_in_words(shown: dict[str, Any], card: Card) -> dict[str, str]:
    from fusar_gpt.model.hub import in_words

    known = card.calibration.tasks if card.calibration else {}
    shown["calibration"] = {
        task: f"ECE {one.ece:.2f} on {one.images} images" for task, one in known.items()
    } or "none"
    texts = {}
    for key, value in shown.items():
        text = in_words(value) if key in ("size", "base_size") else _in_words(value)
        if value is None and key in _NOT_SAID:
            text = "not known"
        elif value == [] and key == "targets":
            text = "any"
        texts[key] = text
    return texts


def _of_klip(folder: Path, card: KlipCard) -> dict[str, Any]:
    """What ``show`` says of a FUSAR-KLIP; CheckpointError when a file is not the card's."""
    from fusar_gpt.model.store import FUSAR_KLIP, size_of
    from fusar_gpt.retrieval.folder import read_config

    card.check_files(folder)
    config = read_config(folder)
    return {
        "kind": FUSAR_KLIP,
        **{key: value for key, value in asdict(card).items() if key != "digests"},
        "image_px": config.image.image_px,
        "longest_text": config.text.longest,
        "vector": config.embedding,
        "folder": str(folder),
        "size": size_of(folder),
        "hash": card.hash,
    }


def _klip_in_words(shown: dict[str, Any]) -> dict[str, str]:
    """The same for a person: of the facts their number, of the training what it was made of."""
    from fusar_gpt.model.hub import in_words

    made = {key: value for key in _OF_TRAINING if (value := shown["training"].get(key)) is not None}
    known = {key: len(facts) for key, facts in shown["facts"].items()}
    words = shown["words"]
    told = {
        "words": f"{len(words)}, such as {', '.join(words[:12])} (--json tells them)"
        if words
        else "not known",
        "kind": f"{shown['kind']}: compares images with texts and writes texts; it cannot interpret a scene",
        "with_keys": f"{shown['with_keys']:.0%} of its texts were told as 'Key: text'",
        "pixel_m": _in_words(shown["pixel_m"]) if shown["pixel_m"] else "not known",
        "sensors": _in_words(shown["sensors"]) if shown["sensors"] else "not known",
        "facts": f"{_in_words(known)} (--json tells them)" if known else "not known",
        "figures": "".join(f"\n  {name}: {_headline(value)}" for name, value in shown["figures"].items())
        or "none measured",
        "training": _in_words(made) if made else "not known",
        "longest_text": f"{shown['longest_text']} tokens",
        "vector": f"{shown['vector']} numbers an image or text",
        "size": in_words(shown["size"]),
    }
    return {key: told.get(key) or _in_words(value) for key, value in shown.items()}


def _described(card: Card) -> dict[str, Any]:
    """The card without its long lists of digests."""
    hidden = ("digests", "base_digests", "base_sizes")
    return {key: value for key, value in asdict(card).items() if key not in hidden}


def _as_json(entry: Entry) -> dict[str, Any]:
    card = entry.card
    return {
        "name": entry.name,
        "kind": entry.kind,
        "title": card.title if card else None,
        "size": entry.size,
        "folder": str(entry.folder),
        "bundled": entry.bundled,
        "demonstration": card.demonstration if card else None,
        "base": getattr(card, "base", None),
        "problem": entry.problem,
    }


def _headline(table: Any) -> str:
    """A figure of a card, or of a table the line of its mean, else its first."""
    if not isinstance(table, dict) or len(table) < 2:
        return _in_words(table)
    name = next((name for name in table if name.startswith("mean")), next(iter(table)))
    return f"{name} {table[name]} ({len(table) - 1} more lines: --json tells them)"


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_in_words(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(_in_words, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
