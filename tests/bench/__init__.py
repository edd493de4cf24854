"""Bench: what we promise about speed and memory, measured on this machine. `make bench`, or `python -m tests.bench`.

One function a row; each says what it ran. Times are compared with something run beside them wherever that is possible.
"""
