"""The way of a post, from the wire to a mood you can watch.

    heart/    values in, values out: what a post is, which brands it names, what counts, what is shown
    edges     one outside thing each: sources/, feed, outbox, replay, topics, embedded (Kafka), agents/ (Faust), serve,
              metrics, logs, settings, clock, told and tell (swings read back; Alertmanager)
    hands     the only ones that start anything: cli, demo, board, backtest, aired (the demo's public on any Kafka)

An arrow points one way: hands import edges, edges import the heart, the heart imports itself (`tests/test_arrows.py`).
"""
