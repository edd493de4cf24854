"""News: conformance of three sorts of feeds, the decoder, the memory, and how politely it polls."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.heart.errors import BadSetting, Reason
from streams.heart.post import id64
from streams.sources.contract import Heard, Refused, Said
from streams.sources.news import FORGOTTEN, MAX_ENTRIES, MAX_SNIPPET, Decoder, Document, Entry, Memory, part_of
from streams.sources.news_reader import News, Options
from streams.sources.reader import lasting
from tests.sources.news_fake import EVERY_MS, FORMS, GARBAGE, TYPES, Article, NewsStage, Publisher, Shelf
from tests.sources.scenarios import (
    SCENARIOS,
    A,
    Again,
    B,
    C,
    Drop,
    Edit,
    Fail,
    Freeze,
    Garbage,
    Restart,
    Rewind,
    Say,
    Scenario,
    Step,
    Swap,
)
from tests.sources.stage import PATIENCE_S, QUICK, Known, performed

_ONE, _TWO = Say("one", A, "Kopi Senja buka cabang"), Say("two", B, "Harga Kopi Senja naik\nPelanggan kecewa")
_THREE, _FOUR = Say("three", A, "Kopi Senja: laba turun"), Say("four", C, "A bitter year for Kopi Senja")

# What feeds can say of the scenarios that also take something back.
OF_FEEDS = (
    Scenario("a restart", (_ONE, _TWO, Restart(), _THREE, Restart(), Edit("three", "Kopi Senja: laba naik"))),
    Scenario("a replayed memory", (_ONE, _TWO, Edit("one", "Kopi Senja buka"), _THREE, Rewind(3), _FOUR)),
    Scenario("entries come twice", (_ONE, _TWO, Again(2), _THREE)),
    Scenario("all that a feed can say", (
        _ONE, Drop(), _TWO, Again(3), Edit("one", "Kopi Senja buka dua cabang"), Garbage("not_json"), Fail(500), _THREE,
        Restart(), Freeze(), Edit("two", "Harga Kopi Senja turun lagi"), _FOUR, Rewind(4)),
        reasons=frozenset({"not_json"})),
)


def _untold(steps: Iterable[Step]) -> set[str]:
    """What of a scenario no feed can tell."""
    steps = tuple(steps)
    kinds = {type(step) for step in steps} | {type(step.second) for step in steps if isinstance(step, Swap)}
    bad = {f"garbage: {step.kind}" for step in steps if isinstance(step, Garbage) and step.kind not in GARBAGE}
    return {kind.__name__ for kind in kinds - NewsStage.can} | bad


TOLD = [*(scenario for scenario in SCENARIOS if not _untold(scenario.steps)), *OF_FEEDS]
LEFT_OUT = {scenario.name: _untold(scenario.steps) for scenario in SCENARIOS if _untold(scenario.steps)}


@pytest.mark.parametrize("scenario", TOLD, ids=lambda scenario: scenario.name)
@pytest.mark.parametrize("form", FORMS)
def test_what_is_known_in_the_end_is_what_was_said(form: str, scenario: Scenario) -> None:
    """Every scenario that a feed can tell ends as it must."""
    performed(NewsStage(form), scenario)


def test_scenarios_that_a_feed_cannot_tell_are_those_with_removals_and_dates() -> None:
    """A feed says nothing of what is gone, and its dates are not believed, so none is too absurd."""
    assert LEFT_OUT == {
        "a removal": {"Remove"},
        "an edit, then a removal": {"Remove"},
        "an author leaves": {"RemoveAuthor"},
        "a disconnect before an edit and a removal": {"Remove"},
        "events come twice": {"Remove"},
        "a removal before its post": {"Remove"},
        "a restart": {"Remove"},
        "a replayed cursor": {"Remove"},
        "an absurd date": {"garbage: bad_time"},
        "all at once": {"Remove"},
    }


# The decoder.

ARTICLES = [Article("urn:1", "Kopi & teh <baru>", "Enak\u00a0& murah 😊", "Ana", "2026-11-25T06:00:00Z")]


@pytest.mark.parametrize("form", FORMS)
def test_three_forms_say_the_same(form: str) -> None:
    """One article reads the same in RSS, Atom and JSON Feed, but for the date, of which RSS has none."""
    (entry,) = Decoder().decode(FORMS[form](ARTICLES), TYPES[form], "https://koran.example/rss").entries
    assert entry == Entry("urn:1", "Kopi & teh <baru>\nEnak & murah 😊", "https://koran.example/urn:1", "Ana", "id",
                          0 if form == "rss" else 1795586400)


def test_a_snippet_is_all_that_is_taken() -> None:
    """Of a long article no more than its title and 500 characters are read."""
    (entry,) = Decoder().decode(FORMS["rss"]([Article("urn:1", "Kopi", "kata " * 1000)])).entries
    assert len(entry.text) <= len("Kopi\n") + MAX_SNIPPET


def test_an_entry_without_an_id_is_known_by_its_link_or_title() -> None:
    """Whatever names it best names it, so that it is one post at every poll."""
    feed = (b"<rss version='2.0'><channel><item><title>Kopi</title><link>https://koran.example/1</link></item>"
            b"<item><title>Teh</title></item><item><description> </description></item></channel></rss>")
    assert [entry.id for entry in Decoder().decode(feed).entries] == [
        "https://koran.example/1", f"{id64('Teh'):016x}"]


def test_a_link_that_names_its_author_is_not_taken() -> None:
    """Some pages carry the handle of a person in their address."""
    feed = b'{"version": "https://jsonfeed.org/version/1", "items": [{"id": "1", "title": "Kopi", "url": "%s"}]}'
    links = [Decoder().decode(feed.replace(b"%s", url)).entries[0].link for url in (
        b"https://warta.example/@ana/1", b"https://warta.example/1", b"javascript:1")]
    assert links == [None, "https://warta.example/1", None]


def test_a_broken_feed_is_read_as_far_as_it_goes() -> None:
    """A document that breaks off after its first entry has one entry."""
    feed = FORMS["rss"]([Article("urn:1", "Kopi"), Article("urn:2", "Teh")])
    assert Decoder().decode(feed[:feed.index(b"<item><guid isPermaLink='false'>urn:2")]).entries[0].text == "Kopi"


@pytest.mark.parametrize(("data", "reason"), [
    (b"", Reason.WRONG_TYPE),
    (b"<html><body>Maaf</body></html>", Reason.WRONG_TYPE),
    (b"\xff\xfe\xff", Reason.NOT_UTF8),
    (b'{"version"', Reason.NOT_JSON),
    (b'{"items": []}', Reason.MISSING_FIELD),
    (b'{"version": "2", "items": []}', Reason.WRONG_TYPE),
    (b'{"version": "https://jsonfeed.org/version/1", "items": ' + b"[" * 100_000, Reason.NOT_JSON),
])
def test_what_is_no_feed_is_refused(data: bytes, reason: Reason) -> None:
    """A document of which nothing can be read is refused with a reason, and is no empty feed."""
    document = Decoder().decode(data)
    assert (document.entries, document.is_read, [one.reason for one in document.refused]) == ((), False, [reason])


def test_a_bad_item_does_not_spoil_the_others() -> None:
    """Items of a JSON Feed are read one by one."""
    feed = b'{"version": "https://jsonfeed.org/version/1", "items": [{"id": 1, "title": "Kopi"}, {"title": "?"}, 7]}'
    document = Decoder().decode(feed)
    assert [entry.id for entry in document.entries] == ["1"]
    assert [one.reason for one in document.refused] == [Reason.MISSING_FIELD, Reason.WRONG_TYPE]


def test_an_archive_is_cut_and_says_so() -> None:
    """A document with far too many entries gives the first ones, and a refusal."""
    document = Decoder().decode(FORMS["json"]([Article(f"urn:{at}", f"Kopi {at}") for at in range(MAX_ENTRIES + 1)]))
    assert (len(document.entries), document.refused) == (
        MAX_ENTRIES, (Refused(Reason.TOO_LARGE, f"{MAX_ENTRIES + 1} entries"),))


def test_a_document_with_entities_of_its_own_is_refused() -> None:
    """No feed needs any, and a few lines of them can grow without end."""
    feed = b'<!DOCTYPE r [<!ENTITY a "x">]><rss version="2.0"><channel><item><title>&a;</title></item></channel></rss>'
    assert Decoder().decode(feed) == Document((), (Refused(Reason.WRONG_TYPE, "entities"),), is_read=False)


def test_a_large_document_that_is_broken_is_cut() -> None:
    """What it takes to read broken XML grows with the square of its size; its beginning is read."""
    feed = FORMS["rss"]([Article(f"urn:{at}", "Kopi", "kata " * 5_000) for at in range(40)])
    whole, broken = Decoder().decode(feed), Decoder().decode(feed[:-20])
    assert (len(whole.entries), whole.refused) == (40, ())
    assert 10 < len(broken.entries) < 30
    assert broken.refused == (Refused(Reason.TOO_LARGE, f"{len(feed) - 20} bytes that are no XML"),)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_document_or_refused(data: bytes) -> None:
    """Whatever comes, the decoder does not raise, and what it gives can be kept and told."""
    _check(Decoder().decode(data, "text/xml; charset=nonsense"))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(FORMS)), st.data())
def test_a_mutated_feed_is_a_document_or_refused(form: str, data: st.DataObject) -> None:
    """A feed with some bytes replaced by others does not make the decoder raise."""
    feed = FORMS[form]([*ARTICLES, Article("urn:2", "Teh")])
    at = data.draw(st.integers(0, len(feed)))
    other = data.draw(st.one_of(st.binary(max_size=8), st.sampled_from(
        [b"&#xD800;", b"\\ud800", b"<![CDATA[", b"&nbsp;", b"<item>", b"</item>", b"[[[", b"null", b"1e999", b"-1"])))
    _check(Decoder().decode(feed[:at] + other + feed[at + data.draw(st.integers(0, 20)):], TYPES[form]))


def _check(document: Document) -> None:
    assert document.is_read or (document.refused and not document.entries)
    memory = Memory()
    for said in memory.learn("part", document.entries, 1_795_586_400_000):
        said.text.encode()
        said.native.encode()
        assert said.text.strip()
    assert Memory.read(memory.write()) == memory


# The memory.

NOW_MS = 1_795_586_400_000


def _learnt(*documents: list[Entry], is_first: bool = False) -> tuple[Memory, list[list[Said]]]:
    memory = Memory()
    told = [memory.learn("part", entries, NOW_MS + 60_000 * at, is_first=is_first and at == 0)
            for at, entries in enumerate(documents)]
    return memory, told


def test_without_memory_nothing_is_told() -> None:
    """All that stands in a feed when it is first seen was there before us, also when it is edited later."""
    _, told = _learnt([Entry("1", "kopi")], [Entry("1", "kopi susu"), Entry("2", "teh")], is_first=True)
    assert [[said.text for said in each] for each in told] == [[], ["teh"]]


def test_an_edit_bears_its_date_where_it_can_be() -> None:
    """The edit's `updated` is its rev, unless it does not rise or lies in the future: then it is now."""
    now_s = NOW_MS // 1000
    _, told = _learnt([Entry("1", "a")], [Entry("1", "b", updated_s=now_s + 30)], [Entry("1", "c", updated_s=now_s)],
                      [Entry("1", "d", updated_s=now_s + 10**8)])
    assert [said.rev for each in told for said in each] == [0, now_s + 30, now_s + 120, now_s + 180]
    assert {said.created_ms for each in told for said in each} == {NOW_MS}


def test_two_edits_in_one_second_are_two() -> None:
    """A rev rises with every edit, however quick."""
    memory = Memory()
    revs = [said.rev for text in "abc" for said in memory.learn("part", [Entry("1", text)], NOW_MS)]
    assert revs == [0, NOW_MS // 1000, NOW_MS // 1000 + 1]


def test_what_left_the_document_is_not_forgotten_at_once() -> None:
    """An entry that comes back to its feed is not told again; of those that left long ago not all are remembered."""
    memory, told = _learnt([Entry("1", "kopi")], [Entry("2", "teh")], [Entry("1", "kopi"), Entry("2", "teh")])
    assert told[2] == []
    for at in range(FORGOTTEN + 100):
        memory.learn("part", [Entry(f"n{at}", f"berita {at}")], NOW_MS)
    assert len(memory.seen) == FORGOTTEN + 1


def test_renumbered_entries_are_not_told_again() -> None:
    """A publisher who gives all entries new ids has said nothing new."""
    _, told = _learnt([Entry("http://k/1", "kopi")], [Entry("https://k/1", "kopi"), Entry("https://k/2", "teh")])
    assert [said.text for said in told[1]] == ["teh"]


def test_an_id_that_stands_twice_in_a_document_is_one_entry() -> None:
    """The first stands, at every poll; it is not edited to and fro."""
    twice = [Entry("1", "kopi"), Entry("1", "teh")]
    _, told = _learnt(twice, twice)
    assert [[said.text for said in each] for each in told] == [["kopi"], []]


def test_two_feeds_with_one_entry_are_two_posts() -> None:
    """An id is of its feed, and so is an author; a feed without authors is its own."""
    entry = Entry("1", "kopi", author="Ana")
    (first,), (other,) = (Memory().learn(part, [entry], NOW_MS) for part in ("a", "b"))
    assert (first.native, first.author, other.native, other.author) == ("a/1", "a/Ana", "b/1", "b/Ana")
    (own,) = Memory().learn("a", [Entry("1", "kopi")], NOW_MS)
    assert own.author == "a"


def test_a_memory_names_nobody() -> None:
    """What is kept is hashes, times and validators: no id, no name, no text."""
    memory, _ = _learnt([Entry("entri-satu", "kopi senja", "https://koran.example/1", "Ana")])
    assert not any(word in memory.write() for word in ("entri", "kopi", "koran", "Ana"))


@pytest.mark.parametrize("position", ["", "{", "[]", '{"seen": 7}', "[" * 100_000])
def test_a_memory_that_cannot_be_read_is_none(position: str) -> None:
    """Then the feed is as new: nothing is told of what stands in it."""
    assert Memory.read(position) is None


# The reader.

SLOW_MS = 300  # between polls, where a busy machine must not look like a dead feed

def _listen(publisher: Publisher, enough: Callable[[Known], bool], positions: Mapping[str, str] | None = None,
            act: Callable[[], None] = lambda: None, every_ms: int = EVERY_MS) -> list[Heard]:
    """Listens to all of a publisher's feeds until it is enough; `act`: what it does once something was heard."""
    all_heard: list[Heard] = []
    known = Known(positions=dict(positions or {}))

    async def listen() -> None:
        await publisher.start()
        source = News("news", Options(tuple(publisher.url(name) for name in publisher.shelves), every_ms), QUICK)
        hearing = lasting(source, dict(known.positions), known, QUICK)
        try:
            async with asyncio.timeout(PATIENCE_S), aclosing(hearing):  # type: ignore[type-var]  # a generator
                async for heard in hearing:
                    known.take(heard)
                    all_heard.append(heard)
                    if len(all_heard) == 1:
                        act()
                    elif enough(known):
                        return
        finally:
            await publisher.stop()

    asyncio.run(listen())
    return all_heard


def _said(all_heard: Iterable[Heard]) -> list[Said]:
    return [one for heard in all_heard for one in heard.happenings if isinstance(one, Said)]


def _positions(all_heard: Iterable[Heard]) -> dict[str, str]:
    return {part: said for heard in all_heard for part, said in heard.positions.items()}


def test_the_first_poll_tells_nothing() -> None:
    """Articles that stand there already are not told; one that comes later is."""
    shelf = Shelf(articles=[Article("urn:1", "Kopi")])
    heard = _listen(Publisher(a=shelf), lambda known: bool(known.texts),
                    act=lambda: shelf.articles.insert(0, Article("urn:2", "Teh")))
    assert [said.text for said in _said(heard)] == ["Teh"]


def test_a_feed_that_has_not_changed_is_not_sent_again() -> None:
    """Both validators go back to the server, which answers 304: a good poll, whose memory is not kept anew."""
    shelf = Shelf(articles=[Article("urn:1", "Kopi")])
    heard = _listen(Publisher(a=shelf), lambda _: shelf.unchanged >= 2)
    assert shelf.headers[-1]["If-Modified-Since"] == "Wed, 25 Nov 2026 06:00:00 GMT"
    assert sum(not part.endswith(".polled") for one in heard for part in one.positions) == 1


def test_first_sight_outlives_a_restart() -> None:
    """An edit after a restart bears the time at which the first version was seen."""
    shelf = Shelf()
    publisher = Publisher(a=shelf)
    heard = _listen(publisher, lambda known: bool(known.texts),
                    act=lambda: shelf.articles.append(Article("urn:1", "Kopi")))
    (first,) = _said(heard)
    shelf.articles[0] = Article("urn:1", "Kopi susu")
    edits = _said(_listen(publisher, lambda known: bool(known.texts), _positions(heard)))
    assert [(said.text, said.created_ms, said.rev > 0) for said in edits] == [("Kopi susu", first.created_ms, True)]


def test_what_left_the_feed_is_not_gone() -> None:
    """Feeds forget; nothing is told of it."""
    shelf = Shelf()

    def enough(known: Known) -> bool:
        if known.texts:
            shelf.articles.clear()
        return shelf.unchanged >= 2 and shelf.articles == [] and bool(known.texts)

    heard = _listen(Publisher(a=shelf), enough, act=lambda: shelf.articles.append(Article("urn:1", "Kopi")))
    assert [type(one) for each in heard for one in each.happenings] == [Said]


def test_a_long_absence_is_a_gap() -> None:
    """Between the last good poll, long ago, and the first one now, entries may have come and gone."""
    shelf = Shelf()
    publisher = Publisher(a=shelf)
    part = asyncio.run(_parts(publisher))["a"]
    heard = _listen(publisher, lambda known: bool(known.gaps), {
        part: Memory().write(), f"{part}.polled": str(NOW_MS)})
    (gap,) = [one.gap for one in heard if one.gap is not None]
    assert (gap.from_ms, gap.to_ms) == (NOW_MS, int(_positions(heard[:1])[f"{part}.polled"]))


async def _parts(publisher: Publisher) -> dict[str, str]:
    await publisher.start()  # its port is the same from now on
    await publisher.stop()
    return {name: part_of(publisher.url(name)) for name in publisher.shelves}


def test_a_dead_feed_holds_the_others_back_for_three_polls_only() -> None:
    """Its absence is told; after that, what the others know is claimed. What they say was told all along."""
    dead, alive = Shelf(status=500), Shelf()
    heard = _listen(Publisher(a=dead, b=alive), lambda known: bool(known.gaps and known.texts) and alive.polls >= 8,
                    act=lambda: alive.articles.append(Article("urn:1", "Kopi")), every_ms=SLOW_MS)
    gap_at = next(at for at, one in enumerate(heard) if one.gap is not None)
    assert [said.text for said in _said(heard)] == ["Kopi"]
    assert {one.until_ms for one in heard[:gap_at]} == {None}
    assert all(one.until_ms is not None for one in heard[gap_at:])


def test_a_claim_stands_still_while_a_feed_is_silent() -> None:
    """While every feed answers when it is due, all is known until now; then no later than when it should have."""
    shelf, other = Shelf(), Shelf()
    def enough(known: Known) -> bool:
        if shelf.polls >= 4:
            shelf.status = 500
        return bool(known.gaps)

    start_ms = time.time_ns() // 1_000_000
    heard = _listen(Publisher(a=shelf, b=other), enough, every_ms=SLOW_MS)
    claims = [one.until_ms for one in heard if one.until_ms is not None]
    assert claims == sorted(claims)
    gap = next(one.gap for one in heard if one.gap is not None)
    held = claims[-2]
    assert start_ms < gap.from_ms <= held <= gap.to_ms - 3 * SLOW_MS


def test_after_a_restart_no_more_is_claimed_than_was_known() -> None:
    """Until every feed could be read again, all is known up to the earliest of their last good polls."""
    publisher = Publisher(a=Shelf(status=500), b=Shelf())
    parts = asyncio.run(_parts(publisher))
    positions = {parts["a"]: Memory().write(), f"{parts['a']}.polled": str(NOW_MS),
                 parts["b"]: Memory().write(), f"{parts['b']}.polled": str(NOW_MS + 1000)}
    heard = _listen(publisher, lambda known: len(known.gaps) == 2, positions, every_ms=SLOW_MS)
    first, last = (at for at, one in enumerate(heard) if one.gap is not None)
    assert {one.until_ms for one in heard[first:last]} == {NOW_MS}
    assert (heard[last].until_ms or 0) > NOW_MS + 1000


def test_a_feed_that_is_gone_for_good_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """410 is asked once; the log says which feed it is, but not its address."""
    gone, alive = Shelf(answers=[web.Response(status=410)]), Shelf()
    with caplog.at_level(logging.INFO, "denyut.source"):
        _listen(Publisher(secret_path=gone, b=alive), lambda _: alive.polls >= 10)
    assert gone.asked == 1
    assert "feed 1 (127.0.0.1): 410" in caplog.text
    assert "secret_path" not in caplog.text


def test_when_all_feeds_are_gone_it_is_denied() -> None:
    """Then there is nothing left to poll, and it is the user's move."""
    publisher = Publisher(a=Shelf(status=410))
    with pytest.raises(TimeoutError):
        asyncio.run(asyncio.wait_for(_nothing(publisher), 0.5))
    assert publisher.shelves["a"].asked == 1


async def _nothing(publisher: Publisher) -> None:
    known = Known()
    await publisher.start()
    try:
        source = News("news", Options((publisher.url("a"),), EVERY_MS), QUICK)
        async for heard in lasting(source, {}, known, QUICK):
            raise AssertionError(heard)
    finally:
        await publisher.stop()
        assert "every feed is gone for good" in known.troubles[-1]


def test_a_server_that_asks_to_wait_is_not_asked_before() -> None:
    """Retry-After holds, in seconds or as a date; the other feeds go on."""
    later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 60))
    busy = Shelf(answers=[web.Response(status=429, headers={"Retry-After": "60"})])
    ill = Shelf(answers=[web.Response(status=503, headers={"Retry-After": later})])
    alive = Shelf()
    _listen(Publisher(a=busy, b=ill, c=alive), lambda _: alive.polls >= 20)
    assert (busy.asked, ill.asked) == (1, 1)


def test_a_feed_that_has_moved_is_followed_and_named(caplog: pytest.LogCaptureFixture) -> None:
    """A permanent redirect is followed at every poll and said once, without the address."""
    publisher = Publisher(old=Shelf(), b=Shelf())
    publisher.shelves["old"].answers = [
        web.Response(status=301, headers={"Location": "/b"}) for _ in range(100)]
    with caplog.at_level(logging.WARNING, "denyut.source"):
        _listen(publisher, lambda _: publisher.shelves["b"].polls >= 10)
    assert caplog.text.count("feed 1 (127.0.0.1) has moved for good, to 127.0.0.1") == 1


# The options.


@pytest.mark.parametrize(("urls", "why"), [
    ((), "no feed"),
    (("ftp://koran.example/rss",), "URL 1 (koran.example)"),
    (("https://koran.example/rss", "https:///rss"), "URL 2 (no host)"),
    (("http://[koran/rss",), "URL 1 (no host)"),
    (("https://koran.example/?key=k1",) * 2, "URL 1 (koran.example): expected once"),
])
def test_addresses_that_cannot_be_are_named(urls: tuple[str, ...], why: str) -> None:
    """By their place and host; the rest of an address may be a key."""
    with pytest.raises(BadSetting) as raised:
        Options(urls)
    assert why in str(raised.value)
    assert "k1" not in str(raised.value)


def test_a_list_is_a_file_with_one_address_a_line(tmp_path: Path) -> None:
    """Empty lines and remarks are none."""
    listed = tmp_path / "feeds.txt"
    listed.write_text("# koran\nhttps://koran.example/rss\n\n  https://warta.example/atom  \n")
    assert Options.read(("https://k.example/",), listed).urls == (
        "https://k.example/", "https://koran.example/rss", "https://warta.example/atom")
    with pytest.raises(BadSetting, match="--list"):
        Options.read((), tmp_path / "none.txt")


@pytest.mark.parametrize("every", ["59s", "soon", ""])
def test_publishers_are_not_asked_every_second(every: str) -> None:
    """A minute is the least, on a command line; what is no span is named."""
    assert Options.read(("https://k.example/",), every="10m").every_ms == 600_000
    with pytest.raises(BadSetting, match="--every"):
        Options.read(("https://k.example/",), every=every)
