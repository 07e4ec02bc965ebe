"""The machine under a run: signals, exit codes, lock, files, memory, CPUs."""
