"""The decoders of sources: from the bytes of a wire to happenings, on one core, from memory."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any, NamedTuple

from streams.settings import Settings
from streams.sources import hackernews, mastodon, news, push
from streams.sources.bluesky import POSTS, Decoder, Wire
from streams.sources.file import Maker, Options
from streams.sources.sse import Event as Line
from tests.bench.stage import Bench
from tests.bench.table import Row
from tests.sources.news_fake import Article, rss
from tests.sources.push_fake import created

COUNT = 20_000  # messages of a round
ROUNDS = 5
T0_US = 1_795_586_400_000_000
WORDS = ("kopi", "senja", "enak", "sekali", "pagi", "ini", "antrean", "panjang", "lambat", "barista", "ramah",
         "the", "new", "blend", "is", "too", "bitter", "for", "me", "hari", "hujan", "besok", "promo",
         "teman", "macet", "😊", "lumayan")


class Decoding(NamedTuple):
    """One source: messages as they come, and what reads one. `least`: of them a second."""

    name: str
    least: int
    frames: Callable[[int], Sequence[bytes]]
    decode: Callable[[bytes], object]
    note: str
    each: int = 1  # events in a message


def measured(decoding: Decoding, bench: Bench) -> Row:
    """Messages a second of one decoder; the best of some rounds, for other work only takes away."""
    frames, decode = decoding.frames(bench.size(COUNT)), decoding.decode
    best_s = min(_round(frames, decode) for _ in range(ROUNDS))
    rate = decoding.each * len(frames) / best_s
    size = sum(map(len, frames)) / len(frames) / decoding.each
    return Row(f"decoder of {decoding.name}, events a second", f">= {decoding.least:,}", f"{rate:,.0f}",
               rate >= decoding.least, f"CPU, one core; {decoding.note}; {size:.0f} bytes each, best of {ROUNDS}")


def _round(frames: Sequence[bytes], decode: Callable[[bytes], object]) -> float:
    began = time.process_time()
    for frame in frames:
        decode(frame)
    return time.process_time() - began


def jetstream(count: int) -> list[bytes]:
    """So many messages of Jetstream's first wire, as an hour with every sort of them would bring."""
    rng = Random(1)
    return [json.dumps(_event(rng, number), ensure_ascii=False, separators=(",", ":")).encode()
            for number in range(count)]


def _event(rng: Random, number: int) -> dict[str, Any]:
    did = _did(rng)
    head = {"did": did, "time_us": T0_US + 25_000 * number}
    draw = rng.random()
    if draw < 0.03:
        status = rng.choice(({"active": True}, {"active": False, "status": "deactivated"}))
        body = {"did": did, "seq": number, "time": "2026-11-25T06:00:00.000Z", **status}
        return head | {"kind": "account", "account": body}
    if draw < 0.10:
        body = {"did": did, "handle": f"contoh{number}.example", "seq": number, "time": "2026-11-25T06:00:00.000Z"}
        return head | {"kind": "identity", "identity": body}
    commit: dict[str, Any] = {"rev": "3maaaaaaaaa2a", "operation": "delete", "collection": POSTS,
                              "rkey": f"3m{number:011x}"}
    if draw < 0.15:
        commit["collection"] = "app.bsky.feed.threadgate"
    elif draw > 0.25:
        commit |= {"operation": "create", "record": _post(rng), "cid": "bafyrei" + "contoh" * 8}
    return head | {"kind": "commit", "commit": commit}


def _post(rng: Random) -> dict[str, Any]:
    """Two in five answer another, one in four holds a link, one in three a picture."""
    text = " ".join(rng.choices(WORDS, k=rng.randint(3, 45)))
    post: dict[str, Any] = {"$type": POSTS, "createdAt": "2026-11-25T05:59:58.123Z", "text": text,
                            "langs": [rng.choice(("id", "en"))]}
    if rng.random() < 0.4:
        parent = {"cid": "bafyrei" + "contoh" * 8, "uri": f"at://{_did(rng)}/{POSTS}/3mcontoh"}
        post["reply"] = {"parent": parent, "root": parent}
    if rng.random() < 0.25:
        feature = {"$type": "app.bsky.richtext.facet#link", "uri": "https://kopi.example/menu"}
        post["facets"] = [{"features": [feature], "index": {"byteEnd": 40, "byteStart": 12}}]
    if rng.random() < 0.33:
        image = {"$type": "blob", "ref": {"$link": "bafkrei" + "contoh" * 8}, "mimeType": "image/jpeg", "size": 312_345}
        ratio = {"height": 1200, "width": 900}
        post["embed"] = {"$type": "app.bsky.embed.images",
                         "images": [{"alt": "secangkir kopi", "aspectRatio": ratio, "image": image}]}
    return post


def _did(rng: Random) -> str:
    return "did:plc:" + "".join(rng.choices("abcdefghijklmnopqrstuvwxyz234567", k=24))


# Of the other sources one in this many is read: they have a hundredth of Bluesky's events, and HTML to be read.
FEW, ENTRIES = 20, 100


def statuses(count: int) -> list[bytes]:
    """So many statuses of Mastodon, as its stream sends them."""
    rng = Random(1)
    return [json.dumps(_status(rng, number), ensure_ascii=False).encode() for number in range(count // FEW)]


def _status(rng: Random, number: int) -> dict[str, Any]:
    text = " ".join(rng.choices(WORDS, k=rng.randint(3, 45)))
    account = {"id": str(number % 97), "acct": f"contoh{number % 97}", "noindex": False, "followers_count": 37}
    return {
        "id": str(115_000_000_000_000_000 + number), "uri": f"https://kota.example/users/contoh/statuses/{number}",
        "created_at": "2026-11-25T06:00:00.000Z", "edited_at": None, "language": "id", "visibility": "public",
        "content": f'<p>{text} <a href="https://kopi.example/menu" rel="nofollow">kopi.example/menu</a></p>',
        "spoiler_text": "", "in_reply_to_id": None, "in_reply_to_account_id": None, "reblog": None, "mentions": [],
        "tags": [], "media_attachments": [], "account": account}


def items(count: int) -> list[bytes]:
    """So many comments of Hacker News."""
    rng = Random(1)
    return [json.dumps({"id": number + 1, "type": "comment", "by": f"contoh{number % 97}", "time": 1_795_586_400,
                        "parent": number, "text": "<p>".join(" ".join(rng.choices(WORDS, k=20)) for _ in range(3))},
                       ).encode() for number in range(count // FEW)]


def documents(count: int) -> list[bytes]:
    """RSS of a hundred entries each."""
    rng = Random(1)
    return [rss([Article(str(number), "Kopi Senja", " ".join(rng.choices(WORDS, k=40))) for number in range(ENTRIES)])
            for _ in range(max(1, count // FEW // ENTRIES))]


def batches(count: int) -> list[bytes]:
    """Requests of a hundred events each, as a sender of ours makes them."""
    rng = Random(1)
    return [json.dumps([created(str(number), number, text=" ".join(rng.choices(WORDS, k=20)))
                        for number in range(ENTRIES)]).encode() for _ in range(max(1, count // ENTRIES))]


def _status_of(data: bytes) -> object:
    return _MASTODON.event(Line("update", data))


def rows(count: int) -> list[bytes]:
    """So many rows of a JSONL file."""
    rng = Random(1)
    return [json.dumps({"id": str(number), "text": " ".join(rng.choices(WORDS, k=20)), "author": f"contoh{number % 97}",
                        "created_at": "2026-11-25T06:00:00Z", "lang": "id"}).encode() for number in range(count // FEW)]


_MAKER = Maker(Options(), b"a key of the bench", lambda: 0, Settings().read_brands())


def _row(data: bytes) -> object:
    return _MAKER.make(1, json.loads(data))


_MASTODON = mastodon.Decoder("kota.example", "kota.example")
DECODINGS: Sequence[Decoding] = (
    Decoding("bluesky", 40_000, jetstream, Decoder(Wire.V1).decode,
             "three in four are posts, the others removals, accounts, identities and other collections"),
    Decoding("mastodon", 2_000, statuses, _status_of, "statuses, HTML to text"),
    Decoding("hackernews", 1_000, items, hackernews.Decoder().decode, "comments, HTML to text"),
    Decoding("news", 200, documents, news.Decoder().decode, "entries of RSS, a hundred a document", ENTRIES),
    Decoding("push", 20_000, batches, partial(push.Decoder("shop").decode, shape=push.Shape.BATCH),
             "events, a hundred a request", ENTRIES),
    Decoding("file", 5_000, rows, _row, "JSON lines, ids hashed and the record made as well"),
)
ROWS: Mapping[str, Callable[[Bench], Row]] = {
    f"decode-{decoding.name}": partial(measured, decoding) for decoding in DECODINGS}
