"""Kills a process with SIGKILL while it saves checkpoints, and loads what is left.

Every time there must be a checkpoint that loads, and none older than the last one
that was complete. With N kills and no failure, the rate of failures is below 3 / N
(95 %). `--naive` shows that the test can fail: it writes the same files in place.

    python benchmarks/kill_saves.py --kills 200
    python benchmarks/kill_saves.py --kills 3 --gigabytes 5    # a large replay
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

import machine
import numpy as np

from keras_dqn import checkpoint
from keras_dqn.checkpoint import ring as ring_module

ROWS, COLUMNS, FRAME_BYTES = 4, 64, 2**12
STEPS = 9  # written to the ring between two saves
LONGEST_SECONDS = 0.1  # from one save's end to the kill; a save takes some tens of ms


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument(
        "--gigabytes",
        type=float,
        help="of the ring, a quarter of which changes between saves; needs four times "
        "as much memory (default: 1 MB)",
    )
    parser.add_argument("--naive", action="store_true", help="write in place")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--directory", help="on the disk that is asked about")
    parser.add_argument("--quick", action="store_true", help="20 kills")
    parser.add_argument("--json", help="write the figures to this file")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.kills = min(arguments.kills, 20)
    return arguments


def enlarge(gigabytes):
    """Makes the ring so large, and saves as slow."""
    global COLUMNS, STEPS, LONGEST_SECONDS
    COLUMNS = int(gigabytes * 1e9) // (ROWS * FRAME_BYTES)
    STEPS = COLUMNS // 4 + 1
    LONGEST_SECONDS = 1.5 * gigabytes


def frames_at(time):
    """What the ring holds at this time: in each column, the time that wrote it."""
    latest = time - (time - np.arange(COLUMNS)) % COLUMNS
    frames = np.broadcast_to(
        latest.astype(np.uint8)[None, :, None], (ROWS, COLUMNS, FRAME_BYTES)
    )
    return np.ascontiguousarray(frames)


def state_of(number):
    """Parts of the checkpoint of this number; every part tells it."""
    ring = checkpoint.Ring(
        frames_at(COLUMNS + STEPS * number), COLUMNS + STEPS * number
    )
    learner = {"weights": np.full(2**15, number, np.float32)}
    return {"learner": learner, "replay": {"frames": ring, "number": np.int64(number)}}


def check(loaded, number):
    """Whether a loaded checkpoint is, in all its parts, the one of this number."""
    frames = np.empty((ROWS, COLUMNS, FRAME_BYTES), np.uint8)
    loaded.parts["replay"]["frames"].read_into(frames)
    return (
        np.all(loaded.parts["learner"]["weights"] == number)
        and loaded.parts["replay"]["number"] == number
        and np.array_equal(frames, frames_at(COLUMNS + STEPS * number))
    )


def save_for_ever(directory, number, pipe, is_naive):
    """Goes on from the newest checkpoint, and tells of every save that is over."""
    if COLUMNS == 64:
        ring_module.SEGMENT_BYTES = ROWS * FRAME_BYTES * 8
    store = checkpoint.Store(directory)
    if is_naive:
        os.fsync = lambda descriptor: None  # whoever writes in place forgets it, too
    elif loaded := store.load():
        check(loaded, number)  # which also lets the store reuse its segments
    while True:
        number += 1
        meta = {"number": number}
        if is_naive:
            save_in_place(directory, number, meta)
        else:
            store.save(number, state_of(number), meta)
        os.write(pipe, b"%d\n" % number)


def save_in_place(directory, number, meta):
    """The writer that everybody writes first: the new over the old, file by file."""
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint.save(scratch, 0, state_of(number), meta)
        for source in sorted(pathlib.Path(scratch).rglob("*")):
            if source.is_file():
                copy = directory / source.relative_to(scratch)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, copy)


def kill_once(directory, number, seconds, is_naive):
    """Lets a child save for a while and kills it. Returns the last number it told."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        try:
            save_for_ever(directory, number, writer, is_naive)
        finally:
            os._exit(1)
    os.close(writer)
    told = os.read(reader, 100)  # the first is over: from now on it can be anywhere
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    while rest := os.read(reader, 2**16):
        told += rest
    os.close(reader)
    if not os.WIFSIGNALED(status):
        raise RuntimeError("the child ended by itself")
    return int(told.split()[-1])


def judge(directory, last):
    """Returns the number of the checkpoint that loads, and what is wrong with it."""
    try:
        loaded = checkpoint.load(directory)
    except checkpoint.CheckpointError as error:
        return None, str(error)
    number = loaded.meta["number"]
    if number not in (last, last + 1):
        return number, f"checkpoint {number} was loaded after {last} was complete"
    if not check(loaded, number):
        return number, f"checkpoint {number} is not of one moment"
    return number, None


def run(arguments, directory):
    """Returns the figures: kills, failures, and in how many a save was half done."""
    rng = random.Random(arguments.seed)
    began, number, failures, unfinished = time.monotonic(), 0, [], 0
    for kill in range(arguments.kills):
        seconds = rng.uniform(0.0, LONGEST_SECONDS)
        last = kill_once(directory, number, seconds, arguments.naive)
        found, fault = judge(directory, last)
        if fault:
            failures.append({"kill": kill, "fault": fault})
            shutil.rmtree(directory)
            directory.mkdir()
            found = 0
        unfinished += bool(checkpoint.Store(directory).clean())
        number = found
    return {
        "kills": arguments.kills,
        "failures": failures,
        "kills_with_leftovers": unfinished,
        "saves": number,
        "seconds": time.monotonic() - began,
    }


def main():
    arguments = parse_arguments()
    if arguments.gigabytes:
        enlarge(arguments.gigabytes)
    description = machine.describe()
    machine.print_description(description)
    with tempfile.TemporaryDirectory(dir=arguments.directory) as scratch:
        figures = run(arguments, pathlib.Path(scratch) / "checkpoints")
    print("| kills | failures | kills that left half a save | seconds |")
    print("| --- | --- | --- | --- |")
    print(
        f"| {figures['kills']} | {len(figures['failures'])} | "
        f"{figures['kills_with_leftovers']} | {figures['seconds']:.0f} |"
    )
    for failure in figures["failures"][:5]:
        print(f"\nkill {failure['kill']}: {failure['fault']}")
    if arguments.json:
        text = json.dumps({"machine": description, **figures}, indent=1)
        pathlib.Path(arguments.json).write_text(text + "\n")
    return 1 if figures["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
