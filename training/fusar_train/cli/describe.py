"""``fusar-train corpus describe``: sub-texts for records, by a vision model or by templates."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fusar_train.cli.options import whole

if TYPE_CHECKING:
    from fusar_train.corpus.texts.cost import Prices
    from fusar_train.corpus.texts.describe import DescribeOptions, Description, Summary
    from fusar_train.corpus.texts.endpoint_options import EndpointOptions
    from fusar_train.corpus.texts.survey import Chosen, Survey

KEYS = {"targets": ("targets",), "terrain": ("terrain",), "both": ("targets", "terrain")}
_MOST_TOLD = 20
IMAGE_RULES = ("tiles", "patches", "patches-mini", "patches-nano", "qwen", "area")
"""As in ``corpus.texts.cost``."""


def add_describe_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds folder and options. Heavy imports wait until it runs."""
    parser.add_argument(
        "folder", type=Path, nargs="?", metavar="DIR", help="a corpus, or any folder of records"
    )
    parser.add_argument(
        "--describer",
        choices=["model", "template", "brief"],
        help="a vision model, or templates filled with what is known of each record, which ask nobody: sentences, or "
        "a few words in English (brief) and Chinese (brief-zh)",
    )
    parser.add_argument("--name", help="the texts go to DIR/texts/NAME.jsonl (default: the model's name)")
    parser.add_argument("--keys", choices=list(KEYS), default="both", help="default: %(default)s")
    parser.add_argument("--split", choices=["train", "val", "test"], help="describe only these records")
    parser.add_argument("--limit", type=whole, metavar="N", help="describe at most N records in this run")
    parser.add_argument(
        "--noise",
        type=float,
        metavar="SHARE",
        help="then plant wrong texts in a copy; what is wrong is kept apart",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the templates' words and of the noise (default 0)"
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="OUT",
        help="then write a page on the texts into this folder, all describers'",
    )

    asked = parser.add_argument_group(
        "a vision model; its key is read from FUSAR_API_KEY, else OPENAI_API_KEY"
    )
    asked.add_argument("--api-base", metavar="URL", help="of an OpenAI-compatible API: https://host/v1")
    asked.add_argument("--model", metavar="NAME", help="as the endpoint calls it")
    asked.add_argument(
        "--in-flight", type=whole, default=16, metavar="N", help="requests at a time (default 16)"
    )
    asked.add_argument(
        "--max-px", type=whole, default=1024, metavar="PX", help="longest side of a picture sent (1024)"
    )
    asked.add_argument(
        "--max-answer", type=whole, default=1000, metavar="N", help="tokens of an answer (1000)"
    )
    asked.add_argument("--temperature", type=float, help="default: the endpoint's")
    asked.add_argument("--timeout", type=float, default=120.0, metavar="S", help="of a request (default 120)")
    asked.add_argument(
        "--retries", type=int, default=6, metavar="N", help="when the endpoint is busy (default 6)"
    )
    asked.add_argument("--ask-again", action="store_true", help="ask once more for keys that an answer lacks")
    asked.add_argument("--templates", type=Path, metavar="DIR", help="prompts of your own")
    asked.add_argument(
        "--write-templates", type=Path, metavar="DIR", help="write the prompts there to edit, and end"
    )
    asked.add_argument("--insecure", action="store_true", help="allow http:// to another machine")

    costs = parser.add_argument_group("cost")
    costs.add_argument("--dry-run", action="store_true", help="say what would be sent and cost; send nothing")
    costs.add_argument("--price-in", type=float, metavar="P", help="of a million tokens sent")
    costs.add_argument("--price-out", type=float, metavar="P", help="of a million tokens answered")
    costs.add_argument("--max-cost", type=float, metavar="C", help="end before more is spent in this run")
    costs.add_argument(
        "--image-tokens", choices=IMAGE_RULES, help="how the model counts pictures (default: by its name)"
    )
    costs.add_argument("--yes", action="store_true", help="do not ask before the first request")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Writes the templates; or describes, plants noise and reports, whatever was asked for."""
    from fusar_train.corpus.errors import CorpusError

    if arguments.write_templates:
        from fusar_train.corpus.texts.prompts import write_templates

        print(*write_templates(arguments.write_templates), sep="\n")
        return
    if arguments.folder is None:
        raise CorpusError("Say which folder of records to describe.")
    name = arguments.name
    if arguments.describer in ("template", "brief"):
        name = _describe_by_template(arguments)
    elif arguments.describer or arguments.api_base or arguments.model or not _follows(arguments):
        name = _describe_by_model(arguments)
    if arguments.dry_run:
        return
    if arguments.noise is not None:
        from fusar_train.corpus.sidecars import describers
        from fusar_train.corpus.texts.noise import write_noise

        if name is None and len(known := describers(arguments.folder)) > 1:
            raise CorpusError(
                f"{arguments.folder} is described by {', '.join(known)}: name one of them with --name."
            )
        print(*write_noise(arguments.folder, name, arguments.noise, arguments.seed), sep="\n")
    if arguments.report:
        from fusar_train.corpus.texts.text_report import write_text_report

        print(*write_text_report(arguments.folder, (), arguments.report), sep="\n")


def _follows(arguments: argparse.Namespace) -> bool:
    """Whether something is to be done with texts that are there already."""
    return arguments.noise is not None or arguments.report is not None


def _describe_by_template(arguments: argparse.Namespace) -> str:
    """Describes all records; returns the describer's name."""
    from fusar_train.corpus.errors import CorpusError
    from fusar_train.corpus.texts.brief_words import LANGUAGES
    from fusar_train.corpus.texts.template import TemplateDescriber

    name: str = arguments.describer
    given = {"--split": arguments.split, "--limit": arguments.limit, "--api-base": arguments.api_base}
    given |= {"--model": arguments.model, "--dry-run": arguments.dry_run or None}
    given |= {"--name": None if arguments.name == name else arguments.name}
    if idle := [option for option, value in given.items() if value is not None]:
        raise CorpusError(
            f"Templates ask nobody and describe all records, as {name!r}: leave out {', '.join(idle)}."
        )
    for language in LANGUAGES if name == "brief" else (None,):
        describer = TemplateDescriber(arguments.seed, KEYS[arguments.keys], brief=language)
        path = describer.write(arguments.folder)
        _tell_bad(list(map(str, describer.errors)))
        counts = ", ".join(f"{number} by {keys}" for keys, number in describer.described.items()) or "nothing"
        silent = f"; nothing is known of {len(describer.silent)}" if describer.silent else ""
        print(f"described: {counts}{silent}", path, sep="\n")
    return name


def _describe_by_model(arguments: argparse.Namespace) -> str:
    """Asks a vision model; returns the describer's name."""
    from fusar_train.corpus.errors import CorpusError
    from fusar_train.corpus.texts.answer_cache import AnswerCache
    from fusar_train.corpus.texts.describe import Description
    from fusar_train.corpus.texts.endpoint import Endpoint
    from fusar_train.corpus.texts.prompts import Templates
    from fusar_train.corpus.texts.survey import Chosen, survey
    from fusar_train.corpus.texts.texts_file import TextsFile

    asked = _endpoint_options(arguments)
    options = _options(arguments)
    templates = Templates(arguments.templates)
    name = arguments.name or re.sub(r"[^\w.-]+", "-", asked.model).strip("-.")
    by = {"describer": name, "endpoint": asked.host, "model": asked.model, "templates": templates.digest}
    texts = TextsFile(arguments.folder, name)
    texts.refuse_others(by)
    chosen = Chosen(KEYS[arguments.keys], arguments.split, arguments.limit)
    found = survey(arguments.folder, chosen, texts.known, options.max_px)
    _tell_bad(found.bad)
    cache = AnswerCache(_tell)
    try:
        measured = cache.measured(asked.model, templates.digest)
        description = Description(Endpoint(asked, _tell), templates, texts, cache, options, by, measured)
        _announce(arguments, found, description)
        if not found.undone or arguments.dry_run:
            return name
        _confirm(arguments, asked)
        summary = _carried_out(arguments, chosen, found, description)
    finally:
        cache.close()
    if summary.ended:
        raise CorpusError(
            f"Ended early: {summary.ended.rstrip('.')}. {summary.described} are described and kept in {texts.path}; "
            "repeat the command to go on."
        )
    if without := len(summary.failed) + len(summary.refused) + len(found.bad):
        first = next(iter((*summary.failed.values(), *summary.refused.values(), *found.bad)))
        raise CorpusError(
            f"{without} have no texts, the first because: {first.rstrip('.')}. "
            f"{texts.path.with_suffix('.faults.txt')} lists all. Repeat the command to ask for them again."
        )
    return name


def _carried_out(
    arguments: argparse.Namespace, chosen: Chosen, found: Survey, description: Description
) -> Summary:
    from fusar_gpt.cli.terminal import progress_bar
    from fusar_train.corpus.texts.describe import describe

    with description.texts, progress_bar(len(found.undone), "slices", "described") as show:
        summary = describe(arguments.folder, chosen, found, description, show)
    for line in summary.lines(description.options.prices):
        print(line)
    if description.texts.known:
        print(description.texts.path)
    return summary


def _endpoint_options(arguments: argparse.Namespace) -> EndpointOptions:
    from fusar_train.corpus.errors import CorpusError
    from fusar_train.corpus.texts.endpoint_options import EndpointOptions

    if not arguments.api_base or not arguments.model:
        raise CorpusError(
            "Say whom to ask by --api-base https://host/v1 and --model NAME, or take --describer template, "
            "which asks nobody."
        )
    return EndpointOptions(
        api_base=arguments.api_base,
        model=arguments.model,
        max_answer=arguments.max_answer,
        temperature=arguments.temperature,
        retries=max(arguments.retries, 0),
        timeout_s=arguments.timeout,
        insecure=arguments.insecure,
    )


def _options(arguments: argparse.Namespace) -> DescribeOptions:
    from fusar_train.corpus.texts.cost import rule_of
    from fusar_train.corpus.texts.describe import DescribeOptions

    return DescribeOptions(
        in_flight=arguments.in_flight,
        max_px=arguments.max_px,
        ask_again=arguments.ask_again,
        rule=arguments.image_tokens or rule_of(arguments.model),
        prices=_prices(arguments),
        max_cost=arguments.max_cost,
    )


def _prices(arguments: argparse.Namespace) -> Prices | None:
    from fusar_train.corpus.errors import CorpusError
    from fusar_train.corpus.texts.cost import Prices

    prices = (arguments.price_in, arguments.price_out)
    if all(price is None for price in prices):
        if arguments.max_cost is not None:
            raise CorpusError(
                "--max-cost needs the prices of a million tokens: give --price-in and --price-out."
            )
        return None
    if any(price is None or not 0 <= price < float("inf") for price in prices):
        raise CorpusError("Give both --price-in and --price-out, of a million tokens, 0 or more.")
    return Prices(*prices)


def _announce(arguments: argparse.Namespace, found: Survey, description: Description) -> None:
    """Says what will be sent where, and what it costs, before anything is."""
    from fusar_train.corpus.texts.endpoint_options import key_variable

    asked, options = description.endpoint.options, description.options
    if found.described:
        _tell(f"{found.described} records are described in {description.texts.path} already.")
    requests = len(found.undone)
    if not requests:
        return
    whose = f"with the key in {key_variable()}" if key_variable() else "without a key"
    where = "on this machine" if asked.loopback else "over the network"
    _tell(
        f"{found.records} records, {requests} requests to {asked.host} ({where}, {whose}) for the model {asked.model}, "
        f"{options.in_flight} at a time."
    )
    _tell(
        f"Sent with each: the picture (JPEG of at most {options.max_px} px, without metadata), its coordinates, "
        "pixel size and scale, and the texts of the slice that holds it. No name, file, sensor or time is sent."
    )
    measured = description.measured
    tokens = found.tokens(description.templates, options.rule, measured)
    basis = (
        f"scaled to {measured.answers:,} answers that were counted"
        if measured.enough
        else f"by the formula {options.rule!r} for pictures; the first answers will tell better"
    )
    cost = f", cost {options.prices.of(tokens):.4g}" if options.prices else ""
    _tell(f"Estimate: {tokens.sent:,} tokens sent, {tokens.answered:,} answered{cost} ({basis}).")
    if arguments.dry_run:
        _tell("Nothing was sent.")


def _confirm(arguments: argparse.Namespace, asked: EndpointOptions) -> None:
    """Asks on a terminal; elsewhere --yes must say so before anything leaves this machine."""
    from fusar_train.corpus.errors import CorpusError

    if arguments.yes or asked.loopback:
        return
    if not sys.stdin.isatty():
        raise CorpusError(f"Nothing was sent to {asked.host}: add --yes to send without being asked.")
    print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CorpusError("Nothing was sent.")


def _tell_bad(errors: Sequence[str]) -> None:
    for error in errors[:_MOST_TOLD]:
        _tell(f"left out: {error}")
    if len(errors) > _MOST_TOLD:
        _tell(f"left out: {len(errors) - _MOST_TOLD} more")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
