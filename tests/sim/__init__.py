"""The simulator: public moods whose swings are known, and the detector judged by them.

    python -m tests.sim            quick: false alarms, recall, delay, under a minute
    python -m tests.sim --full     every preset, beside the usual detectors, with intervals

    streams      minute by minute sums of made-up brands, and the truth about them
    judge        alerts against the truth
    baselines    what others do: a z-score, and rules that other makers publish

Knows nothing of posts, authors or Kafka: it starts where the minutes of a brand are already summed.
"""
