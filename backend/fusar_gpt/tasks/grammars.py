"""Pieces of answer grammars that the prompt sets share, in the EBNF that xgrammar reads."""

from __future__ import annotations

COUNT = 'root ::= "0" | [1-9] [0-9]? [0-9]?\n'
"""A whole number from 0 to 999."""


def rising_cells(separator: str) -> str:
    """Rule ``from1``: cells 1..9 in rising order, each at most once, at least one."""
    rules = [f'from{n} ::= "{n}" ("{separator}" from{n + 1})? | from{n + 1}' for n in range(1, 9)]
    return "\n".join([*rules, 'from9 ::= "9"', ""])
