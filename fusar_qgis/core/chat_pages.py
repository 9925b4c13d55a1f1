"""Exports a conversation as one Markdown or HTML file with its pictures inside."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from html import escape

from .chat import Conversation, Turn
from .markdown import tamed, to_html

Words = Callable[[Turn], str]
"""Says in the analyst's language, in plain text, something about a turn."""

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 46em; margin: 2em auto; padding: 0 1em; color: #222 }
section { border-top: 1px solid #ccc; padding: .5em 0 1em }
h2 { font-size: 1.1em } p { margin: .3em 0 } img { max-width: 100%; border: 1px solid #999; margin: .5em 0 }
small { color: #666 } pre, code { background: #f2f2f2 } .failed { color: #b00 }
"""


def to_page(conversation: Conversation, title: str, about: Words, caption: Words) -> str:
    """Return an HTML page; ``about`` says where a question was asked, ``caption`` what made the answer."""
    sections = [_section(turn, about(turn), caption(turn)) for turn in conversation.turns]
    return (
        '<!DOCTYPE html>\n<html><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n{chr(10).join(sections)}\n</body></html>\n"
    )


def to_markdown(conversation: Conversation, title: str, about: Words, caption: Words) -> str:
    """Return Markdown; the answers keep theirs, but no HTML, link or image of a model takes effect."""
    parts = [f"# {_line(title)}"]
    for turn in conversation.turns:
        parts += [f"## {_line(turn.question)}", f"*{_line(about(turn))}*"]
        parts += [f"![]({_data_uri(picture)})" for picture in (turn.picture, turn.chip) if picture]
        # Two spaces at a line's end keep the break.
        answer = re.sub(r"(?<=\S)\n(?=\S)", "  \n", tamed(turn.answer).strip())
        parts += [answer, _line(turn.problem), _line(caption(turn))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(turn: Turn, about: str, caption: str) -> str:
    pictures = " ".join(f'<img alt="" src="{_data_uri(one)}">' for one in (turn.picture, turn.chip) if one)
    problem = f'<p class="failed">{escape(turn.problem)}</p>' if turn.problem else ""
    return (
        f"<section><h2>{escape(turn.question)}</h2><p><small>{escape(about)}</small></p>{pictures}"
        f"{to_html(turn.answer)}{problem}<p><small>{escape(caption)}</small></p></section>"
    )


def _line(text: str) -> str:
    """One line of plain text that Markdown takes for nothing else."""
    return re.sub(r"([\\`*_#~|])", r"\\\1", tamed(" ".join(text.split())))


def _data_uri(picture: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(picture).decode('ascii')}"
