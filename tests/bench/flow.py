"""The whole way under load: both workers, a real Kafka, and posts as they come."""

import time

import msgspec

from streams.feed import Feed, Rules, Ticking
from streams.heart.post import Post, encode, from_ms
from streams.sources.public import SOURCE, Happening, What
from tests.bench.score import kafka_to_kafka
from tests.bench.stage import Bench, Stall
from tests.bench.table import Row

SHARE = 0.7
SECONDS = 60
ARRIVAL = "denyut_post_to_metric_seconds"


def post_to_metric(bench: Bench) -> Row:
    """From a post's arrival in Kafka to the reading that shows it, at 70 % of what the score worker can do."""
    if bench.capacity is None:
        bench.capacity = kafka_to_kafka(bench)
    rate, seconds = SHARE * bench.capacity, max(bench.size(SECONDS), 5)
    settings = bench.topics()
    with bench.worker("score", settings), bench.worker("pulse", settings) as pulse, \
            Feed(settings, "bench", (SOURCE,), rules=Rules()) as feed, Ticking(feed, _now_ms):
        posts, began_s = bench.posts[:int(rate * seconds)], time.monotonic()
        for at, post in enumerate(posts):
            time.sleep(max(began_s + at / rate - time.monotonic(), 0.0))
            feed.send(_happening(post))
        took_s = time.monotonic() - began_s
        page = pulse.wait(lambda page: page.count(f"{ARRIVAL}_count") >= len(posts), 1.0)
    p50, p95 = (page.quantile(ARRIVAL, share) or 0.0 for share in (0.5, 0.95))
    return Row("post to metric at 70 % of capacity, p95", "<= 5 s", f"{p95:.1f} s", p95 <= 5,
               f"{len(posts) / took_s:.0f} posts/s for {took_s:.0f} s through both workers and Kafka on this one "
               f"machine; p50 {p50:.1f} s")


def _happening(post: Post) -> Happening:
    now_ms = _now_ms()
    return Happening(now_ms, post.key, encode(msgspec.structs.replace(post, created_at=from_ms(now_ms))), What.POST)


def _now_ms() -> int:
    return int(time.time() * 1000)


def loop(bench: Bench) -> Row:
    """What the event loops of all workers were like that ran for the other rows."""
    if not bench.stalls:
        return Row("event loop of either worker", "no stall over 50 ms", "no worker ran", None,
                   "ask for it together with other rows")
    said = [_worst(worker, [one for one in bench.stalls if one.worker == worker]) for worker in ("score", "pulse")]
    longest = max(one.longest_ms for one in bench.stalls)
    return Row("event loop of either worker", "no stall over 50 ms", f"{longest:.0f} ms", longest <= 50,
               "longest callback since the group was joined, in all runs of this table: "
               + "; ".join(one for one in said if one))


def _short(what: str) -> str:
    """Of a chain of coroutines the first that is none of the libraries' own."""
    ours = [name for name in what.split(" > ") if not name.startswith(("Service.", "Recovery.", "Signal.", "Fetcher."))]
    return ours[0] if ours else what.split(" > ", maxsplit=1)[0]


def _worst(worker: str, stalls: list[Stall]) -> str:
    if not stalls:
        return ""
    longest = max(stalls, key=lambda one: one.longest_ms)
    return (f"{worker} {longest.longest_ms:.0f} ms in `{_short(longest.what)}`, "
            f"{sum(one.late for one in stalls)} of {sum(one.beats for one in stalls)} beats 50 ms late")
