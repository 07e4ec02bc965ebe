"""What the exit code of a command says; the numbers are those of BSD's sysexits."""

EXIT_USAGE = 64
EXIT_BROKEN = 70
EXIT_IO = 74
EXIT_STOPPED = 75
EXIT_CONFIG = 78

MEANINGS = {
    0: "finished",
    EXIT_USAGE: "an unknown flag, or a flag without a value",
    EXIT_BROKEN: "the run broke off: a fault of an environment, numbers that are not "
    "finite, or anything unforeseen",
    EXIT_IO: "a file that cannot be read or written",
    EXIT_STOPPED: "stopped by a signal; `--resume` goes on",
    EXIT_CONFIG: "a value that no run can use",
}
