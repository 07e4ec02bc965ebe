"""Reads segments again that checkpoints share, while their content is in memory.

A segment that does not change is written once and named by checkpoint after
checkpoint. Were it damaged on the disk, all of them would be lost. So every save
ends with a look at some of those files: what is damaged, the next save writes anew.
"""

from keras_dqn.system import files

NBYTES_PER_SAVE = 2**30


class Proofreader:
    """Goes round and round the segments, some at a time, in the order of names."""

    def __init__(self):
        self._last = ""

    def damaged(self, directory, segments, is_stopped):
        """Reads the next `NBYTES_PER_SAVE`, at least one segment.

        Args:
            directory: `pathlib.Path` of the segments.
            segments: Iterable of facts, see `manifest`.
            is_stopped: Function without arguments; once it is true, no more is read.

        Returns:
            Dictionary: file name to the reason why it cannot be read.
        """
        ordered = sorted(segments, key=lambda facts: facts["file"])
        rest = [facts for facts in ordered if facts["file"] > self._last]
        rest += ordered[: len(ordered) - len(rest)]
        reasons, nbytes = {}, 0
        for facts in rest:
            if nbytes >= NBYTES_PER_SAVE or is_stopped():
                break
            nbytes += facts["bytes"]
            self._last = facts["file"]
            try:
                files.check_digest(directory / facts["file"], facts)
            except (OSError, ValueError) as error:
                reasons[facts["file"]] = str(error)
        return reasons
