"""Renders a chat template in a process of its own; run as a script with the task as JSON on the standard input.

A template is a program of whoever made the checkpoint: the sandbox keeps it from everything but loops and long texts.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

MEMORY = 1 << 30
LONGEST = 1 << 16
"""The most characters that a template may make of an image and one character."""


class _Generation(Extension):
    """Transformers' block ``generation``, which only marks what it holds."""

    tags = {"generation"}  # noqa: RUF012 - as jinja2 declares it

    def parse(self, parser: Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _limit(cpu_s: int) -> None:
    try:
        import resource
    except ImportError:  # Windows: the time limit of the parent remains
        return
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _fail(message: str) -> None:
    raise jinja2.TemplateError(message)


def _tojson(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def render(template: str, values: dict[str, Any]) -> str:
    """The template's text, in the environment that transformers renders chat templates in."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _fail
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    text = environment.from_string(template).render(**values)
    if len(text) > LONGEST:
        raise ValueError(f"it makes {len(text)} characters, more than {LONGEST}")
    return text


if __name__ == "__main__":
    _limit(int(sys.argv[-1]))
    task = json.load(sys.stdin)
    try:
        answer = {"text": render(task["template"], task["values"])}
    except MemoryError:
        answer = {"problem": f"it takes more than {MEMORY >> 20} MiB of memory"}
    except Exception as error:  # noqa: BLE001 - whatever a stranger's program raises
        answer = {"problem": " ".join(f"{type(error).__name__}: {error}".split())[:200]}
    json.dump(answer, sys.stdout)
