"""The metrics on cases worked out by hand, and beside pycocotools and pycocoevalcap."""

import contextlib
import io
import math

import numpy as np
import pytest

from fusar_gpt.frames import ChipBox
from fusar_gpt.tasks import Task
from fusar_train.evaluation import captions
from fusar_train.evaluation.bootstrap import Statistic, difference, draws, estimate, mean, ratio
from fusar_train.evaluation.captions import (
    JavaCaptions,
    around,
    bleu,
    caption_statistics,
    cider,
    why_missing,
    words,
)
from fusar_train.evaluation.card import CROWDED, FOUND, LOOSE, PLAIN, SMALL, UNSEEN, misses
from fusar_train.evaluation.matching import (
    AP_IOUS,
    Detections,
    average_precision,
    iou_matrix,
    match_boxes,
    mean_average_precision,
)
from fusar_train.evaluation.metrics import ALL, GridMarks, grid_marks
from fusar_train.evaluation.predictions import Condition, LabelledQuestion, PredictedBox, Prediction, TrueBox

A, B = ChipBox(0, 0, 10, 10), ChipBox(20, 0, 30, 10)


def value(statistic, images):
    return statistic.of(np.ones((1, images)))[0]


# Boxes


def test_overlaps():
    shared = iou_matrix([A, ChipBox(1, 1, 1, 1)], [A, B, ChipBox(5, 0, 15, 10), ChipBox(1, 1, 1, 1)])
    assert shared == pytest.approx(np.array([[1, 0, 1 / 3, 0], [0, 0, 0, 0]]))
    assert iou_matrix([], [A]).shape == (0, 1)


def test_a_true_box_is_found_only_once():
    near = ChipBox(1, 0, 11, 10)
    assert match_boxes([near, A], [A], 0.5).partner.tolist() == [-1, 0]
    assert match_boxes([near, A], [A, B], 0.5).true_positives == 1
    assert match_boxes([], [A], 0.5).true_positives == 0
    assert match_boxes([A], [], 0.5).partner.tolist() == [-1]


def test_the_best_overlap_is_taken_first():
    """Taking the first pair that fits would leave one of the two boxes without a partner."""
    between, left = ChipBox(3, 0, 13, 10), ChipBox(0, 0, 10, 10)
    assert match_boxes([between, left], [left, ChipBox(6, 0, 16, 10)], 0.5).partner.tolist() == [1, 0]


def test_ties_go_to_the_earlier_boxes():
    assert match_boxes([A, A], [A, A], 0.5).partner.tolist() == [0, 1]
    left, right = ChipBox(0, 0, 10, 10), ChipBox(4, 0, 14, 10)
    assert match_boxes([ChipBox(2, 0, 12, 10)], [right, left], 0.5).partner.tolist() == [0]


def test_the_threshold_itself_is_enough():
    half = ChipBox(0, 0, 10, 5)
    assert match_boxes([half], [A], 0.5).true_positives == 1
    assert match_boxes([half], [A], 0.51).true_positives == 0


def test_a_difficult_box_neither_counts_nor_harms():
    near = ChipBox(1, 0, 11, 10)
    matching = match_boxes([near, near, B], [A], 0.5, difficult=[True])
    assert matching.true_positives == 0
    assert matching.ignored.tolist() == [True, True, False]
    assert matching.predicted == 1
    both = match_boxes([near, A], [A, ChipBox(2, 0, 12, 10)], 0.5, difficult=[False, True])
    assert both.partner.tolist() == [-1, 0]
    assert both.predicted == 1


def test_misses_are_told_by_the_kind_of_object():
    alone, beside, near, small = (
        ChipBox(100, 100, 130, 120), ChipBox(10, 10, 40, 30), ChipBox(20, 40, 50, 60), ChipBox(200, 10, 220, 20)
    )  # fmt: skip
    asked = LabelledQuestion(
        Task.DETECT, tuple(TrueBox(box, "ship") for box in (alone, beside, near, small)), "ship"
    )
    said = [alone, ChipBox(10, 10, 40, 16), ChipBox(150, 150, 170, 170)]
    answer = tuple(PredictedBox(box, "ship", None) for box in said)
    condition = Condition("m", "", "own", "d")
    one = Prediction.of(condition, "1", (224, 224), asked, answer)
    other = Prediction.of(condition, "1", (224, 224), LabelledQuestion(Task.COUNT, 4, "ship"), 4)
    assert misses([one, other], "plane") == {}
    assert misses([one, other], "ship") == {
        ALL: {"number": 4, FOUND: 0.25, LOOSE: 0.25, UNSEEN: 0.5},
        PLAIN: {"number": 1, FOUND: 1.0, LOOSE: 0.0, UNSEEN: 0.0},
        CROWDED: {"number": 2, FOUND: 0.0, LOOSE: 0.5, UNSEEN: 0.5},
        SMALL: {"number": 1, FOUND: 0.0, LOOSE: 0.0, UNSEEN: 1.0},
    }


# The grid


@pytest.mark.parametrize(
    ("said", "truth", "marks"),
    [
        ({1, 2}, {1, 2}, (True, True, True)),
        ({1}, {1, 2}, (False, True, True)),
        ({1}, {1, 2, 3}, (False, False, True)),
        (set(), set(), (True, True, True)),
        ({9}, set(), (False, False, False)),
        (set(), {5}, (False, False, False)),
        (None, set(), (False, False, False)),
    ],
)
def test_grid(said, truth, marks):
    got = grid_marks(None if said is None else frozenset(said), frozenset(truth))
    assert got == GridMarks(*marks)


# Average precision


def test_average_precision_by_hand():
    """Right, wrong, right of two true boxes: precision 1 up to recall .5, 2/3 up to 1 (51 and 50 of 101 points)."""
    chips = [
        Detections(0, [A, B], [0.9, 0.5], [A], [False]),
        Detections(1, [B], [0.3], [B], [False]),
    ]
    statistic = average_precision(chips, 2, 0.5)
    assert value(statistic, 2) == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert statistic.n == 2
    twice_the_first = statistic.of(np.array([[2.0, 0.0]]))[0]
    assert twice_the_first == 1
    assert math.isnan(value(average_precision([Detections(0, [A], [1.0], [], [])], 1, 0.5), 1))
    assert value(average_precision([Detections(0, [], [], [A], [False])], 1, 0.5), 1) == 0


def random_chips(rng, images=25):
    """Two classes of true boxes, said ones near them and elsewhere; some said twice."""

    def boxes(count):
        corner, side = rng.integers(0, 60, (count, 2)), rng.integers(5, 30, (count, 2))
        return [ChipBox(*map(float, row)) for row in np.concatenate([corner, corner + side], axis=1)]

    classes = []
    for _ in range(2):
        chips = []
        for image in range(images):
            truth = boxes(rng.integers(0, 5))
            moved = [
                ChipBox(b.left + dx, b.top + dy, b.right + dx, b.bottom)
                for b in truth
                for dx, dy in rng.integers(-3, 3, (rng.integers(0, 3), 2))
            ]
            said = moved + boxes(rng.integers(0, 3))
            scores = np.round(rng.uniform(0, 1, len(said)), 1).tolist()  # with ties
            chips.append(Detections(image, said, scores, truth, [False] * len(truth)))
        classes.append(chips)
    return classes


def coco_average_precision(classes):
    """mAP@.5 and mAP@[.5:.95] by pycocotools."""
    coco = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    def row(box):
        return [box.left, box.top, box.right - box.left, box.bottom - box.top]

    truth, said = [], []
    for label, chips in enumerate(classes, 1):
        for chip in chips:
            where = {"image_id": chip.image, "category_id": label}
            for box in chip.truth:
                number = len(truth) + 1
                truth.append({**where, "id": number, "bbox": row(box), "area": box.area, "iscrowd": 0})
            said += [
                {**where, "bbox": row(b), "score": s}
                for b, s in zip(chip.predicted, chip.scores, strict=True)
            ]
    with contextlib.redirect_stdout(io.StringIO()):
        known = coco.COCO()
        known.dataset = {
            "images": [{"id": chip.image} for chip in classes[0]],
            "annotations": truth,
            "categories": [{"id": label} for label in range(1, len(classes) + 1)],
        }
        known.createIndex()
        judge = COCOeval(known, known.loadRes(said), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.stats[1], judge.stats[0]


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_that_of_pycocotools(seed):
    classes = random_chips(np.random.default_rng(seed))
    at_half, over_all = coco_average_precision(classes)
    assert 0.1 < over_all < at_half < 0.95
    ours = [[average_precision(chips, 25, iou) for iou in AP_IOUS] for chips in classes]
    half = mean_average_precision([at_ious[:1] for at_ious in ours])
    assert value(half, 25) == pytest.approx(at_half, abs=1e-9)
    assert value(mean_average_precision(ours), 25) == pytest.approx(over_all, abs=1e-9)


def test_difficult_boxes_leave_average_precision_alone():
    chip = Detections(0, [A, B], [0.5, 0.9], [A, B], [False, True])
    assert value(average_precision([chip], 1, 0.5), 1) == 1


# Captions

SAID = [
    "a port with three ships",
    "an airfield with a plane",
    "",
    "open sea",
    "a port with three-storey houses",
]
TRUTH = [
    ["a port with two ships", "three ships in a port"],
    ["an airfield with a plane"],
    ["a town, mostly built-up"],
    ["open sea with one ship and no plane"],
    ["a port with houses"],
]


def test_words():
    assert words("A Port: 3.5 km, built-up; it's \u00e9t\u00e9. -") == [
        "a", "port", "3.5", "km", "built-up", "it's", "\u00e9t\u00e9",
    ]  # fmt: skip


def test_bleu_by_hand():
    """Of 4 words 3 are right, of 3 pairs 2; a word too few of 5: brevity exp(1 - 5/4)."""
    one, two, three, _ = bleu(["a b c x"], [["a b c d e"]])
    brevity = math.exp(-0.25)
    assert value(one, 1) == pytest.approx(brevity * 3 / 4)
    assert value(two, 1) == pytest.approx(brevity * math.sqrt(3 / 4 * 2 / 3))
    assert value(three, 1) == pytest.approx(brevity * (3 / 4 * 2 / 3 * 1 / 2) ** (1 / 3))
    assert value(bleu(["a a a"], [["a b c"]])[0], 1) == pytest.approx(1 / 3)
    assert value(bleu([""], [["a b"]])[0], 1) == 0


def test_cider_by_hand():
    """Identical captions of words that no other has: cosine 1 for every order, times 10."""
    assert cider(["a b c d", "x"], [["a b c d"], ["e f g h"]]) == pytest.approx([10, 0])


def for_coco():
    return (
        {i: [" ".join(words(t)) for t in texts] for i, texts in enumerate(TRUTH)},
        {i: [" ".join(words(text))] for i, text in enumerate(SAID)},
    )


def test_bleu_and_cider_are_those_of_pycocoevalcap():
    coco_bleu = pytest.importorskip("pycocoevalcap.bleu.bleu")
    from pycocoevalcap.cider.cider import Cider

    theirs, _ = coco_bleu.Bleu(4).compute_score(*for_coco(), verbose=0)
    assert [value(s, len(SAID)) for s in bleu(SAID, TRUTH)] == pytest.approx(theirs, abs=1e-6)
    corpus, each = Cider().compute_score(*for_coco())
    assert cider(SAID, TRUTH) == pytest.approx(each)
    assert value(caption_statistics(SAID, TRUTH)["CIDEr"], len(SAID)) == pytest.approx(corpus)


def test_meteor_runs_where_java_is():
    pytest.importorskip("pycocoevalcap")
    if why_missing("METEOR"):
        pytest.skip("no Java")
    with JavaCaptions() as programs:
        found, notices = programs.statistics(SAID, TRUTH)
        perfect, _ = programs.statistics(["a port"], [["A port."]])
    assert 0.2 < value(found["METEOR"], len(SAID)) < 0.6
    assert [notice for notice in notices if "METEOR" in notice] == []
    assert value(perfect["METEOR"], 1) == pytest.approx(1)


def test_a_corpus_figure_moves_with_the_mean_of_its_captions():
    statistic = around(0.5, np.array([0.2, 0.4]))
    assert statistic.of(np.array([[1.0, 1], [2, 0], [0, 2]])) == pytest.approx([0.5, 0.4, 0.6])


def test_without_java_there_is_a_notice(monkeypatch):
    monkeypatch.setattr(captions.shutil, "which", lambda _: None)
    with JavaCaptions() as programs:
        found, notices = programs.statistics(SAID, TRUTH)
    assert found == {}
    assert [notice.split()[0] for notice in notices] == ["METEOR", "SPICE"]
    assert all("install" in notice for notice in notices)


# Intervals


def test_draws_are_with_replacement_and_seeded():
    weights = np.concatenate(list(draws(7, seed=3)))
    assert weights.shape == (1000, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert weights.max() > 2
    assert (weights == np.concatenate(list(draws(7, seed=3)))).all()
    assert (weights != np.concatenate(list(draws(7, seed=4)))).any()


def test_intervals_cover_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(0)
    covered = []
    for seed in range(200):
        right = (rng.uniform(size=80) < 0.7).astype(float)
        [figure] = estimate([ratio(right, np.ones(80))], 80, seed)
        covered.append(figure.low <= 0.7 <= figure.high)
    assert 0.9 <= np.mean(covered) <= 0.98


def test_images_are_drawn_whole():
    """Ten answers on one image are worth one: the interval is that of five images, not of fifty answers."""
    right, there = np.array([10.0, 0, 10, 0, 10]), np.full(5, 10.0)
    [figure] = estimate([ratio(right, there)], 5, 0)
    assert (figure.value, figure.n) == (0.6, 50)
    assert figure.high - figure.low >= 0.8


def test_undefined_figures_say_so():
    none, some = np.zeros(3), np.array([0.0, 0, 1])
    empty, rare = estimate([ratio(none, none), ratio(some, some)], 3, 0)
    assert (empty.value, empty.low, empty.high, empty.n) == (None, None, None, 0)
    assert (rare.value, rare.low, rare.high) == (1, 1, 1)
    [average] = estimate([mean([ratio(none, none), ratio(some, some)])], 3, 0)
    assert average.value == 1


def test_a_difference_is_paired():
    right = (np.arange(50) % 3 == 0).astype(float)
    worse = right * (np.arange(50) != 3)
    ours, theirs = ratio(right, np.ones(50)), ratio(worse, np.ones(50))
    apart = estimate([ours, theirs], 50, 0)
    [gain] = estimate([difference(ours, theirs)], 50, 0)
    assert gain.value == pytest.approx(0.02)
    assert gain.high - gain.low < 0.5 * (apart[0].high - apart[0].low)


def test_a_thousand_images_take_less_than_seconds():
    statistic = Statistic(1, lambda weights: weights.mean(axis=1))
    [figure] = estimate([statistic], 1000, 0)
    assert (figure.value, figure.low, figure.high) == (1, 1, 1)
