"""The way of a post, from the wire to a mood you can watch.

    heart/    values in, values out
        what was said    post, brands, intake; what is wrong with a brand file: lint, flaws, nearly, everyday, preview
        on the wire      frame, incident, block; packed (arrays), trail (where in the log which time was)
        counting         tracker, facts, names, ballot, pane, window, watermark, settled, health, notice, errors
        swings           minute, watch, swing, volume, usual, series; why: chance, reasons, terms, explain
    edges     one outside thing each
        posts come in    sources/ (a network each), door, kept, progress, ear, history (a file); air (the demo's public)
        Kafka            wire and knock (how it is reached), feed, outbox, replay, topics, keeping (their promises),
                         cursors, embedded, told (swings read back)
        agents/          on Faust: app, consumer, patient (a broker that goes away), probe (waits and proves);
                         score, model, batcher, brandfile; pulse, ward, hands, keeper (blocks); swings, quotes
        what is seen     serve, metrics, scrape (read back), logs, wording, tell (Alertmanager), moods, notebook, plot,
                         findings, doctor_kafka
        this process     settings, policy, clock, stop
        once more        rerun (the heart over history), recorded (scores kept), recount (the slow way, to compare)
    hands     the only ones that start anything: cli, demo, board, backtest, listen (a live source), aired (the demo's
              public on any Kafka), tryout (a brand file on a file of posts), doctor (what is wrong here)

An arrow points one way: hands import edges, edges import the heart, the heart imports itself (`tests/test_arrows.py`).
"""
