"""Slices described by a vision model: a loopback endpoint that behaves well, badly, or not at all."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from email.utils import formatdate

import numpy as np
import pyarrow as pa
import pytest
from corpus_samples import record, ship, speckle
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet
from vision_endpoint import EIGHT, Reply, VisionEndpoint, all_keys, completion, error

from fusar_train.cli import main
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.records import read_records, write_records
from fusar_train.corpus.sidecars import read_texts
from fusar_train.corpus.texts.answer_cache import AnswerCache
from fusar_train.corpus.texts.cost import IMAGE_RULES, rule_of, text_tokens
from fusar_train.corpus.texts.endpoint import retry_after
from fusar_train.corpus.texts.endpoint_options import EndpointOptions
from fusar_train.corpus.texts.prompts import SliceFacts, Templates
from fusar_train.corpus.texts.schedule import Schedule

KEY = "sk-verysecret123"
FOOTPRINT = [[179.99, 51.9], [180.01, 51.9], [180.01, 51.92], [179.99, 51.92], [179.99, 51.9]]
LARGE, MEDIUM, SMALL = "set/large", "set/medium", "set/small"


@pytest.fixture(autouse=True)
def own_cache_and_key(tmp_path, monkeypatch):
    monkeypatch.setenv("FUSAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FUSAR_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def slice_record(folder, scale, parent=None, seed=0, **more):
    more = {"pixel_m": 2.0, "footprint": FOOTPRINT, "sensor": "Secretsat-1", "acquired": "2019-05-05", **more}
    pixels = speckle(seed, (64, 96))
    return record(folder / "made", scale, pixels=pixels, scene="secretscene", scale=scale.rstrip("0123456789"),
                  parent=parent, **more)  # fmt: skip


@pytest.fixture
def corpus(tmp_path):
    """A large slice with a medium one with a small one; the smallest comes first."""
    made = [("small", MEDIUM), ("medium", LARGE), ("large", None)]
    write_records((slice_record(tmp_path, s, p, i) for i, (s, p) in enumerate(made)), tmp_path / "corpus")
    return tmp_path / "corpus"


@pytest.fixture
def many(tmp_path):
    """Forty slices without parents."""
    records = (slice_record(tmp_path, f"small{number}", seed=number) for number in range(40))
    write_records(records, tmp_path / "many")
    return tmp_path / "many"


def command(folder, endpoint, *options, keys="targets"):
    url = endpoint if isinstance(endpoint, str) else endpoint.url
    return ["corpus", "describe", str(folder), "--api-base", url, "--model", "m", "--keys", keys, *options]


def texts(folder, name="m"):
    path = folder / "texts" / f"{name}.jsonl"
    return read_texts(path) if path.exists() else {}


def run_with(reply, folder, *options, keys="targets"):
    with VisionEndpoint(reply) as endpoint:
        return main(command(folder, endpoint, *options, keys=keys)), endpoint.asked


# What is asked and sent


def test_a_slice_is_asked_for_with_what_was_said_of_the_larger_one(corpus):
    def reply(asked):
        said = {"large": "two ports", "medium": "one port", "small": "a quay"}
        scale = next(scale for scale in said if f"the {scale} one of three" in asked.prompt)
        return completion(f"Count: {said[scale]}\nLocation: here")

    status, asked = run_with(reply, corpus)
    large, medium, small = (one.prompt for one in asked)
    assert status == 0
    assert "described like this" not in large
    assert "Count: two ports" in medium
    assert "Count: one port" in small
    assert "two ports" not in small
    parents = {key: said.by["parent"] for key, said in texts(corpus).items()}
    assert parents == {(LARGE, "targets"): None, (MEDIUM, "targets"): LARGE, (SMALL, "targets"): MEDIUM}


def test_both_key_sets_come_with_the_records(corpus):
    status, _ = run_with(all_keys, corpus, keys="both")
    by_id = {one.id: one for one in read_records(corpus)}
    assert status == 0
    said = {one.keys: list(one.said) for one in by_id[SMALL].texts}
    assert said == {keys: [line.partition(":")[0] for line in lines] for keys, lines in EIGHT.items()}
    by = by_id[LARGE].texts[0].by
    assert by["endpoint"].startswith("127.0.0.1:")
    assert by | {"endpoint": ""} == {"describer": "m", "endpoint": "", "model": "m", "templates": Templates().digest,
                                     "parent": None, "scale": "large"}  # fmt: skip


def test_only_picture_and_place_are_sent(corpus):
    _, asked = run_with(all_keys, corpus)
    whole = json.dumps([asked[0].body, asked[0].headers]).lower()
    mentioned = ("secretsat", "secretscene", "set/", "2019", "stainless", "python", "organization")
    assert not [word for word in mentioned if word in whole]
    assert asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert set(Image.open(io.BytesIO(asked[0].jpeg)).info) == {
        "jfif", "jfif_density", "jfif_unit", "jfif_version",
    }  # fmt: skip
    assert "longitude -180.00000, latitude 51.91000" in asked[0].prompt
    assert "from 179.99000 to -179.99000 in longitude" in asked[0].prompt


def test_a_large_picture_is_reduced_and_the_pixel_size_with_it(tmp_path):
    write_records([record(tmp_path / "a", pixels=speckle(0, (300, 600)), pixel_m=2.0)], tmp_path / "corpus")
    _, asked = run_with(all_keys, tmp_path / "corpus", "--max-px", "200")
    assert asked[0].picture.size == (200, 100)
    assert "200 x 100 pixels, and a pixel is 6 m wide" in asked[0].prompt
    assert "about 1200 m by 600 m" in asked[0].prompt
    assert "Where this slice lies is not known" in asked[0].prompt


def test_it_is_said_what_goes_where_before_the_first_request(corpus, capsys):
    said = []
    run_with(lambda asked: said.append(capsys.readouterr().err) or all_keys(asked), corpus)
    assert "3 requests to 127.0.0.1:" in said[0]
    assert "with the key in FUSAR_API_KEY" in said[0]
    assert "its coordinates, pixel size and scale" in said[0]
    assert KEY not in said[0]


def test_nothing_leaves_the_machine_unasked(corpus, capsys):
    assert main(command(corpus, "https://example.invalid/v1")) == 1
    assert "Nothing was sent to example.invalid: add --yes" in capsys.readouterr().err
    assert not (corpus / "texts").exists()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://example.invalid/v1", "unencrypted: give an https"),
        ("https://me:pass@example.invalid/v1", "must not hold a name, password"),
        ("https://example.invalid/v1?key=abc", "must not hold a name, password"),
        ("ftp://example.invalid", "must be an address"),
        ("example.invalid/v1", "must be an address"),
        ("http://[::1/v1", "must be an address"),
    ],
)
def test_addresses_that_are_not_safe_are_refused(corpus, capsys, address, said):
    assert main(command(corpus, address, "--yes")) == 1
    assert said in capsys.readouterr().err


def test_plain_http_goes_to_another_machine_only_when_told_to():
    assert EndpointOptions("http://10.0.0.5:8000/v1", "m", insecure=True).host == "10.0.0.5:8000"
    with pytest.raises(CorpusError, match="unencrypted"):
        EndpointOptions("http://10.0.0.5:8000/v1", "m")


def test_without_a_key_another_machine_is_not_asked(corpus, capsys, monkeypatch):
    monkeypatch.delenv("FUSAR_API_KEY")
    assert main(command(corpus, "https://example.invalid/v1", "--yes")) == 1
    assert "There is no key for example.invalid: set FUSAR_API_KEY" in capsys.readouterr().err


# Many at once, again, and after a fall


def test_so_many_are_in_flight_and_no_more(many):
    with VisionEndpoint(delay=0.15) as endpoint:
        assert main(command(many, endpoint, "--in-flight", "8")) == 0
    assert endpoint.most == 8


def test_a_second_run_sends_nothing(corpus, capsys):
    run_with(all_keys, corpus)
    status, asked = run_with(all_keys, corpus)
    assert (status, asked) == (0, [])
    assert "3 records are described" in capsys.readouterr().err


def test_a_corpus_built_anew_costs_nothing(corpus, tmp_path, capsys):
    run_with(all_keys, corpus)
    before = texts(corpus)
    (corpus / "texts" / "m.jsonl").unlink()
    status, asked = run_with(all_keys, corpus)
    assert (status, asked) == (0, [])
    assert texts(corpus) == before, "the endpoint that gave the answers is still named"
    assert "known from before, at no cost: 3" in capsys.readouterr().out
    _, asked = run_with(all_keys, corpus, "--name", "other", "--max-answer", "500")
    assert len(asked) == 3, "another question"


def test_a_cache_that_cannot_be_used_is_told_and_done_without(corpus, tmp_path, monkeypatch, capsys):
    (tmp_path / "cache").write_text("a file where the folder should be")
    status, asked = run_with(all_keys, corpus)
    assert (status, len(asked)) == (0, 3)
    assert capsys.readouterr().err.count("Answers are not kept") == 1


def test_a_torn_last_line_is_cut_off(corpus):
    run_with(all_keys, corpus)
    path = corpus / "texts" / "m.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + lines[-1][:50])
    status, _ = run_with(all_keys, corpus)
    assert status == 0
    assert sorted(path.read_bytes().splitlines(keepends=True)) == sorted(lines)


def test_a_killed_run_is_finished_by_the_next(many):
    with VisionEndpoint(delay=0.1) as endpoint:
        arguments = [sys.executable, "-m", "fusar_train.cli", *command(many, endpoint, "--in-flight", "4")]
        process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
        while len(endpoint.asked) < 14:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept = (many / "texts" / "m.jsonl").read_bytes().count(b"\n")
        assert main(command(many, endpoint)) == 0
    assert kept >= 6
    assert len(texts(many)) == 40
    assert len(endpoint.asked) <= 40 + 8, "those in flight at most are asked again"


def test_an_interrupt_ends_it_in_seconds_and_keeps_what_is_there(many, capsys, interruptible):
    gone = threading.Event()

    def reply(asked):
        if len(endpoint.asked) == 12:
            os.kill(os.getpid(), signal.SIGINT)
        if len(endpoint.asked) > 8:
            gone.wait(60)
        return all_keys(asked)

    with VisionEndpoint(reply) as endpoint:
        began = time.monotonic()
        status = main(command(many, endpoint, "--in-flight", "4"))
        took = time.monotonic() - began
        gone.set()
    assert (status, len(texts(many))) == (1, 8)
    assert took < 20
    assert "Ended early: interrupted. 8 are described and kept" in capsys.readouterr().err


def test_one_file_holds_the_texts_of_one_model_and_one_set_of_templates(corpus, tmp_path, capsys):
    run_with(all_keys, corpus, "--name", "mine")
    with VisionEndpoint() as endpoint:
        again = command(corpus, endpoint, "--name", "mine")
        again[again.index("m")] = "other"
        assert main(again) == 1
    assert "holds texts of the model 'm', not 'other': give another --name" in capsys.readouterr().err


# Endpoints that fail


HTML = Reply(b"<!DOCTYPE html><html><body>Welcome</body></html>", headers={"Content-Type": "text/html"})
ALL = [
    (error(401, f"Incorrect API key provided: {KEY}"), "refuses the key in FUSAR_API_KEY (401", True),
    (error(403, "no"), "refuses the key in FUSAR_API_KEY (403: no)", True),
    (error(404, "model `m` does not exist"), "knows no model 'm'", True),
    (HTML, "answers with a page of HTML: it is no OpenAI-compatible API. Check that --api-base ends in /v1", True),
    (Reply([1, 2]), "it is no OpenAI-compatible API", True),
    (Reply({"object": "list", "data": []}), "it is no OpenAI-compatible API", True),
    (Reply(b"", 307, {"Location": "https://elsewhere.invalid/v1"}), "sends on to elsewhere.invalid", True),
    (error(429, "You exceeded your current quota", code="insufficient_quota"), "account has nothing left", True),
    (error(429, "busy", {"Retry-After": "4000"}), "asks to wait 67 minutes: start again after that", True),
    (error(400, "maximum context length is 4096 tokens"), "too large", False),
    (error(400, "bad"), "answers 400: bad", False),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "said", "at_once"), ALL, ids=[one[1][:30] for one in ALL])
def test_failures_are_said_in_whole_sentences(many, capsys, reply, said, at_once):
    status, asked = run_with(lambda asked: reply, many, "--in-flight", "2")
    told = capsys.readouterr()
    assert status == 1
    assert said in told.err + told.out
    assert not (many / "texts" / "m.jsonl").exists(), "who has said nothing is no describer"
    assert KEY not in told.err + told.out
    assert KEY not in "".join(path.read_text() for path in many.rglob("*.txt"))
    assert len(asked) <= (2 if at_once else 15), "it does not ask for all forty"
    assert "Ended early" in told.err


BROKEN = {
    "half JSON": Reply(json.dumps(completion("Count: two").body).encode()[:60]),
    "closed midway": Reply(json.dumps(completion("Count: two").body).encode(), cut=40),
    "busy": error(503, "overloaded"),
    "rate": error(429, "slow down"),
    "an error inside": Reply({"error": {"message": "upstream failed"}}),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_failure_that_may_pass_is_tried_again(corpus, kind, monkeypatch):
    monkeypatch.setattr("fusar_train.corpus.texts.endpoint._FIRST_WAIT_S", 0.01)
    status, asked = run_with(lambda _: BROKEN[kind] if len(endpoint_calls(_)) < 3 else all_keys(_), corpus)
    assert status == 0
    assert len(asked) == 5


CALLS = []


def endpoint_calls(asked):
    CALLS.append(asked)
    return CALLS


@pytest.fixture(autouse=True)
def no_calls():
    CALLS.clear()


@pytest.mark.parametrize("kind", BROKEN)
def test_one_that_never_passes_leaves_its_slice_out_and_the_rest_goes_on(many, kind, monkeypatch, capsys):
    monkeypatch.setattr("fusar_train.corpus.texts.endpoint._FIRST_WAIT_S", 0.001)
    ill = speckle(7, (64, 96))

    def reply(asked):
        shown = np.asarray(asked.picture.convert("L"), np.float32)
        return BROKEN[kind] if np.abs(shown - ill).mean() < 10 else all_keys(asked)

    status, _ = run_with(reply, many, "--retries", "2")
    assert status == 1
    assert len(texts(many)) == 39
    assert "1 have no texts" in capsys.readouterr().err
    (fault,) = (many / "texts" / "m.faults.txt").read_text().splitlines()
    assert fault.startswith("failed\tset/small7 (targets)\t127.0.0.1")


def test_busy_for_ever_ends_with_a_sentence(many, monkeypatch, capsys):
    monkeypatch.setattr("fusar_train.corpus.texts.endpoint._FIRST_WAIT_S", 0.001)
    status, _ = run_with(lambda _: error(429, "slow down"), many, "--retries", "2")
    assert status == 1
    said = capsys.readouterr().err
    assert "16 slices in a row got no answer, the last because: 127.0.0.1" in said
    assert "still limiting the rate after 2 retries (slow down)" in said


def test_nobody_there(corpus, capsys, monkeypatch):
    monkeypatch.setattr("fusar_train.corpus.texts.endpoint._FIRST_WAIT_S", 0.001)
    with VisionEndpoint() as gone:
        pass
    assert main(command(corpus, gone)) == 1
    faults = (corpus / "texts" / "m.faults.txt").read_text()
    assert "cannot be reached" in faults
    assert faults.count("\n") == 3


def test_a_request_that_takes_too_long(corpus, monkeypatch):
    monkeypatch.setattr("fusar_train.corpus.texts.endpoint._FIRST_WAIT_S", 0.001)
    with VisionEndpoint(delay=1.5) as endpoint:
        assert main(command(corpus, endpoint, "--timeout", "0.1", "--retries", "0")) == 1
    assert "did not answer within 0.1 s" in (corpus / "texts" / "m.faults.txt").read_text()


@pytest.mark.parametrize("stated", [lambda: "1", lambda: formatdate(time.time() + 1.5, usegmt=True)])
def test_all_requests_wait_when_one_is_told_to(many, stated, capsys):
    lock, limited = threading.Lock(), []

    def reply(asked):
        with lock:
            first = not limited
            limited.append(asked.at)
        return (
            error(429, "slow down", {"Retry-After": stated()})
            if first
            else time.sleep(0.02) or all_keys(asked)
        )

    status, asked = run_with(reply, many, "--in-flight", "2", "--limit", "10")
    begins = sorted(one.at for one in asked)
    assert status == 0
    assert len(asked) == 11
    assert max(np.diff(begins)) > 0.4, "nothing is asked meanwhile"
    assert capsys.readouterr().err.count("limits the rate and asks to wait") == 1


@given(st.floats(0, 1e6) | st.integers(0, 10**6))
def test_retry_after_in_seconds_or_as_a_date(wait):
    now = 1_700_000_000.0
    assert retry_after({"retry-after": str(wait)}, now) == pytest.approx(wait)
    assert retry_after({"retry-after-ms": str(wait)}, now) == pytest.approx(wait / 1000)
    assert retry_after({"retry-after": formatdate(now + wait, usegmt=True)}, now) == pytest.approx(
        wait, abs=1
    )
    assert retry_after({"retry-after": formatdate(now - wait - 1, usegmt=True)}, now) == 0


@pytest.mark.parametrize("stated", ["", "soon", "inf", "nan", "Thu, 99 Foo 2020 99:99:99 GMT"])
def test_a_retry_after_that_says_nothing(stated):
    assert retry_after({"retry-after": stated}, 0) is None


def test_the_limit_of_an_answer_goes_by_its_newer_name_where_the_model_wants_it(corpus):
    def reply(asked):
        if "max_tokens" in asked.body:
            return error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        return all_keys(asked)

    status, asked = run_with(reply, corpus)
    assert status == 0
    assert [one.body.get("max_completion_tokens") for one in asked] == [None, 1000, 1000, 1000]


# Answers that lack something


def test_a_refusal_is_listed_and_its_children_go_with_the_slice_above(corpus, capsys):
    def reply(asked):
        return completion("I'm sorry, I can't help." if "medium one" in asked.prompt else "Count: two ports")

    status, asked = run_with(reply, corpus)
    told = capsys.readouterr()
    assert status == 1
    assert "refused: 1" in told.out
    assert "refused\tset/medium (targets)\tI'm sorry" in (corpus / "texts" / "m.faults.txt").read_text()
    assert texts(corpus)[SMALL, "targets"].by["parent"] == LARGE
    assert "(scale: large)" in asked[-1].prompt
    _, asked = run_with(all_keys, corpus)
    assert len(asked) == 1, "the refused one is asked again, no other"
    assert not (corpus / "texts" / "m.faults.txt").exists()


@pytest.mark.parametrize(
    "message", [{"text": None, "refusal": "No."}, {"text": "", "reason": "content_filter"}, {"text": None}]
)
def test_refusals_of_the_endpoint_and_empty_answers(corpus, message):
    status, _ = run_with(lambda _: completion(**message), corpus)
    assert status == 1
    assert not texts(corpus)


def test_a_dropped_parent_is_passed_over_as_the_index_tells(tmp_path):
    made = [slice_record(tmp_path, "large"), slice_record(tmp_path, "small", MEDIUM, 1)]
    write_records(made, tmp_path / "corpus")
    rows = {"id": [LARGE, MEDIUM, SMALL], "parent": [None, LARGE, MEDIUM], "fate": ["kept", "water", "kept"]}
    parquet.write_table(pa.table(rows), tmp_path / "corpus" / "index.parquet")
    run_with(all_keys, tmp_path / "corpus")
    assert texts(tmp_path / "corpus")[SMALL, "targets"].by["parent"] == LARGE


def test_missing_keys_are_told_and_asked_for_once_more(corpus, capsys):
    def reply(asked):
        if len(asked.texts) > 1:
            return completion("Size: 30 m\nCategory: N/A")
        return completion("Count: two\nLocation: left")

    run_with(reply, corpus)
    assert "keys that answers lack: Feature 3, Size 3" in capsys.readouterr().out
    status, asked = run_with(reply, corpus, "--name", "again", "--ask-again")
    assert status == 0
    assert len(asked) == 5, "the first answer is known; the others follow on what was added to it"
    assert [message["role"] for message in asked[0].body["messages"]] == ["user", "assistant", "user"]
    assert "lacks Feature, Size, Category" in asked[0].texts[2]
    assert texts(corpus, "again")[LARGE, "targets"].said == {
        "Count": "two",
        "Location": "left",
        "Size": "30 m",
    }


def test_an_answer_that_was_cut_off_loses_its_last_key(corpus):
    run_with(lambda _: completion("Count: two\nLocation: at the le", reason="length"), corpus)
    assert texts(corpus)[LARGE, "targets"].said == {"Count": "two"}


def test_damaged_records_are_listed_and_the_rest_goes_on(many, capsys):
    (many / "images" / "set" / "small3.png").write_bytes(b"no image")
    lines = (many / "records.jsonl").read_text().splitlines()
    (many / "records.jsonl").write_text("\n".join([lines[0][:40], *lines[1:]]))
    status, _ = run_with(all_keys, many)
    assert status == 1
    assert len(texts(many)) == 38
    faults = (many / "texts" / "m.faults.txt").read_text()
    assert "failed\tset/small3 (targets)" in faults
    assert "unreadable\t" in faults
    assert "2 have no texts" in capsys.readouterr().err


# Cost


def test_a_dry_run_sends_nothing_and_its_estimate_holds(many, capsys):
    prices = ("--price-in", "2", "--price-out", "8", "--image-tokens", "tiles")
    run_with(all_keys, many, *prices, "--limit", "6")
    capsys.readouterr()
    _, asked = run_with(all_keys, many, *prices, "--dry-run")
    estimate = capsys.readouterr().err
    assert asked == []
    assert "scaled to 6 answers that were counted" in estimate
    assert "Nothing was sent." in estimate
    run_with(all_keys, many, *prices)
    counted = capsys.readouterr().out
    for what in ("tokens sent|sent", "answered|answered", "cost |cost "):
        guess, truth = (
            number_by(text, word) for text, word in zip((estimate, counted), what.split("|"), strict=True)
        )
        assert guess == pytest.approx(truth, rel=0.05)


def number_by(text, word):
    line = next(line for line in text.splitlines() if line.lower().startswith(("estimate", "tokens")))
    words = line.replace(",", "").replace("(", "").replace(":", "").split()
    at = words.index(word.split()[0])
    return float(words[at + 1] if word.endswith(" ") else words[at - 1])


def test_the_first_estimate_needs_no_answers(many, capsys):
    run_with(all_keys, many, "--dry-run", "--image-tokens", "tiles")
    guess = number_by(capsys.readouterr().err, "tokens")
    run_with(all_keys, many, "--image-tokens", "tiles")
    assert guess == pytest.approx(number_by(capsys.readouterr().out, "sent"), rel=0.05)


def test_it_ends_before_more_is_spent(many, capsys):
    prices = ("--price-in", "1000", "--price-out", "1000", "--in-flight", "4", "--image-tokens", "tiles")
    status, asked = run_with(all_keys, many, *prices, "--max-cost", "12")
    told = capsys.readouterr()
    assert status == 1
    assert 4 < len(asked) < 13
    assert number_by(told.out, "cost ") <= 12
    assert "--max-cost 12 would not cover the next request" in told.err
    assert len(texts(many)) == len(asked), "what was asked for is kept"


@pytest.mark.parametrize(
    "given", [("--max-cost", "3"), ("--price-in", "3"), ("--price-in", "-1", "--price-out", "1")]
)
def test_prices_that_make_no_sense(many, capsys, given):
    status, asked = run_with(all_keys, many, *given)
    assert (status, asked) == (1, [])
    assert "--price-in" in capsys.readouterr().err


def test_pictures_are_counted_as_the_families_do():
    """By OpenAI's guide: 1024 x 1024 is 765, 2048 x 4096 is 1105; Qwen's smallest unit is 28 px."""
    assert IMAGE_RULES["tiles"](1024, 1024) == 765
    assert IMAGE_RULES["tiles"](2048, 4096) == 1105
    assert IMAGE_RULES["patches"](1024, 1024) == 1024
    assert IMAGE_RULES["qwen"](1024, 1024) == 37 * 37 + 2
    models = ("gpt-4.1", "gpt-4.1-mini", "openai/gpt-4o", "claude-x", "Qwen/Qwen2.5-VL-7B")
    assert [rule_of(name) for name in models] == ["tiles", "patches-mini", "tiles", "area", "qwen"]


def test_texts_are_counted_about_as_tokenizers_do():
    """877 and 879 are what o200k_base makes of the prompts of this place."""
    facts = SliceFacts(width=1024, height=1024, pixel_m=1.0, scale="medium",
                       footprint=((4.1, 51.9), (4.11, 51.9), (4.11, 51.91)))  # fmt: skip
    assert text_tokens(Templates().prompt(facts, "targets")) == pytest.approx(877, rel=0.05)
    assert text_tokens(Templates().prompt(facts, "terrain")) == pytest.approx(879, rel=0.05)


# Templates


def test_templates_can_be_edited(corpus, tmp_path, capsys):
    assert main(["corpus", "describe", "--write-templates", str(tmp_path / "own")]) == 0
    own = tmp_path / "own" / "2_social_prior.jinja"
    assert str(own) in capsys.readouterr().out
    own.write_text("Step 2. Mind {{ 'the tanks' if ground.width_m > 100 else 'nothing' }}.")
    _, asked = run_with(all_keys, corpus, "--templates", str(tmp_path / "own"))
    assert "Mind the tanks." in asked[0].prompt
    digest = texts(corpus)[LARGE, "targets"].by["templates"]
    assert digest == Templates(tmp_path / "own").digest != Templates().digest


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("{{ secret }}", "'secret' is undefined. It knows bounds, centre"),
        ("{% if %}", "2_social_prior.jinja, line 1 makes no sense"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ 1 / 0 }}", "cannot be filled"),
    ],
)
def test_templates_that_make_no_sense_are_named_before_anything_is_sent(
    corpus, tmp_path, capsys, words, said
):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "2_social_prior.jinja").write_text(words)
    status, asked = run_with(all_keys, corpus, "--templates", str(tmp_path / "own"))
    assert (status, asked) == (1, [])
    assert said in capsys.readouterr().err


def test_a_folder_without_templates_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="holds none of"):
        Templates(tmp_path)


# Order


class Named:
    """As much of a record as a schedule looks at."""

    def __init__(self, name):
        self.id = name


@given(st.data())
def test_every_job_comes_once_and_after_the_slices_that_hold_it(data):
    ids = [str(number) for number in range(data.draw(st.integers(1, 12)))]
    # Each lies in one of a higher number, or in one that was dropped; in bad input also in one of a lower.
    sound = data.draw(st.booleans())
    above = {one: [*(ids[i + 1 :] if sound else ids), "dropped"] for i, one in enumerate(ids)}
    parents = {one: data.draw(st.sampled_from(above[one])) for one in ids if data.draw(st.booleans())}
    wanted = {(one, "targets") for one in ids if data.draw(st.booleans())}
    schedule = Schedule(iter(map(Named, data.draw(st.permutations(ids)))), parents, set(wanted))
    came, out = [], []
    while (job := schedule.next()) or out:
        if job:
            waited_for = {(one, "targets") for one in schedule.ancestors(job.record.id)}
            assert not sound or not waited_for & schedule.undone
            out.append(job)
            came.append(job.key)
        if not job or data.draw(st.booleans()):
            schedule.finish(out.pop(data.draw(st.integers(0, len(out) - 1))))
    assert sorted(came) == sorted(wanted)


def test_a_disk_that_fills_ends_the_run_and_leaves_no_half_line(corpus, monkeypatch, capsys):
    real = os.write
    monkeypatch.setattr("fusar_train.corpus.texts.texts_file.os.write", lambda fd, data: real(fd, data[:20]))
    status, _ = run_with(all_keys, corpus)
    assert status == 1
    assert "Cannot write" in capsys.readouterr().err
    assert not (corpus / "texts" / "m.jsonl").exists()


def test_a_cache_of_no_answers_measures_nothing(tmp_path):
    cache = AnswerCache(print, tmp_path / "c.sqlite")
    assert not cache.measured("m", "t").enough
    cache.close()


# Without a model


def test_templates_noise_and_report_need_no_endpoint(tmp_path, capsys):
    pytest.importorskip("fusar_train.corpus.texts.template")
    boxes = [(10, 10, 30, 40), (50, 60, 90, 80)]
    made = (
        record(tmp_path / "made", f"r{n}", [ship(*box) for box in boxes[:n]], pixel_m=2.0) for n in (1, 2)
    )
    write_records(made, tmp_path / "set")
    report = tmp_path / "report"
    arguments = ["corpus", "describe", str(tmp_path / "set"), "--describer", "template", "--keys", "targets"]
    assert main([*arguments, "--noise", "0.3", "--seed", "1", "--report", str(report)]) == 0
    assert len(texts(tmp_path / "set", "template")) == len(texts(tmp_path / "set", "template-noise30")) == 2
    assert (report / "texts.html").is_file()
    assert main([*arguments[:3], "--noise", "0.2"]) == 1
    assert "described by template, template-noise30: name one of them with --name" in capsys.readouterr().err
    assert main([*arguments, "--limit", "1"]) == 1
    assert "leave out --limit" in capsys.readouterr().err


def test_it_must_be_said_whom_to_ask(corpus, capsys):
    assert main(["corpus", "describe", str(corpus)]) == 1
    assert (
        "--api-base https://host/v1 and --model NAME, or take --describer template" in capsys.readouterr().err
    )
    assert main(["corpus", "describe"]) == 1
    assert "Say which folder" in capsys.readouterr().err
