"""The door: what enters, what stays outside, and that no one who spoke can be told by what entered."""

import re
import time
from collections.abc import Iterable, Sequence
from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.door import NO_WORDS, Door, Record, Verdict, masked
from streams.heart.brands import Brands
from streams.heart.errors import Reason
from streams.heart.post import MAX_CHARS, MAX_PROMPTED, MAX_REV, Kind, alias_key, decode, post_key, pseudonym
from streams.kept import Kept
from streams.sources.contract import AuthorGone, BadEdit, Gone, Happening, Refused, Said

SECRET = b"a key that only this test has"
NOW = 1_795_586_400_000
BRANDS = Brands.parse("""
    number = 1
    published = 2026-01-01T00:00:00Z
    [[brand]]
    name = "kopi-senja"
    any = ["kopi senja", "@kopisenja", "@senja*"]
    own.accounts = ["bluesky:did:plc:toko"]
    own.tags = ["#senjahemat"]
    """)
NAMED = "Kopi Senja enak"


def door(*, everything: bool = False, is_pushed: bool = False) -> Door:
    return Door("bluesky", SECRET, Kept("bluesky"), everything=everything, is_pushed=is_pushed)


def said(native: str = "one", text: str = NAMED, **more: Any) -> Said:
    return Said(**{"native": native, "text": text, "created_ms": NOW, "author": "did:plc:ana", **more})


def post_of(record: Record) -> Any:
    return decode(record.key, record.value, frozenset({"bluesky"}))


def folded(records: Iterable[Record]) -> dict[bytes, bytes | None]:
    return {record.key: record.value for record in records}


def entered(at: Door, *happenings: Happening) -> list[Verdict]:
    return [at.let_in(one, BRANDS, NOW) for one in happenings]


def test_a_post_that_names_a_brand_enters_without_its_ids() -> None:
    """What was an id is a keyed hash, and nothing of it is left anywhere in the record."""
    reply = said(native="at://did:plc:ana/app/1", reply_to="at://did:plc:toko/app/0", kind=Kind.REPLY)
    verdict, = entered(door(), reply)
    post = post_of(verdict.records[0])
    assert "post" == verdict.outcome
    assert post.id == post_key("bluesky", "at://did:plc:ana/app/1", SECRET)
    assert post.author == pseudonym("bluesky", "did:plc:ana", SECRET)
    assert post.reply_to == post_key("bluesky", "at://did:plc:toko/app/0", SECRET)
    assert b"plc" not in verdict.records[0].key + (verdict.records[0].value or b"")


def test_a_post_that_names_no_brand_stays_outside() -> None:
    """Nobody's words are kept who does not speak of a brand; unless everything is wanted."""
    other = said(text="pagi semua")
    assert Verdict("unmatched") == entered(door(), other)[0]
    assert "post" == entered(door(everything=True), other)[0].outcome


def test_an_edit_that_names_no_brand_any_more_loses_its_words() -> None:
    """The version before it must not count, and what it says now is none of our business."""
    _, edit = entered(door(), said(), said(text="tutup akun", rev=5))
    assert ("edit", NO_WORDS, 5) == (edit.outcome, post_of(edit.records[0]).text, post_of(edit.records[0]).rev)


def test_a_post_that_is_told_anew_without_the_brand_loses_its_words_too() -> None:
    """Not every source numbers its versions: other words of a post that stands in the log are an edit of it."""
    at = door()
    _, edit, again = entered(at, said(), said(text="tutup akun"), said(text="tutup akun"))
    assert ("edit", NO_WORDS, 1) == (edit.outcome, post_of(edit.records[0]).text, post_of(edit.records[0]).rev)
    assert (Verdict("repeated"), Verdict("repeated")) == (again, entered(at, said())[0])


def test_an_edit_of_what_was_never_sent_stays_outside_or_enters_by_its_own_words() -> None:
    """Whether the first version was known or not, only what names a brand is sent."""
    assert Verdict("unknown") == entered(door(), said(text="pagi", rev=5))[0]
    assert "edit" == entered(door(), said(rev=5))[0].outcome


def test_every_version_bears_the_time_of_the_first() -> None:
    """A source that dates an edit by its edit does not move the post."""
    _, edit = entered(door(), said(), said(rev=9, text="Kopi Senja, lain kali", created_ms=NOW + 3_600_000))
    assert post_of(edit.records[0]).event_ms == NOW


def test_what_was_sent_is_not_sent_again() -> None:
    """A replayed cursor costs nothing but the reading."""
    first, *others = entered(door(), said(rev=3), said(rev=3), said(rev=2), said(rev=9))
    assert ["edit", "repeated", "repeated", "repeated"] == [one.outcome for one in (first, *others)]
    assert not any(one.records for one in others)  # the same words under a higher number are no edit either


def test_no_version_moves_a_post_or_matches_by_another_time() -> None:
    """Also an edit that is dated before its post; and what an edit names is what it named when it was first said."""
    later = Brands.parse("""
        number = 1
        published = 2026-01-01T00:00:00Z
        [[brand]]
        name = "kopi-senja"
        any = ["kopi senja"]
        [[brand]]
        name = "teh-fajar"
        any = ["teh fajar"]
        from = 2026-11-25T06:30:00Z
        [[brand]]
        name = "kopi-senja"
        any = ["kopi senja"]
        from = 2026-11-25T06:30:00Z
        own.accounts = ["bluesky:did:plc:toko"]
        """)
    at = door()
    at.let_in(said(author="did:plc:toko"), later, NOW)
    early = at.let_in(said(rev=1, text="Kopi Senja, lagi", created_ms=NOW - 60_000), later, NOW)
    late = at.let_in(said(rev=2, text="Teh Fajar, Kopi Senja", created_ms=NOW + 3_600_000, author="did:plc:toko"),
                     later, NOW)
    other = at.let_in(said(rev=3, text="Teh Fajar", created_ms=NOW + 3_600_000), later, NOW)
    assert [NOW] * 3 == [post_of(one.records[0]).event_ms for one in (early, late, other)]
    assert ((), NO_WORDS) == (post_of(late.records[0]).prompted, post_of(other.records[0]).text)


def test_what_is_said_of_a_post_goes_along_and_goes_with_its_words() -> None:
    """Language, page and reach are sent; an edit that names no brand keeps none that tells what it says."""
    post, edit = (post_of(one.records[0]) for one in entered(
        door(), said(lang="id", url="https://a.example/1", reach=7, kind=Kind.REVIEW),
        said(text="tutup akun", rev=5, url="https://a.example/1", reach=7)))
    assert ("id", "https://a.example/1", 7, Kind.REVIEW) == (post.lang, post.url, post.reach, post.kind)
    assert (None, None) == (edit.url, edit.reach)


def test_other_words_under_the_same_number_are_an_edit() -> None:
    """A source without numbers tells edits too; and one beyond the largest number still enters."""
    _, edit, last = entered(door(), said(), said(text="Kopi Senja mahal"),
                            said(text="Kopi Senja murah", rev=MAX_REV + 5))
    assert [("edit", 1), ("edit", MAX_REV)] == [(one.outcome, post_of(one.records[0]).rev) for one in (edit, last)]


def test_two_edits_in_one_second_are_two() -> None:
    """A source may tell edits apart by the second alone; the later one still stands, also when both are told again."""
    at = door()
    edits = said(rev=5, text="Kopi Senja, satu"), said(rev=5, text="Kopi Senja, dua")
    verdicts = entered(at, said(), *edits, *edits)
    assert ["post", "edit", "edit", "repeated", "repeated"] == [one.outcome for one in verdicts]
    assert [(5, "Kopi Senja, satu"), (6, "Kopi Senja, dua")] == [
        (post_of(one.records[0]).rev, post_of(one.records[0]).text) for one in verdicts[1:3]]


@pytest.mark.parametrize("rev", [0, 5])
def test_many_edits_in_one_second_are_as_many(rev: int) -> None:
    """Whoever corrects a slip twice within a second is heard; told again, also to a feed that was killed meanwhile, and
    in another order, each of them is the one that it was."""
    texts = ["Kopi Senja, satu", "tutup akun", "Kopi Senja, tiga", "Kopi Senja, empat"]
    at, kept = door(), Kept("bluesky")
    verdicts = entered(at, said(), *[said(rev=rev, text=text) for text in texts])
    records = [record for one in verdicts for record in one.records]
    posts = [post_of(record) for record in records]
    assert [NAMED, texts[0], NO_WORDS, *texts[2:]] == [post.text for post in posts]
    assert sorted({post.rev for post in posts}) == [post.rev for post in posts]
    for record in records:
        kept.take(record.key, record.value, NOW)
    for again in (at, Door("bluesky", SECRET, kept)):
        told = entered(again, said(), *[said(rev=rev, text=text) for text in [*texts, *texts[::-1]]])
        assert {Verdict("repeated")} == set(told)
    assert "edit" == entered(at, said(rev=rev + 100, text=texts[0]))[0].outcome, "who takes an edit back says it anew"


def test_a_removal_takes_out_what_stands_in_the_log_and_nothing_else() -> None:
    """A post that was never sent needs no removal; one that was gets exactly one."""
    at = door()
    unknown, _, removal, again = entered(at, Gone("two"), said(), Gone("one"), Gone("one"))
    assert ["unknown", "removal", "unknown"] == [one.outcome for one in (unknown, removal, again)]
    assert [Record(NOW, post_key("bluesky", "one", SECRET).encode(), None)] == list(removal.records)


def test_a_post_that_comes_after_its_removal_stays_outside() -> None:
    """Else its text would stand in the log for ever, and nobody would take it out again."""
    at = door()
    assert ["unknown", "gone", "gone"] == [v.outcome for v in entered(at, Gone("one"), said(), said(rev=7))]
    assert ["unknown", "gone"] == [v.outcome for v in entered(at, Gone(alias="host/7"), said("two", alias="host/7"))]


def test_what_was_pushed_and_taken_back_stays_outside_over_a_restart() -> None:
    """Its sender was told that it is removed, and will not say so again: also of a post that comes late, or an author's
    who has left. A network's removals of what was never here are not written, for there are too many."""
    taken = Gone("one"), Gone("one"), AuthorGone("did:plc:bayu"), AuthorGone("did:plc:bayu")
    late = said(), said("two", author="did:plc:bayu"), said("three")
    kept = Kept("bluesky")
    for verdict in entered(door(is_pushed=True), *taken):
        for record in verdict.records:
            assert record.value is None
            kept.take(record.key, record.value, NOW)
    kept.forget(NOW + 6 * 86_400_000)
    again = Door("bluesky", SECRET, kept, is_pushed=True)
    assert ["gone", "gone", "post"] == [one.outcome for one in entered(again, *late)]
    assert not any(one.records for one in entered(door(), *taken))


def test_a_removal_by_alias_finds_its_post() -> None:
    """Some sources call a removed post by another id than the post itself."""
    _, removal = entered(door(), said(alias="host/7"), Gone(alias="host/7"))
    assert [post_key("bluesky", "one", SECRET).encode()] == [record.key for record in removal.records]


def test_an_author_who_is_gone_takes_every_post_along() -> None:
    """All of theirs, and nobody else's."""
    _, _, _, gone, after = entered(door(), said("one"), said("two"), said("three", author="did:plc:bayu"),
                                   AuthorGone("did:plc:ana"), said("one"))
    assert {post_key("bluesky", one, SECRET).encode() for one in ("one", "two")} == {r.key for r in gone.records}
    assert all(record.value is None for record in gone.records)
    assert "gone" == after.outcome


def test_who_comes_back_keeps_what_was_written_since() -> None:
    """The old news that an account was hidden, told again by a replayed cursor, does not touch its new posts."""
    at = door()
    entered(at, said("old"))
    at.let_in(said("new", created_ms=NOW + 60_000), BRANDS, NOW + 60_000)
    entered(at, said("dated ahead", created_ms=NOW + 3_600_000))
    gone, = entered(at, AuthorGone("did:plc:ana", before_ms=NOW + 30_000))
    assert {post_key("bluesky", one, SECRET).encode() for one in ("old", "dated ahead")} == {
        record.key for record in gone.records}


def test_who_left_before_we_caught_up_takes_a_post_that_is_dated_ahead_along() -> None:
    """What a replay tells came when its server saw it, not when it reached us; also what another process had sent."""
    ahead = said(created_ms=NOW + 86_400_000, witnessed_ms=NOW - 600_000)
    left = AuthorGone("did:plc:ana", before_ms=NOW - 300_000)
    whole = door()
    sent, gone = entered(whole, ahead, left)
    kept = Kept("bluesky")
    kept.take(sent.records[0].key, sent.records[0].value, NOW)
    again = entered(Door("bluesky", SECRET, kept), ahead, left)
    assert [("author", 1), ("author", 1)] == [(one.outcome, len(one.records)) for one in (gone, again[1])]
    after = said(created_ms=NOW + 86_400_000, witnessed_ms=NOW - 200_000)
    assert () == entered(door(), after, left)[1].records, "what was seen after it stays"


def test_who_comes_back_may_speak() -> None:
    """Only who is gone for good is not listened to."""
    assert "post" == entered(door(), AuthorGone("did:plc:ana", before_ms=NOW - 1), said())[1].outcome
    assert "gone" == entered(door(), AuthorGone("did:plc:ana"), said())[1].outcome


def test_an_own_account_prompts_only_its_own_brand() -> None:
    """What it says of others is their affair."""
    two = Brands.parse("""
        number = 1
        published = 2026-01-01T00:00:00Z
        [[brand]]
        name = "kopi-senja"
        any = ["kopi senja"]
        own.accounts = ["bluesky:did:plc:toko"]
        [[brand]]
        name = "teh-fajar"
        any = ["teh fajar"]
        """)
    verdict = door().let_in(said(text="Teh Fajar enak", author="did:plc:toko"), two, NOW)
    assert () == post_of(verdict.records[0]).prompted


def test_no_post_is_prompted_by_more_brands_than_a_record_holds() -> None:
    """An account that belongs to them all, and names them all, is heard all the same."""
    brands = "".join(f'[[brand]]\nname = "b{n}"\nany = ["merek{n}"]\nown.accounts = ["bluesky:did:plc:toko"]\n'
                     for n in range(MAX_PROMPTED + 1))
    many = Brands.parse("number = 1\npublished = 2026-01-01T00:00:00Z\n" + brands)
    text = " ".join(f"merek{n}" for n in range(MAX_PROMPTED + 1))
    verdict = door().let_in(said(text=text, author="did:plc:toko"), many, NOW)
    assert MAX_PROMPTED == len(post_of(verdict.records[0]).prompted)


def test_own_accounts_prompt_what_they_write_and_what_answers_them() -> None:
    """The brand's own hand is known at the door, where accounts still have names."""
    own, answer, other = entered(door(), said("one", author="did:plc:toko"),
                                 said("two", refers="did:plc:toko"), said("three", refers="did:plc:bayu"))
    assert [("kopi-senja",), ("kopi-senja",), ()] == [post_of(v.records[0]).prompted for v in (own, answer, other)]


def test_handles_are_masked_but_those_of_brands() -> None:
    """Who is spoken to is nobody's business; what a brand is called is ours. Mail addresses are no handles."""
    text = "@ana.bsky.social bilang @KopiSenja.id dan @senja_jkt ramah, @bayu@warung.example! 2@10rb"
    assert "@user bilang @KopiSenja.id dan @senja_jkt ramah, @user! 2@10rb" == masked(text, BRANDS)
    assert "@user @user @user 好@user _@user" == masked("@xn--80ak6aa92e.com @@ana ＠ana 好@ana _@ana", BRANDS)
    assert "2@user@user 2@10rb" == masked("2@@ana@@ana 2@10rb", BRANDS)
    assert "user kata" == masked("did:plc:ana kata", BRANDS)
    verdict, = entered(door(), said(text=f"@ana.bsky.social: {NAMED}"))
    assert f"@user: {NAMED}" == post_of(verdict.records[0]).text
    assert "tulis ke @user" == masked("tulis ke ana.b@warung.example", BRANDS), "handles may be spelt like mail"
    links = ("https://bsky.app/profile/{0}/post/3k, https://k.example/@{0} https://k.example/users/{0} at://{0}/x "
             "BSKY.app/profile/{0} https://news.ycombinator.com/user?id={0} https://k.example/ap/users/{0}/statuses/1 "
             "deck.blue/profile/{0} http://localhost:3000/profile/{0}#a dari ")
    assert links.format("user") + "user" == masked(links.format("ana") + "did:plc:ana", BRANDS)


@given(st.lists(st.sampled_from(["@", "ana", ".", "-", "_", " ", "/", "👍"]), max_size=40), st.sampled_from([1, 150]))
def test_no_handle_passes_whatever_stands_around_it(parts: list[str], times: int) -> None:
    """However it is put, and however often: no text makes it slow."""
    assert not re.search("(?<![0-9A-Za-z])@ana", masked(times * "".join(parts), BRANDS))


@pytest.mark.parametrize("unit", ["@", "＠", "@a", "a@", "a@b.", "@a--", "@a@", "http://", "https://a/users/", "at://",
                                  "did:plc:", "bsky.app/profile/", "a.", "a-", "a.b/profile/", ".", "-", "_", " ", "ﷺ"])
def test_twice_the_text_takes_twice_the_time(unit: str) -> None:
    """Whatever repeats: a text of "@" alone once held a feed up for half a minute, again after every restart."""
    def seconds(length: int) -> float:
        text, best = (length * unit)[:length], float("inf")
        for _ in range(5):
            began_s = time.process_time()
            masked(text, BRANDS)
            best = min(best, time.process_time() - began_s)
        return best

    assert seconds(8 * 2000) < 20 * seconds(2000)  # the square would be 64


def test_a_text_that_is_too_long_is_not_looked_at() -> None:
    """Nor one of signs piled up without end, which take a square of their number to sort; known or not, edit or not."""
    for text, reason in (("x" * (MAX_CHARS + 1), "too_long"), ("\u0f73" * MAX_CHARS, "bad_text")):
        at = door()
        with mock.patch.object(Brands, "match", side_effect=AssertionError), mock.patch("streams.door.masked"):
            assert [Verdict("refused", reason=reason)] * 2 == entered(at, said(text=text), said(text=text, rev=5))


@pytest.mark.parametrize(("url", "kept"), [
    ("https://warung.example/1", True), ("https://ana:hush@warung.example/", False), ("ftp://warung.example", False),
    ("javascript:alert(1)", False), ("https://[bad", False)])
def test_a_link_is_a_page_and_holds_no_login(url: str, kept: bool) -> None:
    """It stands beside the text, and somebody may follow it."""
    verdict, = entered(door(), said(url=url))
    assert (url if kept else None) == post_of(verdict.records[0]).url


@pytest.mark.parametrize(("url", "names"), [
    ("https://k.example/@{0}/115", True), ("https://k.example/users/{0}/statuses/115", True),
    ("https://k.example/ap/users/{0}/statuses/115", True), ("https://bsky.app/profile/{0}.bsky.social/post/3k", True),
    ("https://deck.example/profile/did%3Aplc%3A{0}/post/3k", True), ("https://k.example/x?repo=did:plc:{0}", True),
    ("https://K.example/Users/{0}", True), ("https://k.example/%40{0}", True),
    ("https://k.example/?to={0}@b.example", True), ("https://k.example/users", False),
    ("https://news.example/users/", False), ("https://k.example/a/profile.html", False)])
def test_a_link_that_names_a_person_does_not_enter(url: str, names: bool) -> None:
    """A pseudonym beside an account's own address would be none. What is pushed is its sender's affair."""
    url = url.format("ana")
    for at, expected in ((door(), None if names else url), (door(is_pushed=True), url)):
        assert expected == post_of(entered(at, said(url=url))[0].records[0]).url


@pytest.mark.parametrize("text", ["lihat https://bsky.app/profile/kopi.senja/post/3", "@ana@kopi.senja hai"])
def test_a_brand_that_only_a_handle_names_is_not_named(text: str) -> None:
    """The handle does not enter, and then the post names nobody; also as an edit."""
    assert Verdict("unmatched") == entered(door(), said(text=text))[0]
    edit = entered(door(), said(), said(text=text, rev=5))[1]
    assert NO_WORDS == post_of(edit.records[0]).text


@pytest.mark.parametrize(("wrong", "reason"), [
    (said(created_ms=-1), "bad_time"),
    (said(created_ms=10**15), "bad_time"),
    (said(created_ms=-(10**18)), "bad_time"),
    (said(text=f"Kopi Senja \x00 {NAMED}"), "bad_text"),
    (said(text=f"{NAMED} \ud800"), "not_utf8"),
    (said(text=NAMED * 1000), "too_long"),
    (Refused(Reason.NOT_JSON), "not_json"),
], ids=["before time", "after time", "before all time", "NUL", "lone surrogate", "a document", "refused before"])
def test_what_a_worker_would_refuse_does_not_set_out(wrong: Happening, reason: str) -> None:
    """It is counted here, with the reason that it would have got there."""
    assert Verdict("refused", reason=reason) == entered(door(), wrong)[0]


@pytest.mark.parametrize(("wrong", "reason"), [
    (said(rev=5, text=f"{NAMED} \x00"), "bad_text"), (said(rev=5, text=NAMED * 1000), "too_long"),
    (said(rev=5, created_ms=-1), "bad_time"), (BadEdit(Reason.WRONG_TYPE, "text", "one", 5), "wrong_type")])
def test_an_edit_that_is_refused_takes_the_words_before_it_away(wrong: Happening, reason: str) -> None:
    """It is counted as refused, and what was said before is not said any more; told again, or of a post that nobody
    knows, nothing is written for it."""
    at = door()
    _, refused, again, *late = entered(at, said(), wrong, wrong, said(), said(rev=4, text="Kopi Senja, lagi"))
    post = post_of(refused.records[0])
    assert ("refused", reason, NO_WORDS, 5) == (refused.outcome, refused.reason, post.text, post.rev)
    assert NOW == post.event_ms
    assert [Verdict("refused", reason=reason), Verdict("repeated"), Verdict("repeated")] == [again, *late]
    assert "edit" == entered(at, said(rev=6, text="Kopi Senja, lagi"))[0].outcome
    assert Verdict("refused", reason=reason) == entered(door(), wrong)[0]


def test_a_time_that_its_server_contradicts_is_counted() -> None:
    """The author's clock is believed, but not in silence."""
    verdicts = entered(door(), *[said(str(apart), witnessed_ms=NOW + apart) for apart in (59_000, 61_000, -61_000)])
    assert [False, True, True] == [one.is_misdated for one in verdicts]


_names = st.sampled_from(["one", "two", "three"])
_happenings = st.one_of(
    st.builds(said, _names, st.sampled_from([NAMED, "Kopi Senja mahal", "pagi"]),
              created_ms=st.integers(NOW, NOW + 9), author=st.sampled_from(["did:plc:ana", "did:plc:bayu"])),
    st.builds(Gone, _names), st.builds(AuthorGone, st.sampled_from(["did:plc:ana", "did:plc:bayu"])))


def _in_order(happenings: Sequence[Happening]) -> list[Happening]:
    """The versions of a post as a source numbers them, the first one 0."""
    seen: dict[str, int] = {}
    out: list[Happening] = []
    for one in happenings:
        if isinstance(one, Said):
            one = msgspec.structs.replace(one, rev=seen.get(one.native, 0))  # noqa: PLW2901
            seen[one.native] = one.rev + 1
        out.append(one)
    return out


@given(st.lists(_happenings, max_size=25).map(_in_order), st.integers(0, 25))
def test_a_door_that_read_the_log_back_is_the_door_that_wrote_it(happenings: list[Happening], at: int) -> None:
    """Killed anywhere and told everything again, the log ends the same, and nothing enters after its removal."""
    whole = [record for verdict in entered(door(), *happenings) for record in verdict.records]
    first = door()
    before = [record for verdict in entered(first, *happenings[:at]) for record in verdict.records]
    kept = Kept("bluesky")
    for record in before:
        kept.take(record.key, record.value, NOW)
    again = Door("bluesky", SECRET, kept)
    log = before + [record for verdict in entered(again, *happenings) for record in verdict.records]
    removed: set[bytes] = set()
    for record in log:
        assert record.value is None or record.key not in removed
        removed |= {record.key} if record.value is None else set()
    assert {key for key, value in folded(log).items() if value is None} >= {
        key for key, value in folded(whole).items() if value is None}
    for key, value in folded(whole).items():
        if value is not None and key not in removed:
            assert msgspec.json.decode(folded(log)[key] or b"") == msgspec.json.decode(value)


def test_an_alias_is_a_hash_too() -> None:
    """It stands beside the text, so it must not tell the server's own id."""
    verdict, = entered(door(), said(alias="warung.example/115"))
    assert alias_key("bluesky", "warung.example/115", SECRET) == post_of(verdict.records[0]).alias
    assert b"warung" not in (verdict.records[0].value or b"")
