"""denyut-pipeline, for engineers: is the pulse well, and if not, which part of it?

For each worker: what it takes in, what goes wrong, how long it takes. Counters and histograms are summed over workers.
"""

from grafana_foundation_sdk.builders import stat, table, timeseries
from grafana_foundation_sdk.models.common import BigValueTextMode as TextMode

from deploy.grafana.boards import ask
from deploy.grafana.boards.parts import (
    BAD,
    CALM,
    EVEN,
    FAIR,
    GOOD,
    NOTICE,
    QUIET,
    SERIOUS,
    Ask,
    Board,
    Panel,
    Row,
    Says,
    Step,
    counts,
    fixed,
    from_zero,
    grid_of,
    limit,
    lines,
    listed,
    mapped,
    now_and_then,
    override,
    painted,
    sorted_by,
    source_variable,
    stacked,
    strip,
    tile,
)
from deploy.grafana.boards.words import LIVE, others, says
from streams.metrics import TOOK

OURS = 'job=~"denyut-.+"'
NO_TICKS = 'outcome!="tick"'
POD = "{{job}} {{instance}}"
QUIET_MINUTE = "no mentions"  # a quantile, or a share, of nothing is no number
OUTCOMES = ("matched", "unmatched", "rejected", "late", "early", "removal", "handed_back")
ROWS = ("new", "duplicate", "superseded", "removed", "sealed")
STEPS = ("opened", "explained", "risen", "closed", "withdrawn")
QUANTILES = (0.5, 0.95, 0.99)
UNSEEN = "What a worker does before its first scrape is not in it."

BLOCKS = ("written", "taken", "failed", "torn", "newer", "foreign")
_DELAYS = "max by (partition) (denyut_watermark_delay_seconds)"
_BLOCK_AGES = (
    "max by (partition) (denyut_partition_watermark_timestamp_seconds)"
    " - max by (partition) (denyut_block_timestamp_seconds)"
)


def spread(each: str, worse_than: int) -> str:
    """Of what is told of each partition the worst and the median, and the worst three of those above a number."""
    return (
        f'label_replace(max({each}), "partition", "worst", "", "")'
        f' or label_replace(quantile(0.5, {each}), "partition", "median", "", "")'
        f" or topk(3, {each} > {worse_than})"
    )


def board() -> Board:
    """The board."""
    return Board(
        uid="denyut-pipeline",
        title="Denyut: pipeline",
        text="The way of a post from the feed to the figure: rates, errors, durations, lag, and what it costs.",
        since="now-1h",
        variables=(source_variable(),),
        marks=(),
        others=others("denyut-pipeline", "datasource"),
        rows=(
            Row("Is it well", tuple(each.span(4).height(4) for each in (*alive(), *timely()))),
            Row("How far behind", tuple(each.span(8).height(8) for each in lag())),
            Row("Feed", (sent().span(18).height(7), refused().span(6).height(7))),
            Row("Sources", tuple(each.span(6).height(7) for each in (*listening(), *heard()))),
            Row("Score worker", tuple(each.span(8).height(8) for each in (*scoring(), *model()))),
            Row(
                "Pulse worker",
                (
                    *(each.span(8).height(8) for each in counting()),
                    *(each.span(10).height(8) for each in rounds()),
                    shown().span(4).height(8),
                ),
            ),
            Row(
                "Swings",
                (
                    *(each.span(8).height(7) for each in opened()),
                    *(each.span(10).height(7) for each in told()),
                    waiting().span(4).height(7),
                ),
            ),
            Row("Partitions", tuple(each.span(6).height(7) for each in moves())),
            Row("Blocks", tuple(each.span(8).height(7) for each in blocks())),
            Row("What it costs", tuple(each.span(8).height(7) for each in costs())),
            Row("Releases", (releases().span(24).height(9),)),
        ),
    )


def up(job: str, says: Says) -> stat.Panel:
    """How many of a job's processes answer, and of how many."""
    return tile(
        says,
        Ask(f'count(up{{job="{job}"}} == 1) or vector(0)', "up"),
        Ask(f'count(up{{job="{job}"}}) or vector(0)', "of"),
        steps=(Step(None, BAD), Step(1, QUIET)),
    )


def alive() -> tuple[stat.Panel, ...]:
    """Who is up, and works. Grey is well."""
    return (
        up(
            "denyut-score",
            says("Score workers", "none", "Score workers that answer a scrape, of all. None: no post gets a mood."),
        ),
        up(
            "denyut-pulse",
            says("Pulse workers", "none", "Pulse workers that answer a scrape, of all. None: no figures, no swings."),
        ),
        tile(
            says(
                "Posts",
                "suffix:/s",
                "Records of the posts topic that the score workers read each second, ticks left out.",
            ),
            Ask(ask.rate("denyut_posts_total", matchers=NO_TICKS)),
        ).decimals(1),
    )


def timely() -> tuple[stat.Panel, ...]:
    """How late figures are. Grey is well."""
    in_time = 'sum(rate(denyut_freshness_seconds_bucket{le="60.0"}[$__rate_interval]))'
    return (
        tile(
            says(
                "Post to figure, p95",
                "s",
                "From a post's arrival in Kafka to the reading that shows it. Without a figure nothing was mentioned.",
            ),
            Ask(ask.quantile(0.95, "denyut_post_to_metric_seconds")),
            steps=(Step(None, QUIET), Step(10, NOTICE), Step(60, SERIOUS)),
        )
        .decimals(1)
        .no_value(QUIET_MINUTE),
        tile(
            says(
                "Fresh within 60 s",
                "percentunit",
                "Mentions that were shown within 60 s of being written. The objective is 99 %; the alerts on it look",
                "at hours, this at the last minutes. Without a figure nothing was mentioned.",
            ),
            Ask(f"{in_time} / sum(rate(denyut_freshness_seconds_count[$__rate_interval]))"),
            steps=(Step(None, QUIET), Step(0, SERIOUS), Step(0.99, QUIET)),  # the first is also that of no figure
        )
        .decimals(1)
        .no_value(QUIET_MINUTE),
        tile(
            says(
                "Behind the clock",
                "s",
                "How far the log's time is behind the clock, worst partition. Above 300 s figures are a replay, and",
                "the marketers' alerts are muted.",
            ),
            Ask("max(denyut_watermark_delay_seconds)"),
            steps=(Step(None, QUIET), Step(60, NOTICE), Step(300, SERIOUS)),
        ).decimals(1),
    )


def quantiles(name: str) -> list[Ask]:
    """p50, p95, p99 of a histogram."""
    return [Ask(ask.quantile(of, name), f"p{of * 100:.0f}") for of in QUANTILES]


def waits(panel: timeseries.Panel) -> timeseries.Panel:
    """The quantiles in three colours."""
    return painted(panel, {"p50": EVEN, "p95": GOOD, "p99": SERIOUS})


def lag() -> tuple[timeseries.Panel, ...]:
    """Two kinds of lag, and their sum as readers feel it."""
    watermark = from_zero(
        says(
            "Behind the clock, by partition",
            "s",
            "How far the log's time is behind the clock: the worst partition, the median one, and by number the worst",
            "three of those that are more than a minute behind. All rise together: ticks have stopped, look at the",
            "feed. One rises: its score worker does not send marks.",
        ),
        Ask(spread(_DELAYS, 60), "{{partition}}"),
    )
    oldest = from_zero(
        says(
            "Oldest record not acked",
            "s",
            "Age of the oldest record that a worker has read and not finished. It grows when the model, or Kafka's",
            "acknowledgement, is too slow.",
        ),
        Ask(f"max by (job, instance) (denyut_oldest_unacked_seconds{{{OURS}}})", POD),
    )
    shown = from_zero(
        says(
            "From arrival to figure",
            "s",
            "From a post's arrival in Kafka to the reading that shows it. No feed's delay in it.",
        ),
        *quantiles("denyut_post_to_metric_seconds"),
    )
    for panel in (watermark, oldest):
        panel.fill_opacity(0)  # many lines
    painted(watermark, {"worst": GOOD, "median": EVEN})
    return limit(watermark, Step(None, "transparent"), Step(300, SERIOUS)), oldest, waits(shown)


def sent() -> timeseries.Panel:
    """What came in."""
    panel = stacked(
        says(
            "Sent by feeds",
            "suffix:/s",
            "Records that feeds delivered to the posts topic. Each feed sends a tick a second to every partition,",
            "also when nobody posts: without ticks time stops.",
        ),
        Ask(ask.rate("denyut_feed_sent_total", "kind"), "{{kind}}"),
    )
    return listed(panel, ("post", "removal", "tick", "none"))


def refused() -> stat.Panel:
    """What could not."""
    return tile(
        says(
            "Refused by Kafka",
            "none",
            "Records that feeds could not deliver in the time that the board shows, by why. Any is worth a look.",
        ),
        Ask(ask.happened_in_sight("denyut_feed_refused_total", "reason"), "{{reason}}"),
        steps=(Step(None, QUIET), Step(1, SERIOUS)),
    ).text_mode(TextMode.VALUE_AND_NAME)


def listening() -> tuple[Panel, ...]:
    """Whether feeds hear their sources, and how whole."""
    connected = strip(
        says("Connected", "none", "Whether the feed of each live source has a connection to it."),
        Ask(ask.or_none("min by (source) (denyut_source_up)", "source", -1), "{{source}}"),
    ).mappings(mapped({-1: ("no live source", QUIET), 0: ("not connected", SERIOUS), 1: ("connected", CALM)}))
    behind = from_zero(
        says(
            "Behind the source",
            "s",
            "How long ago the moment is up to which nothing of a source is missing. Seconds for a stream; one that is",
            "asked now and then rises until it is asked again.",
        ),
        Ask(ask.or_none("max by (source) (denyut_source_behind_seconds)", "source"), "{{source}}"),
    ).fill_opacity(0)
    gaps = counts(
        says(
            "Gaps",
            "s",
            "Time of a source in which something may have been said that will not come. A gap that was told before",
            "the first scrape of its feed is not in it, but is an alert.",
        ),
        Ask(ask.in_a_step(f"({ask.rate('denyut_source_gap_seconds_total', 'source')})"), "{{source}}"),
    )
    ended = counts(
        says(
            "Connections ended or failed",
            "none",
            "How often the connection to a source ended or could not be made, for whatever reason. Some a day are",
            "normal.",
        ),
        Ask(ask.happened("denyut_source_reconnects_total", "source"), "{{source}}"),
    )
    limit(behind, Step(None, "transparent"), Step(300, SERIOUS))
    return connected, behind, gaps, ended


def heard() -> tuple[Panel, ...]:
    """What comes from sources, and what of it can be used."""
    came = "denyut_source_happenings_total"
    outcomes = stacked(
        says(
            "Heard, by outcome",
            "suffix:/s",
            "What became of what came from live sources. Unmatched: it names no brand, and goes no further. Unknown:",
            "an edit or a removal of what was never sent. The line is what is dated more than a minute from when its",
            "server saw it, whatever became of it.",
        ),
        Ask(ask.rate(came, "outcome", 'outcome!="misdated"'), "{{outcome}}"),
        Ask(ask.rate(came, matchers='outcome="misdated"'), "misdated"),
    )
    by_source = stacked(
        says("Heard, by source", "suffix:/s", "How much comes from each live source, whatever becomes of it."),
        Ask(ask.rate(came, "source", 'outcome!="misdated"'), "{{source}}"),
    )
    unread = counts(
        says(
            "Refused, by reason",
            "none",
            "What came from a source and could not be read: dots are all of it, bars the five most frequent reasons.",
        ),
        Ask(ask.happened_most("denyut_source_refused_total", "reason"), "{{reason}}"),
    )
    override(outcomes, "misdated", custom_stacking={"mode": "none"}, custom_fillOpacity=0, custom_lineWidth=2)
    painted(listed(outcomes, TOOK), {"refused": SERIOUS, "misdated": NOTICE})
    return outcomes, by_source, dotted(unread), complete()


def complete() -> timeseries.Panel:
    """What missing sources do to brands."""
    of_brands = "min by (brand) (denyut_completeness_ratio)"
    panel = (
        lines(
            says(
                "Completeness of brands",
                "percentunit",
                "The share of a brand's usual mentions whose source was heard: the least of all brands, the median",
                "one, and by name the least three of those below 90 %, for which no swing is looked for.",
            ),
            Ask(
                f'label_replace(min({of_brands}), "brand", "least", "", "")'
                f' or label_replace(quantile(0.5, {of_brands}), "brand", "median", "", "")'
                f" or bottomk(3, {of_brands} < 0.9)",
                "{{brand}}",
            ),
        )
        .min(0)
        .max(1)
    )
    painted(panel, {"least": GOOD, "median": EVEN})
    return limit(panel, Step(None, SERIOUS), Step(0.9, "transparent"))


def dotted(panel: timeseries.Panel) -> timeseries.Panel:
    """Bars of the parts that there is most of, and dots for all together."""
    return override(
        panel,
        "all",
        color=fixed(EVEN),
        custom_drawStyle="points",
        custom_showPoints="always",
        custom_pointSize=4,
        custom_stacking={"mode": "none"},
    )


def scoring() -> tuple[timeseries.Panel, ...]:
    """Rate, errors, duration of the score workers."""
    outcome = stacked(
        says(
            "Posts by outcome",
            "suffix:/s",
            "What became of the records read, ticks left out. Unmatched name no brand and cost no inference. Handed",
            "back were read but not finished when partitions moved.",
        ),
        Ask(ask.rate("denyut_posts_total", "outcome", NO_TICKS), "{{outcome}}"),
    )
    rejects = counts(
        says(
            "Rejects by reason",
            "none",
            "Records that are no post: dots are all of them, bars the five most frequent reasons. Their",
            "coordinates are in denyut.rejects, never their text.",
        ),
        Ask(ask.happened_most("denyut_rejects_total", "reason"), "{{reason}}"),
    )
    inference = from_zero(
        says(
            "Inference, one batch",
            "s",
            "Time of the model for a batch. It goes with the tokens, not with the posts.",
        ),
        *quantiles("denyut_inference_seconds"),
    )
    return listed(outcome, OUTCOMES), dotted(rejects), waits(inference)


def model() -> tuple[timeseries.Panel, ...]:
    """What the model is given."""
    texts = stacked(
        says(
            "Texts by outcome", "suffix:/s", "Distinct texts: scored by the model, or remembered from shortly before."
        ),
        Ask(ask.rate("denyut_texts_total", "outcome"), "{{outcome}}"),
    )
    batch = from_zero(
        says("Texts in a batch", "none", "Mean and p95. Small batches at a high rate of posts waste the model."),
        Ask(ask.mean("denyut_batch_texts"), "mean"),
        Ask(ask.quantile(0.95, "denyut_batch_texts"), "p95"),
    ).decimals(1)
    tokens = from_zero(
        says(
            "Tokens",
            "suffix:/s",
            "Tokens given to the model each second: what the score workers' CPU goes into.",
        ),
        Ask(ask.rate("denyut_tokens_total"), "tokens"),
    )
    return (
        listed(texts, ("scored", "remembered")),
        painted(batch, {"mean": EVEN, "p95": GOOD}),
        painted(tokens, {"tokens": GOOD}),
    )


def counting() -> tuple[timeseries.Panel, ...]:
    """Rate, errors, duration of the pulse workers."""
    rows = stacked(
        says(
            "Rows by outcome",
            "suffix:/s",
            "Mentions that the pulse workers read live. Duplicates are replays and cost nothing in accuracy; sealed",
            "came too late for their pane.",
        ),
        Ask(ask.rate("denyut_mention_rows_total", "outcome"), "{{outcome}}"),
    )
    oddities = counts(
        says(
            "Edits, removals, unlisted",
            "none",
            "Edits and removals of posts, and mentions of brands that the pulse worker's brand file does not have:",
            "then score and pulse workers run different files.",
        ),
        Ask(ask.happened("denyut_floors_total"), "edits and removals"),
        Ask(ask.happened("denyut_unlisted_mentions_total"), "unlisted"),
    )
    fresh = from_zero(
        says(
            "Freshness",
            "suffix: s",  # in minutes the ticks would read 1.33
            "From a post's event time to the reading that shows it: what a reader feels, the feed's own delay",
            "included. The objective: 99 % within 60 s.",
        ),
        *quantiles("denyut_freshness_seconds"),
    )
    return (
        listed(rows, (*ROWS, "none")),
        painted(oddities, {"edits and removals": FAIR, "unlisted": SERIOUS}),
        limit(waits(fresh).axis_soft_max(60), Step(None, "transparent"), Step(60, SERIOUS)),
    )


def rounds() -> tuple[timeseries.Panel, ...]:
    """What the pulse workers' loop does."""
    return (
        waits(
            from_zero(
                says(
                    "One round of readings",
                    "s",
                    "CPU time to settle the panes and to make the readings, once a second at most.",
                ),
                *quantiles("denyut_reading_seconds"),
            )
        ),
        from_zero(
            says(
                "Event loop late",
                "s",
                "p95 of how late the event loops ran. High: the process is short of CPU, or blocked.",
            ),
            Ask(ask.quantile(0.95, "denyut_loop_lag_seconds", "job"), "{{job}}"),
        ),
    )


def shown() -> stat.Panel:
    """How many brands have figures, and of the present."""
    panel = tile(
        says(
            "Brands",
            "none",
            "Brands that have figures now, and those of them whose figures are a replay of the past: normal for a",
            "while after a start.",
        ),
        Ask("count(max by (brand) (denyut_replaying)) or vector(0)", "shown"),
        Ask("count(max by (brand) (denyut_replaying) == 1) or vector(0)", "replaying"),
    )
    steps = [{"value": None, "color": QUIET}, {"value": 1, "color": NOTICE}]
    return override(panel, "replaying", thresholds={"mode": "absolute", "steps": steps})


def opened() -> tuple[timeseries.Panel, ...]:
    """From votes to swings."""
    votes = stacked(
        says("Votes by sentiment", "suffix:/s", "Votes of the panes that closed: what the detector is given.", LIVE),
        Ask(ask.rate("denyut_votes_total", "sentiment"), "{{sentiment}}"),
    )
    swings = counts(
        says("Swings opened", "none", "Swings of mood that opened, coordinated ones as well, over all brands.", LIVE),
        Ask(ask.happened("denyut_swings_total", "direction"), "{{direction}}"),
    )
    steps = counts(
        says("Steps delivered", "none", "Steps of swings delivered to Kafka; the last ones once more after a restart."),
        Ask(ask.happened("denyut_swing_steps_total", "state"), "{{state}}"),
    )
    return (
        painted(votes, {"negative": SERIOUS, "neutral": EVEN, "positive": GOOD}),
        painted(swings, {"down": SERIOUS, "up": GOOD}),
        listed(steps, STEPS),
    )


def told() -> tuple[timeseries.Panel, ...]:
    """From swings to readers."""
    explained = counts(
        says(
            "Explanations",
            "none",
            "Swings asked for their terms. Empty: the posts are gone. Revised: a quoted one went. "
            "Failed, dropped: see the logs.",
        ),
        Ask(ask.happened("denyut_explanations_total", "outcome"), "{{outcome}}"),
    )
    tellings = counts(
        says(
            "Looks at Alertmanager",
            "none",
            "How often denyut tell looked for alerts to give reasons to. Failed: alerts go out all the same, without",
            "their terms.",
        ),
        Ask(ask.happened("denyut_tellings_total", "outcome"), "{{outcome}}"),
    )
    return (
        listed(explained, ("explained", "empty", "failed", "dropped")),
        painted(tellings, {"told": GOOD, "failed": SERIOUS, "none": QUIET}),
    )


def waiting() -> stat.Panel:
    """What Kafka has still to take."""
    return tile(
        says("Steps waiting", "none", "Steps of swings that Kafka has not taken yet. Zero most of the time."),
        Ask("sum(denyut_swing_steps_waiting) or vector(0)"),
        steps=(Step(None, QUIET), Step(1, NOTICE)),
    )


def moves() -> tuple[timeseries.Panel, ...]:
    """Partitions going from worker to worker."""
    rebalances = counts(
        says(
            "Rebalances",
            "none",
            "Assignments of partitions. Many without a rollout: workers die, or are too slow to answer.",
            UNSEEN,
        ),
        Ask(ask.happened("denyut_rebalances_total", "worker"), "{{worker}}"),
    )
    owned = from_zero(
        says(
            "Partitions by worker",
            "none",
            "Partitions that each worker owns. Those of one job's workers add up to the topic's number.",
        ),
        Ask('max by (job, instance) (denyut_partitions{job=~"denyut-(score|pulse)"})', POD),
    )
    owned.decimals(0).fill_opacity(0)  # not stacked: the two jobs own the same partitions
    recovery = counts(
        says(
            "Reading back",
            "s",
            "Time that pulse workers spent reading partitions back after assignments. The figures of those partitions",
            "wait for it.",
            UNSEEN,
        ),
        Ask(ask.in_a_step(f"({ask.rate('denyut_recovery_seconds_sum')})"), "reading back"),
    ).axis_soft_max(10)
    frames = counts(
        says(
            "Frames read back",
            "short",
            "Frames of the pulse workers' log that they read back after assignments: with a block some two hours of",
            "the log, without one all of it.",
            UNSEEN,
        ),
        Ask(ask.happened("denyut_recovered_frames_total"), "frames"),
    )
    return rebalances, owned, painted(recovery, {"reading back": GOOD}), painted(frames, {"frames": NOTICE})


def blocks() -> tuple[timeseries.Panel, ...]:
    """What a restart goes on from."""
    behind = from_zero(
        says(
            "Newest block behind its log",
            "s",
            "How far the newest block of a partition is behind the log's time: the worst partition, the median one,",
            "and by number the worst three of those that are more than 30 minutes behind. One is due every 10 minutes.",
        ),
        Ask(spread(_BLOCK_AGES, 1800), "{{partition}}"),
    ).fill_opacity(0)
    painted(behind, {"worst": GOOD, "median": EVEN})
    outcome = counts(
        says(
            "Blocks by outcome",
            "none",
            "Written: whole in Kafka. Taken: a recovery went on from it. Failed: given up, its partition went or Kafka",
            "refused. Passed over by a recovery, for the one before it: torn, of a newer release, of another log",
            "(foreign).",
            UNSEEN,
        ),
        Ask(ask.happened("denyut_blocks_total", "outcome"), "{{outcome}}"),
    )
    took = now_and_then(
        says("Writing a block", "s", "From the snapshot to the delivered manifest. Counting goes on meanwhile."),
        *quantiles("denyut_block_seconds"),
    )
    return limit(behind, Step(None, "transparent"), Step(1800, SERIOUS)), listed(outcome, BLOCKS), waits(took)


def costs() -> tuple[timeseries.Panel, ...]:
    """CPU, memory, files."""
    return (
        from_zero(
            says("CPU", "none", "Cores in use by each process."),
            Ask(ask.rate("process_cpu_seconds_total", "job, instance", OURS), POD),
        ).decimals(2),
        from_zero(
            says("Memory", "bytes", "Resident memory of each process. The model is most of the score worker's."),
            Ask(f"max by (job, instance) (process_resident_memory_bytes{{{OURS}}})", POD),
        ),
        from_zero(
            says("Open files", "none", "File descriptors in use, as a share of what the process may have."),
            Ask(f"max by (job, instance) (process_open_fds{{{OURS}}} / process_max_fds{{{OURS}}})", POD),
        )
        .unit("percentunit")
        .max(1),
    )


def releases() -> table.Panel:
    """Which release runs where."""
    panel = grid_of(
        says(
            "Releases",
            "none",
            "Which release runs in each process, with which model. Two models at once, outside of a rollout, mean",
            "that scores are not comparable.",
        ),
        {"job": "Job", "instance": "Instance", "worker": "Worker", "version": "Release", "model": "Model"},
        Ask("max by (job, instance, worker, version, model) (denyut_build_info)"),
        Ask(f"max by (job, instance) (1000 * process_start_time_seconds{{{OURS}}})", "Started"),
    )
    override(panel, "Started", unit="dateTimeAsIso")
    return sorted_by(panel, "Job")
