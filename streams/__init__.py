"""The way of a post, from the wire to a mood you can watch.

    heart/    values in, values out: what a post is, which brands it names, what counts, what is shown
    edges     one outside thing each: sources/ (a network each), wire and knock (how Kafka is reached), feed, outbox,
              replay, topics, cursors, embedded (Kafka), agents/ (Faust), serve, metrics, logs, settings, keeping (the
              topics' promises), policy, clock, told and tell (swings read back; Alertmanager); and on the way in:
              door, kept, progress, ear
    hands     the only ones that start anything: cli, demo, board, backtest, listen (a live source), aired (the demo's
              public on any Kafka), tryout (a brand file on a file of posts), doctor (what is wrong here)

An arrow points one way: hands import edges, edges import the heart, the heart imports itself (`tests/test_arrows.py`).
"""
