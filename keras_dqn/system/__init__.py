"""Operating system: signals, exit codes, lock, files, memory, CPUs, watchdog."""
