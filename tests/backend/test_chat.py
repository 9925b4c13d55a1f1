"""What is said about an area of a scene: counts, detections, cells, classes and free text, with their findings."""

# ruff: noqa: RUF001 - Chinese has its own punctuation

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from chat_client import (
    BESIDE_SECOND,
    NEAR_FIRST,
    WORDS,
    ChatClient,
    chat_at,
    features,
    meant,
    outline,
    text_of,
    words_of,
)
from openai import OpenAI
from test_interpret import TRUTH, ThresholdEngine

SAMPLES = Path(__file__).parents[2] / "backend" / "fusar_gpt" / "samples"


def test_a_count_says_what_was_counted_and_checks_itself(chat: ChatClient) -> None:
    completion = chat.ask("count the ships here", area=NEAR_FIRST)
    assert completion.object == "chat.completion"
    assert completion.id.startswith("chatcmpl-")
    assert completion.choices[0].finish_reason == "stop"
    assert completion.choices[0].message.role == "assistant"
    assert text_of(completion) == (
        "1 ship.\nSelf-check: count and detections agree.\n\n"
        "Understood as: count ships.\nModel: threshold (demonstration only). Prior: none."
    )
    usage = completion.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.completion_tokens > 0
    assert completion.fusar["run"]["task"] == "count"
    assert completion.fusar["understood"] == "count ship"
    assert completion.fusar["run"]["prior"] == "none"
    check = completion.fusar["self_check"]
    assert check["agree"] is True
    assert check["targets"] == {"ship": {"counted": 1, "detected": 1, "agree": True}}
    assert check["run"]["task"] == "detect"
    (row,), (ship,) = features(completion, "answers"), features(completion, "detections")
    assert row["properties"]["count"] == 1
    assert ship["geometry"]["type"] == "Polygon"
    assert ship["scene_crs"] == "EPSG:32631"
    said = meant(completion)
    assert said[row["id"]] == ["1 ship"]
    assert said[ship["id"]] == ["Self-check: count and detections agree."]


def test_a_count_that_the_detections_contradict_says_so(chat: ChatClient) -> None:
    completion = chat.ask("how many ships?", area=BESIDE_SECOND)
    assert "Self-check: 1 ship counted, but 0 ships detected in the same area." in text_of(completion)
    assert "They disagree" in text_of(completion)
    assert completion.fusar["self_check"]["agree"] is False
    calm = chat.ask("how many ships?", area=BESIDE_SECOND, fusar={"self_check": False})
    assert calm.fusar["self_check"] is None
    assert words_of(calm) == "1 ship."


def test_every_chip_of_a_large_area_has_its_say(chat: ChatClient) -> None:
    completion = chat.ask("how many ships?")
    lines = words_of(completion).splitlines()
    answers = [row["properties"] for row in features(completion, "answers")]
    chips = [row for row in answers if "chip" in row]
    assert len(chips) > 1
    assert all(line.startswith("Chip ") and f" of {len(chips)}: " in line for line in lines[:-2])
    assert sum(int(line.split(": ")[1].split()[0]) for line in lines[:-2]) == sum(
        row["count"] for row in chips
    )
    (area,) = [row for row in answers if "chip" not in row]
    ships = features(completion, "detections")
    assert area["count"] == len(ships) == len(TRUTH)
    assert lines[-2].startswith(
        f"In all: {len(TRUTH)} ships, by detections that were merged where chips overlap;"
    )
    assert all(f"{len(TRUTH)} ships" in meant(completion)[ship["id"]] for ship in ships)
    assert {row["understood"] for row in answers} == {"count ship"}


def test_a_count_of_a_large_area_is_checked_chip_by_chip_against_its_detections(chat: ChatClient) -> None:
    agreed = chat.ask("how many ships?")
    assert words_of(agreed).splitlines()[-1] == "Self-check: count and detections agree."
    ship = {"counted": len(TRUTH), "detected": len(TRUTH), "agree": True, "agreement": 1.0}
    assert agreed.fusar["self_check"] == {"agree": True, "targets": {"ship": ship}, "run": None}
    chat.engine.miscounts = 1
    apart = chat.ask("where are the ships?", area=[1, 1, 219, 159])
    chips = [row for row in features(apart, "answers") if "chip" in row["properties"]]
    assert f"Self-check: in {len(chips)} of {len(chips)} chips the model's own count of ships" in words_of(
        apart
    )
    check = apart.fusar["self_check"]["targets"]["ship"]
    assert (check["counted"], check["detected"], check["agreement"]) == (len(TRUTH), len(TRUTH), 0)
    assert len(features(apart, "detections")) == len(TRUTH), "what both runs detect is kept once"


def test_what_was_not_taught_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught = "it can be asked to count, locate or detect ships"
    monkeypatch.setattr(ThresholdEngine, "card", replace(ThresholdEngine.card, free_questions=False))
    with chat_at(tmp_path) as chat:
        for question, said in (
            ("how many ships are moored?", f"This model was not taught to answer that question; {taught}"),
            ("哪艘船是油轮", "该模型没有学过回答这个问题；可以让它对舰船进行计数"),
            ("how many tanks?", f"This model was not taught the class tank; {taught}"),
        ):
            completion = chat.ask(question, area=NEAR_FIRST)
            assert text_of(completion).startswith(said)
            assert chat.engine.asked == 0
            assert completion.fusar["run"] is None


def test_detections_are_listed_and_each_line_means_its_finding(chat: ChatClient) -> None:
    completion = chat.ask("Where are the ships?")
    ships = features(completion, "detections")
    assert len(ships) == len(TRUTH)
    said = meant(completion)
    for number, ship in enumerate(ships, 1):
        line = next(words for words in said[ship["id"]] if words.startswith(f"{number}. "))
        p = ship["properties"]
        assert line == (
            f"{number}. ship at {p['lat']:.5f}° N, {p['lon']:.5f}° E, "
            f"{p['length_m']:.0f} x {p['width_m']:.0f} m"
        )
    assert "4 ships detected:" in text_of(completion)


def test_follow_ups_speak_of_the_same_findings(chat: ChatClient) -> None:
    first = chat.ask("find the ships", area=NEAR_FIRST)
    asked = chat.engine.asked
    again = chat.ask("find the ships", text_of(first), "what is the first one?", area=NEAR_FIRST)
    assert chat.engine.asked == asked + 1  # the classification alone
    (before,) = features(first, "detections")
    (after,) = features(again, "detections")
    assert before["id"] == after["id"]
    assert words_of(again).startswith("No. 1, at ")
    assert words_of(again).endswith("is taken for: ship.")
    assert meant(again)[after["id"]] == [words_of(again)]
    where = chat.ask("how many ships?", "1 ship.", "where are they?", area=NEAR_FIRST)
    assert features(where, "detections")[0]["id"] == before["id"]
    none = chat.ask("find the ships", "...", "what is the second one?", area=NEAR_FIRST)
    assert words_of(none) == "Only 1 detected here."
    size = chat.ask("find the ships", "...", "how long is the largest one?")
    longest = max(features(size, "detections"), key=lambda ship: ship["properties"]["length_m"])
    assert list(meant(size)) == [longest["id"]]


def test_cells_that_hold_something(chat: ChatClient) -> None:
    completion = chat.ask("which cells hold ships?", area=NEAR_FIRST)
    hits = [cell for cell in features(completion, "grid") if cell["properties"]["hit"]]
    (hit,) = hits
    cell = hit["properties"]["cell"]
    assert words_of(completion) == (
        f"Cells with ships: {cell}.\nCells are numbered 1 to 9, row by row from the top left."
    )
    assert meant(completion) == {hit["id"]: [f"Cells with ships: {cell}."]}
    nothing = chat.ask("which cells hold ships?", area=[150, 10, 170, 30])
    assert words_of(nothing).splitlines()[0] == "No cell holds ships."
    many = chat.ask("which cells hold ships?")
    hits = [cell for cell in features(many, "grid") if cell["properties"]["hit"]]
    assert f"Cells with ships in all: {len(hits)}." in words_of(many)


def test_a_small_area_or_a_box_is_one_object_and_a_large_one_is_described(chat: ChatClient) -> None:
    small = chat.ask("what is this?", area=[19, 29, 35, 39])
    assert words_of(small) == "The model takes it for: ship."
    assert small.fusar["run"]["task"] == "classify"
    box = {"type": "Feature", "geometry": outline(19, 29, 35, 39)}
    boxes = {"boxes": {"type": "FeatureCollection", "features": [box, box]}}
    assert words_of(chat.ask("what are these?", fusar=boxes)).count("ship") == 2
    large = chat.ask("what is this?", area=NEAR_FIRST)
    assert large.fusar["run"]["task"] == "describe"
    assert words_of(large) == WORDS.strip()
    (row,) = features(large, "answers")
    assert meant(large)[row["id"]] == [WORDS.strip()]


def test_a_free_question_takes_the_conversation_and_the_callers_settings_along(chat: ChatClient) -> None:
    options = {"temperature": 0.5, "seed": 7, "max_completion_tokens": 3}
    completion = chat.ask("is it busy?", "quite", "why?", area=NEAR_FIRST, **options)
    assert chat.engine.prompts[-1] == "ask user: is it busy? assistant: quite user: why?"
    assert (chat.engine.last.temperature, chat.engine.last.seed, chat.engine.last.max_tokens) == (0.5, 7, 3)
    assert completion.choices[0].finish_reason == "length"
    assert completion.usage.completion_tokens == 3
    chat.ask("count the ships", area=[11, 20, 60, 60], **options)
    assert (chat.engine.last.temperature, chat.engine.last.max_tokens > 3) == (0.0, True)


def test_chinese_is_answered_in_chinese(chat: ChatClient) -> None:
    completion = chat.ask("这里有多少艘船？", "1 艘舰船。", "它们在哪里？", area=NEAR_FIRST)
    (ship,) = features(completion, "detections")
    line = next(iter(meant(completion)[ship["id"]]))
    assert line.startswith("1. 舰船，位于 ")
    assert "自检：计数与检测一致。" in text_of(completion)
    assert text_of(completion).endswith("理解为：检测（舰船）。\n模型：threshold（仅供演示）。先验：无。")
    tanks = chat.ask("有多少坦克？", area=NEAR_FIRST)
    assert text_of(tanks).startswith("该模型没有学过“坦克”这一类别；可以让它对舰船进行计数、")
    assert tanks.fusar == {
        "run": None,
        "findings": {"type": "FeatureCollection", "features": []},
        "self_check": None,
        "chips": [],
        "understood": None,
    }


def test_the_bundled_model_talks_about_the_bundled_scene(tmp_path: Path) -> None:
    ring = [[3.0105, 55.0318], [3.0160, 55.0318], [3.0160, 55.0372], [3.0105, 55.0372], [3.0105, 55.0318]]
    command = [sys.executable, "-c", "import sys; from fusar_gpt.cli import main; sys.exit(main())", "serve"]
    command += ["--child", "--root", str(SAMPLES), "--state", str(tmp_path), "--device", "cpu"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as child:
        ready = json.loads(child.stdout.readline())
        with OpenAI(base_url=f"{ready['url']}/v1", api_key=ready["token"], timeout=300) as client:
            fusar = {
                "scene": str(SAMPLES / "harbour_simulated.tif"),
                "area": {"type": "Polygon", "coordinates": [ring]},
            }
            completion = client.chat.completions.create(
                model=client.models.list().data[0].id,
                messages=[{"role": "user", "content": "How many ships are here?"}],
                extra_body={"fusar": fusar | {"prior": str(SAMPLES / "harbour_simulated_prior.tif")}},
            )
        child.stdin.close()
        assert child.wait(30) == 0
    assert set(completion.fusar["self_check"]["targets"]) == {"ship"}
    assert features(completion, "detections")
    assert "(demonstration only)" in text_of(completion)
    assert "The scene is simulated." in text_of(completion)
    assert "Prior: none" not in text_of(completion)
