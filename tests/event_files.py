"""TensorBoard's event files, read back record by record."""

import collections
import struct

import pytest


def events_of(directory):
    """All events of a run directory, in the order in which they were written."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    crc32c = pytest.importorskip("tensorboardX.record_writer").masked_crc32c
    events = []
    for path in sorted(directory.glob("events.out.tfevents.*")):
        data = path.read_bytes()
        while data:  # length, its checksum, the event, its checksum
            (length,) = struct.unpack("<Q", data[:8])
            record, data = data[12 : 12 + length], data[12 + length :]
            assert struct.unpack("<I", data[:4]) == (crc32c(record),)
            events.append(event_pb2.Event.FromString(record))
            data = data[4:]
    return events


def values_of(directory):
    """`{tag: [(step, value)]}`, without the settings in the tab HParams."""
    values = collections.defaultdict(list)
    for event in events_of(directory):
        for value in event.summary.value:
            if not value.tag.startswith("_hparams_/"):
                values[value.tag].append((event.step, value))
    return values


def shown_steps(directory, tag):
    """The steps of a tag that TensorBoard shows: a START hides those from its step."""
    steps = []
    for event in events_of(directory):
        if event.HasField("session_log"):
            steps = [step for step in steps if step < event.step]
        steps += [event.step for value in event.summary.value if value.tag == tag]
    return steps
