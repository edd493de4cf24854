"""The demo's public: the same for everybody, full of everything that real sources do, and of nothing that is real."""

import re
import tomllib
from collections import Counter, defaultdict
from functools import cache
from itertools import islice, pairwise, takewhile
from pathlib import Path
from random import Random

import pytest

from streams.heart.brands import Brands
from streams.heart.errors import BadPost, BadSetting
from streams.heart.post import Post, Removal, decode, epoch_ms, near_duplicate
from streams.sources.public import (
    SOURCE,
    START_MS,
    Campaign,
    Course,
    Crisis,
    Happening,
    Mood,
    Pace,
    Public,
    What,
    daylight,
    planned,
)
from streams.sources.sayings import Lean, Sayings

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
DEMO = Path(__file__).parent.parent / "streams" / "demo"


@cache
def crowd() -> tuple[Happening, ...]:
    """The first 30,000 records of a busy public; what the demo plans happens in them, a little sooner."""
    return tuple(islice(Public(seed=7, rate_per_s=200.0, events=planned(START_MS - 3 * HOUR_MS)), 30_000))


@cache
def posts(*kinds: What) -> list[tuple[Happening, Post]]:
    """The happenings of some kinds (none: all that are posts), read as a worker reads them."""
    found = []
    for happening in crowd():
        if happening.what is not What.BROKEN and (not kinds or happening.what in kinds):
            post = decode(happening.key, happening.value, frozenset({SOURCE}))
            if isinstance(post, Post):
                found.append((happening, post))
    return found


def soon(every_ms: int = DAY_MS) -> Course:
    """Ten minutes after the start, for half an hour."""
    return Course(START_MS + 10 * MINUTE_MS, 2 * MINUTE_MS, 26 * MINUTE_MS, 2 * MINUTE_MS, every_ms)


def said(public: Public, first_min: int, after_min: int) -> list[tuple[Happening, Post]]:
    """The posts that are born in some minutes after the start, with what they were sent as; edits left out."""
    found = []
    for happening in takewhile(lambda h: h.at_ms < START_MS + (after_min + 10) * MINUTE_MS, public):
        if happening.what in (What.POST, What.CAMPAIGN):
            post = decode(happening.key, happening.value, frozenset({SOURCE}))
            if isinstance(post, Post) and first_min <= (post.event_ms - START_MS) / MINUTE_MS < after_min:
                found.append((happening, post))
    return found


def test_same_seed_same_public() -> None:
    """Two runs of one seed agree to the byte, also when one object is asked twice; another seed differs."""
    events = (Crisis("kopi-lumora", soon()), Campaign("lajuro", soon()))
    public = Public(seed=3, events=events)
    first = list(islice(public, 2000))
    assert list(islice(public, 2000)) == first
    assert list(islice(Public(seed=3, events=events), 2000)) == first
    assert list(islice(Public(seed=4, events=events), 2000)) != first


def test_sent_in_order_and_never_before_the_start() -> None:
    """A feed may stamp records as they come: times never fall."""
    assert crowd()[0].at_ms >= START_MS
    assert all(a.at_ms <= b.at_ms for a, b in pairwise(crowd()))


def test_every_kind_happens() -> None:
    """Whatever a real source does is met within the first day, and plain posts are most of it."""
    counts = Counter(h.what for h in crowd())
    assert set(counts) == set(What)
    assert counts[What.POST] > 0.7 * len(crowd())


def test_rate_is_what_was_asked() -> None:
    """Over whole days of the public's, the watcher sees `rate_per_s` records a second."""
    public = Public(seed=1, rate_per_s=20.0)
    two_days = sum(1 for _ in takewhile(lambda h: h.at_ms < START_MS + 2 * DAY_MS, public))
    assert two_days / 720.0 == pytest.approx(20.0, rel=0.04)


def test_real_time_is_a_speed_like_another() -> None:
    """At speed 1 the two clocks agree."""
    public = Public(seed=1, rate_per_s=5.0, speed=1.0)
    some = list(islice(public, 500))
    assert public.pace.due_s(some[-1].at_ms) == (some[-1].at_ms - START_MS) / 1000


def test_day_lasts_six_minutes_by_default() -> None:
    """The pace turns one clock into the other and back."""
    pace = Public().pace
    assert pace.due_s(START_MS + DAY_MS) == 360.0
    assert pace.now_ms(360.0) == START_MS + DAY_MS
    assert Pace(5, 2.0).now_ms(0.5) == 1005


def test_nights_are_quiet() -> None:
    """Four in the night has a small part of the evening's talk, and a day averages to one."""
    hours = [daylight(START_MS + hour * HOUR_MS - 7 * HOUR_MS) for hour in range(24)]
    assert min(hours) == hours[3] or min(hours) == hours[4]
    assert max(hours) == max(hours[17:22]) > 5 * min(hours)
    assert sum(hours) / 24 == pytest.approx(1.0)


def test_edit_keeps_its_birth_and_raises_its_rev() -> None:
    """An edit is the same post: same id, same `created_at`, a higher `rev`, sent later."""
    born = {post.id: (happening, post) for happening, post in posts(What.POST, What.LATE, What.STALE)}
    edits = [(h, p) for h, p in posts(What.EDIT) if p.id in born]
    assert len(edits) > 100
    for happening, edit in edits:
        sent, post = born[edit.id]
        assert (edit.created_at, edit.author) == (post.created_at, post.author)
        assert edit.rev > post.rev
        assert edit.text != post.text
        assert happening.at_ms > sent.at_ms


def test_removals_name_posts_and_some_overtake_them() -> None:
    """A removal has a null value; an overtaking one is sent before its post."""
    sent = {h.key: h.at_ms for h in reversed(crowd()) if h.value is not None}
    removals = [h for h in crowd() if h.what in (What.REMOVAL, What.EARLY_REMOVAL)]
    for removal in removals:
        assert isinstance(decode(removal.key, removal.value, frozenset({SOURCE})), Removal)
    overtaking = [h for h in removals if h.what is What.EARLY_REMOVAL and h.key in sent]
    assert overtaking
    assert all(h.at_ms < sent[h.key] for h in overtaking)
    assert all(sent[h.key] < h.at_ms for h in removals if h.what is What.REMOVAL)


def test_some_come_again_after_their_removal() -> None:
    """Sources send what is gone; it must be there to be refused."""
    gone: set[bytes] = set()
    risen = 0
    for happening in crowd():
        if happening.what is What.REMOVAL:
            gone.add(happening.key)
        elif happening.what is What.AGAIN:
            risen += happening.key in gone
    assert risen


def test_lateness_is_what_its_name_says() -> None:
    """Sending minus birth: plain below the delay, late beyond it, stale beyond the grace, early before birth."""

    def lags(what: What) -> list[int]:
        return [happening.at_ms - post.event_ms for happening, post in posts(what)]

    def pane_end(post: Post) -> int:
        return (post.event_ms // 10_000 + 1) * 10_000

    assert max(lags(What.POST)) < 30_000
    assert all(30_000 <= h.at_ms - pane_end(p) < HOUR_MS for h, p in posts(What.LATE))
    assert all(h.at_ms - pane_end(p) >= HOUR_MS for h, p in posts(What.STALE))
    assert max(lags(What.EARLY)) < -60_000


def test_copies_are_one_text_of_many_authors() -> None:
    """A copied text comes from several people, some by the button and some by hand."""
    authors: dict[str, set[str | None]] = defaultdict(set)
    for _, post in posts(What.COPY):
        authors[post.text].add(post.author)
    assert max(map(len, authors.values())) >= 4
    assert {post.kind.value for _, post in posts(What.COPY)} >= {"repost", "post"}


def test_few_are_loud() -> None:
    """The loudest person writes hundreds of posts while most write one or two."""
    written = Counter(post.author for _, post in posts() if post.author)
    assert written.most_common(1)[0][1] > 300
    assert sorted(written.values())[len(written) // 2] <= 2


def test_broken_ones_are_refused_for_many_reasons() -> None:
    """Each broken record is a reject, and the reasons are spread."""
    reasons = set()
    for happening in crowd():
        if happening.what is What.BROKEN:
            with pytest.raises(BadPost) as caught:
                decode(happening.key, happening.value, frozenset({SOURCE}))
            reasons.add(caught.value.reason)
    assert len(reasons) >= 9


def test_brand_file_hears_them() -> None:
    """The packaged brand file matches what the public says of its brands, and nothing of the other talk."""
    brands = Brands.parse((DEMO / "brands.toml").read_text("utf-8"))
    heard = Counter(bool(brands.of(post)) for _, post in posts(What.POST, What.COPY, What.FOREIGN, What.LATE))
    assert heard[False] == 0
    assert not any(brands.of(post) for _, post in posts(What.OTHER))
    assert set(brands.names) == {subject.name for subject in Public().subjects}
    assert brands.file.brand[0].since_ms <= START_MS
    named = Counter(len(brands.of(post)) for _, post in posts(What.POST))
    assert named[2] > 100  # some compare two


def test_mood_moves_slowly_and_stays_near_its_base() -> None:
    """Weather, not swings: under 0.08 in an hour, within 0.3 of the base for a month."""
    for subject in Public(seed=5).subjects:
        mood = Public(seed=5).moods[subject.name]
        levels = [mood.at(START_MS + hour * HOUR_MS) for hour in range(24 * 30)]
        assert max(abs(a - b) for a, b in pairwise(levels)) < 0.08
        assert max(abs(level - subject.base) for level in levels) < 0.3
    assert Mood(2.0).at(0) == 1.0


def test_what_is_said_follows_the_mood() -> None:
    """A cheerful brand is praised, a hated one is not: the only place to plan a mood is `Mood`."""
    public = Public(seed=2, brands=["lajuro"])
    tally = {}
    for base in (-0.5, 0.5):
        public.moods["lajuro"] = Mood(base)
        texts = [decode(h.key, h.value, frozenset({SOURCE})) for h in islice(public, 4000) if h.what is What.POST]
        words = " ".join(p.text.lower() for p in texts if isinstance(p, Post))
        tally[base] = words.count("makasih") - words.count("kecewa")
    assert tally[-0.5] < 0 < tally[0.5]


def test_a_crisis_is_many_voices_on_one_topic() -> None:
    """While it holds, four times as much is said of its brand, most of it of one thing, hardly any of it copied."""
    def of_brand(*events: Crisis) -> list[str]:
        public = Public(seed=2, rate_per_s=300.0, events=events)
        spoken = next(s.spoken for s in public.subjects if s.name == "kopi-lumora")
        texts = [post.text for _, post in said(public, 12, 36)]
        return [text for text in texts if any(way.casefold() in text.casefold() for way in spoken)]

    calm, crisis = of_brand(), of_brand(Crisis("kopi-lumora", soon()))
    topics = Sayings.load().topics["kopi-lumora"]
    on_topic = [text for text in crisis if any(topic.casefold() in text.casefold() for topic in topics)]
    assert not any(topic.casefold() in text.casefold() for text in calm for topic in topics)
    assert len(crisis) / len(calm) == pytest.approx(4, rel=0.15)
    assert len(on_topic) / len(crisis) == pytest.approx(2 / 3, abs=0.08)
    assert len({near_duplicate(text) for text in on_topic}) > 0.9 * len(on_topic)


def test_every_phrase_of_a_crisis_names_its_topic() -> None:
    """Whoever counts the words of a crisis finds one of its topics in every phrase."""
    texts = tomllib.loads((DEMO / "texts.toml").read_text("utf-8"))
    for brand, crisis in texts["crisis"].items():
        assert brand in {subject.name for subject in Sayings.load().subjects}
        for lang in ("id", "en"):
            for phrase in (*crisis[lang]["negative"], *crisis[lang]["neutral"]):
                assert any(topic in phrase for topic in crisis["topic"])


def test_a_crisis_is_decided_by_the_mood() -> None:
    """It takes the mood of its brand down by what was planned, and of no other; before and after it is as it was."""
    events = (Crisis("kopi-lumora", soon(), depth=0.7),)
    calm, crisis = (Public(seed=2, events=of).moods for of in ((), events))
    for brand, mood in crisis.items():
        falls = [calm[brand].at(START_MS + m * MINUTE_MS) - mood.at(START_MS + m * MINUTE_MS) for m in (5, 20, 41)]
        assert falls == pytest.approx([0.0, 0.7 if brand == "kopi-lumora" else 0.0, 0.0])


def test_a_campaign_is_a_few_texts_of_many_new_accounts() -> None:
    """Copies, a few of which evade, four to each usual post of the brand; nobody of the public takes part."""
    campaign = Campaign("lajuro", soon(), evading=0.05)
    public = Public(seed=2, rate_per_s=300.0, events=(campaign,))
    posts = said(public, 0, 50)
    copies = [post for happening, post in posts if happening.what is What.CAMPAIGN]
    others = [post for happening, post in posts if happening.what is What.POST]
    clusters = Counter(near_duplicate(post.text) for post in copies)
    evading = sum(count for _, count in clusters.most_common()[3:])
    assert evading / len(copies) == pytest.approx(0.05, abs=0.03)
    assert len({post.author for post in copies}) > 0.9 * campaign.accounts
    assert not {post.author for post in copies} & {post.author for post in others}
    assert all(10 <= (post.event_ms - START_MS) / MINUTE_MS <= 40 for post in copies)
    usual = sum("lajuro" in post.text.casefold() for post in others) * 28 / 50  # the rising and the falling are halves
    assert len(copies) / usual == pytest.approx(4, rel=0.2)


def test_what_is_planned_comes_again() -> None:
    """The same at the same hours, every day; and no two plans of one brand overlap."""
    events = planned(START_MS)
    for event in events:
        hours = [event.course.at(START_MS + m * MINUTE_MS) for m in range(3 * 1440)]
        assert hours[:1440] == hours[1440:2880] == hours[2880:]
        assert 0.0 == hours[0] < max(hours) == 1.0
    assert len({event.brand for event in events}) == len(events)
    again = Public(seed=1, rate_per_s=300.0, events=(Campaign("lajuro", soon(every_ms=HOUR_MS)),))
    assert any(happening.what is What.CAMPAIGN for happening, _ in said(again, 70, 100))


def test_the_planned_crisis_is_over_in_time() -> None:
    """A detector that was warm at the latest moment has seen its end, and half an hour of calm, in three minutes."""
    public = Public()
    for event in planned(START_MS):
        begin_s, end_s = (public.pace.due_s(ms) for ms in (event.course.start_ms, event.course.end_ms + HOUR_MS // 2))
        assert begin_s > 100  # 360 minutes of mentions, and then some without
        assert end_s < 150  # the workers take their time to start, too


@pytest.mark.parametrize("event", [Crisis("lajuru", soon()), Crisis("lajuro", soon()), Campaign("quovira", soon())])
def test_what_has_no_words_is_not_planned(event: Crisis | Campaign) -> None:
    """A crisis or a campaign of a brand for which there are no phrases is refused at once."""
    with pytest.raises(BadSetting, match=event.brand):
        Public(events=(event,))


def test_no_handles_no_real_links_no_endless_texts() -> None:
    """Nothing points to anybody: no @, links only to the reserved `.example`, and texts stay short."""
    for _, post in posts():
        assert "@" not in post.text
        for host in re.findall(r"https?://([^/\s]+)", f"{post.text} {post.url or ''}"):
            assert host.endswith(".example")
        assert len(post.text) < 400


def test_templates_leave_no_seams() -> None:
    """No slot stays unfilled."""
    assert not any(re.search(r"[{}\x00]", post.text) for _, post in posts())


def test_there_is_enough_to_say() -> None:
    """Hundreds of different sayings per language before any small letter or short form is counted."""
    sayings, rng = Sayings.load(), Random(1)
    for lang, least in (("id", 400), ("en", 250)):
        said = {sayings.say(rng, subject, lang, lean).casefold()
                for subject in sayings.subjects for lean in Lean for _ in range(60)}
        assert len(said) >= least


def test_reviews_are_credited_short_and_nameless() -> None:
    """The borrowed reviews name their source and licence, and hold no handle, phone number or link."""
    notice = (DEMO / "NOTICE").read_text("utf-8")
    assert "PRDECT-ID" in notice
    assert "MIT" in notice
    lines = (DEMO / "reviews.jsonl").read_text("utf-8").splitlines()
    assert 200 <= len(lines) <= 400
    assert all(len(line) < 200 for line in lines)
    assert not re.search(r"@|https?:|www\.|\d{5}", "\n".join(lines))


def test_unknown_brand_is_refused_with_a_hint() -> None:
    """A brand nobody speaks of is the user's mistake, and so is a rate of nothing."""
    with pytest.raises(BadSetting, match="did you mean lajuro"):
        Public(brands=["lajuru"])
    with pytest.raises(BadSetting, match="rate_per_s"):
        Public(rate_per_s=0)


def test_birth_is_on_the_publics_clock() -> None:
    """Every plain post is born between the start and its sending."""
    for happening, post in posts(What.POST):
        assert START_MS <= epoch_ms(post.created_at) <= happening.at_ms
