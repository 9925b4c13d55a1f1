"""``fusar-train simulate``: scenes, chips and records that no radar ever saw."""

from __future__ import annotations

import argparse

from fusar_train.cli.options import add_out, whole

SHEET = (8, 4)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the kinds of things to simulate."""
    kinds = parser.add_subparsers(required=True, metavar="scene|chips|records|probe")
    scene = kinds.add_parser("scene", help="a georeferenced scene, its prior and its truth")
    add_out(scene)
    scene.add_argument("--seed", type=int, help="default: the seed of the bundled sample")
    scene.add_argument("--place", default="harbour", help="harbour, or a kind of place of the chips")
    scene.add_argument("--size", type=int, metavar="PX", help="rows and columns; default: the sample's")
    scene.add_argument("--pixel-m", type=float, metavar="M", help="pixel spacing, 0.5 to 20")
    scene.add_argument("--looks", type=int, default=4, help="default: %(default)s")
    scene.set_defaults(run=_scene)
    chips = kinds.add_parser("chips", help="a contact sheet of training chips beside their priors")
    add_out(chips)
    chips.add_argument("--seed", type=int, default=0, help="number of the first chip")
    chips.set_defaults(run=_chips)
    records = kinds.add_parser("records", help="chips as stored records, to train and evaluate with")
    add_out(records, "a new folder")
    records.add_argument("--count", type=whole, required=True, metavar="N", help="chips")
    records.add_argument("--first", type=int, default=0, metavar="K", help="number of the first chip")
    records.add_argument(
        "--stream", choices=["train", "val", "test"], default="train", help="they share no chip"
    )
    records.set_defaults(run=_records)
    probe = kinds.add_parser("probe", help="how much the image alone, and how much the prior, can tell")
    probe.add_argument("--count", type=int, default=200, help="chips (default %(default)s)")
    probe.set_defaults(run=_probe)


def _scene(arguments: argparse.Namespace) -> None:
    from fusar_train.simulation.ground import PIXEL_M
    from fusar_train.simulation.radar import Sensor
    from fusar_train.simulation.scene import SEED, SHAPE, write_scene

    pixel_m = arguments.pixel_m or PIXEL_M
    paths = write_scene(
        arguments.out,
        SEED if arguments.seed is None else arguments.seed,
        place=arguments.place,
        shape=(arguments.size, arguments.size) if arguments.size else SHAPE,
        pixel_m=pixel_m,
        sensor=Sensor(pixel_m, (1.3 * pixel_m, 1.3 * pixel_m), looks=arguments.looks),
    )
    print(*paths, sep="\n")


def _chips(arguments: argparse.Namespace) -> None:
    from fusar_train.simulation.sheet import write_sheet

    print(write_sheet(arguments.out, arguments.seed, SHEET))


def _records(arguments: argparse.Namespace) -> None:
    from fusar_train.simulation.records import write_chips

    write_chips(arguments.out, arguments.stream, arguments.first, arguments.count)
    print(arguments.out)


def _probe(arguments: argparse.Namespace) -> None:
    from fusar_train.simulation.ambiguity import measure
    from fusar_train.simulation.chip import TEST_STREAM

    for label in ("ship", "plane"):
        share = measure(arguments.count, label, TEST_STREAM)
        print(
            f"{label}: {share.ambiguous:.0%} of {arguments.count} chips hold an object that the image cannot decide; "
            f"counted exactly by the best image-only counter {share.best:.1%}, with the prior {share.prior:.1%}"
        )
