"""Fuzzing: every decoder of a source against bytes that nobody meant. `python -m tests.fuzz` needs the extra `fuzz`."""
