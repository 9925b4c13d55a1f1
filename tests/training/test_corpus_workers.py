"""Processes that cut blocks: one that dies costs its task, and no more tasks are taken than are needed."""

from process_tasks import begin

from fusar_gpt.errors import PriorError
from fusar_train.corpus.slices.workers import Died, in_processes


def test_a_process_that_is_killed_costs_its_task_and_no_other():
    lines = []
    tasks = [("do", 1), ("die", 0), ("do", 2), ("wrong", 0), ("memory", 0), ("do", 3)]
    came = dict((task, result) for task, result in in_processes(tasks, 2, begin, lines.append))
    assert len(came) == len(tasks)
    assert [came["do", number] for number in (1, 2, 3)] == [2, 4, 6]
    assert isinstance(came["die", 0], Died)
    assert "signal 9, perhaps out of memory" in came["die", 0].reason
    assert isinstance(came["wrong", 0], PriorError)
    assert "not enough memory" in came["memory", 0].reason
    assert sorted(lines) == ["did 1", "did 2", "did 3"]


def test_tasks_are_taken_as_they_are_needed():
    taken = []

    def tasks():
        for number in range(1000):
            taken.append(number)
            yield "do", number

    for count, _ in enumerate(in_processes(tasks(), 1, begin, lambda line: None), 1):
        assert len(taken) <= count + 3
        if count == 5:
            break
