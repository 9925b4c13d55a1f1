"""The text around an image and a question, as a checkpoint's chat template writes it."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import lru_cache
from typing import Any

from transformers import PreTrainedTokenizerBase

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model import template_process

_CPU_S = 5
_COMMAND = (sys.executable, "-I", template_process.__file__, str(_CPU_S))
_WAIT_S = 60.0  # of a clock on a busy machine; what counts is the processor's time
_LONGEST_TEMPLATE = 1 << 17


def render_chat(tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    """The tokenizer's chat template around one image and a text, up to where the answer begins.

    Raises CheckpointError for a template that fails, or that takes more time, memory or text than such a turn needs.
    """
    content = [{"type": "image"}, {"type": "text", "text": text}]
    values = {
        **{name: str(token) for name, token in tokenizer.special_tokens_map.items()},
        "messages": [{"role": "user", "content": content}],
        "tools": None,
        "documents": None,
        "add_generation_prompt": True,
    }
    try:
        template = tokenizer.get_chat_template()
    except ValueError as error:
        raise CheckpointError("the tokenizer has no chat template: get the checkpoint again") from error
    return _rendered(template, json.dumps(values))


@lru_cache(maxsize=64)
def _rendered(template: str, values: str) -> str:
    """The text, made in a process that ends when it takes too long; the same template is rendered once."""
    if len(template) > _LONGEST_TEMPLATE:
        raise _refusal(f"it has {len(template)} characters, more than {_LONGEST_TEMPLATE}")
    task = json.dumps({"template": template, "values": json.loads(values)})
    try:
        done = subprocess.run(
            _COMMAND,
            input=task,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=_WAIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _refusal(f"it does not end within {_CPU_S} s") from error
    if done.returncode:  # ended by the system
        raise _refusal(f"it takes more than {_COMMAND[-1]} s or too much memory")
    answer: dict[str, Any] = json.loads(done.stdout)
    if "problem" in answer:
        raise _refusal(answer["problem"])
    return str(answer["text"])


def _refusal(reason: str) -> CheckpointError:
    return CheckpointError(f"the chat template cannot be used ({reason}): get the checkpoint again")
