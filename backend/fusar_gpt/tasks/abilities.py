"""What a checkpoint can be asked, and the sentence that says so where it is asked for something else."""

# ruff: noqa: RUF001 - Chinese has its own punctuation

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from fusar_gpt.contract import SEARCHES, Task
from fusar_gpt.errors import CheckpointError, TaskError
from fusar_gpt.tasks.definitions import prompt_set
from fusar_gpt.tasks.questions import Intent, is_chinese, plain_words, understand
from fusar_gpt.tasks.vocabulary import Vocabulary, chinese_name, plural

_ENGLISH = {Task.COUNT: "count", Task.LOCATE: "locate", Task.DETECT: "detect", Task.CLASSIFY: "classify marked objects",
            Task.DESCRIBE: "describe the area", Task.ASK: "answer questions in words"}  # fmt: skip
_CHINESE = {Task.COUNT: "计数", Task.LOCATE: "格网定位", Task.DETECT: "检测", Task.CLASSIFY: "给框出的目标分类",
            Task.DESCRIBE: "描述区域", Task.ASK: "用文字回答问题"}  # fmt: skip


@dataclass(frozen=True)
class Abilities:
    """What a checkpoint can be asked.

    Attributes:
        tasks: The tasks; ``ask`` is among them where it answers any question in words.
        targets: The classes that it knows; empty for one that takes any.
        questions: The questions in words that it answers even if it answers no others.
    """

    tasks: tuple[Task, ...]
    targets: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()

    @classmethod
    def claimed(
        cls,
        prompts: str,
        targets: Iterable[str] | None,
        tasks: Iterable[str] | None,
        free_questions: bool | None,
        taught_questions: Iterable[str] | None,
    ) -> Abilities:
        """What a card claims; where it says nothing, all that its prompt set has words for.

        Raises:
            CheckpointError: It claims a task that its prompt set has no words for.
            TaskError: There is no such prompt set.
        """
        worded = prompt_set(prompts).tasks
        for name in tasks or ():
            if Task(name) not in worded:
                raise CheckpointError(
                    f"the checkpoint's card claims the task {name}, for which its prompt set {prompts} has no words: "
                    "get the checkpoint again, or take the task off its card"
                )
        known = [task for task in worded if task is not Task.ASK and (tasks is None or task.value in tasks)]
        free = free_questions is not False and Task.ASK in worded
        return cls(
            (*known, *([Task.ASK] if free else [])), tuple(targets or ()), tuple(taught_questions or ())
        )

    @property
    def in_words(self) -> Task | None:
        """The task that says in words what an area is: to describe it, else to answer the question."""
        return next((task for task in (Task.DESCRIBE, Task.ASK) if task in self.tasks), None)

    def intent(self, messages: Sequence[str]) -> Intent:
        """What the last of an analyst's messages asks for, as far as it can be asked.

        Raises:
            TaskError: It cannot: the message says in the analyst's language what can.
        """
        text, chinese = messages[-1], is_chinese(messages[-1])
        intent = understand(messages, Vocabulary(self.targets))
        unknown = [target for target in intent.targets if self.targets and target not in self.targets]
        taught = {_bare(question): question for question in self.questions}
        if (unknown or intent.task is Task.ASK) and (question := taught.get(_bare(text))):
            return Intent(Task.ASK, text=question)
        needed = {Task.DETECT, intent.task} if intent.pick is not None else {intent.task}
        if unknown:
            raise TaskError(self.refusal(chinese, target=unknown[0]))
        if needed <= {*self.tasks} or (intent.task is Task.CLASSIFY and self.in_words):
            return intent
        if Task.ASK in self.tasks:
            return replace(intent, task=Task.ASK, targets=(), pick=None)
        raise TaskError(self.refusal(chinese, None if intent.task is Task.ASK else intent.task))

    def refusal(self, chinese: bool, task: Task | None = None, target: str | None = None) -> str:
        """The sentence that refuses a task, a target or else a question, and says what can be asked."""
        if chinese:
            what = (
                f"“{chinese_name(target)}”这一类别" if target else _CHINESE[task] if task else "回答这个问题"
            )
            return f"该模型没有学过{what}；可以让它{'，或'.join(self._offers(chinese=True))}。"
        what = f"the class {target}" if target else f"to {_ENGLISH[task] if task else 'answer that question'}"
        return f"this model was not taught {what}; it can be asked to {', or to '.join(self._offers(chinese=False))}"

    def _offers(self, *, chinese: bool) -> list[str]:
        """What can be asked, one piece for the tasks that look for classes and one for each other."""
        names = _CHINESE if chinese else _ENGLISH
        searches = [names[task] for task in self.tasks if task in SEARCHES]
        offers = [names[task] for task in self.tasks if task not in SEARCHES]
        if chinese:
            classes = "、".join(map(chinese_name, self.targets)) or "任何类别的目标"
            offers = [f"对{classes}进行{'、'.join(searches)}", *offers] if searches else offers
            return (
                [*offers, f"回答{''.join(f'“{one}”' for one in self.questions)}"]
                if self.questions
                else offers
            )
        classes = listed(map(plural, self.targets)) or "objects of any class"
        offers = [f"{listed(searches, 'or')} {classes}", *offers] if searches else offers
        quoted = (f'"{one}"' for one in self.questions)
        return [*offers, f"answer {listed(quoted, 'or')}"] if self.questions else offers


def _bare(text: str) -> str:
    """The words of a text without punctuation."""
    return re.sub(r"\W+", " ", plain_words(text)).strip()


def understood(task: Task, targets: Sequence[str], chinese: bool) -> str:
    """What a question was taken for, in the analyst's language."""
    if chinese:
        named = "、".join(map(chinese_name, targets))
        return f"{_CHINESE[task]}{f'（{named}）' if named else ''}"
    return " ".join(filter(None, (_ENGLISH[task], listed(map(plural, targets)))))


def listed(words: Iterable[str], last: str = "and") -> str:
    """Words joined by commas, the last by a word of its own."""
    *most, end = [*words] or [""]
    return f"{', '.join(most)} {last} {end}" if most else end
