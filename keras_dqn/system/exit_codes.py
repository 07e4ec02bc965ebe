"""The exit codes of the commands, with the numbers of BSD's `sysexits.h`."""

EXIT_USAGE = 64
EXIT_BROKEN = 70
EXIT_IO = 74
EXIT_STOPPED = 75
EXIT_CONFIG = 78

MEANINGS = {
    0: "finished",
    EXIT_USAGE: "an unknown flag, or a flag without a value",
    EXIT_BROKEN: "the run failed: an environment fault, non-finite numbers, or an "
    "unexpected error",
    EXIT_IO: "a file that cannot be read or written",
    EXIT_STOPPED: "stopped by a signal; `--resume` continues it",
    EXIT_CONFIG: "a value that cannot be used",
}
