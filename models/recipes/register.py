"""Register: the same sentence as people type it. Labelled Indonesian is mostly written with care; posts are not.

In the reviews and comments that have labels, slang goes with complaints, and a model learns to hear a complaint in
slang. So a share of the Indonesian rows is respelled: everyday words, abbreviations, an intensifier behind its word,
a stretched vowel. The mood stays, the register does not.
Knows nothing of labels.
"""

import random
import re

# What is written with care, and what it becomes; words of the same meaning and mood in everyday Indonesian.
SPOKEN: dict[str, tuple[str, ...]] = {
    "tidak": ("gak", "ga", "nggak", "gk", "ngga", "tdk", "enggak"), "tak": ("gak", "ga"),
    "saya": ("gue", "gw", "aku", "gua", "sy"), "aku": ("gue", "gw", "ak"), "kamu": ("lo", "lu", "km", "kmu"),
    "anda": ("lo", "kamu", "km"), "kami": ("kita", "kt"), "mereka": ("mrk",), "dia": ("doi", "dy"),
    "yang": ("yg",), "dan": ("dan", "n", "sama"), "dengan": ("dgn", "sama", "ama"), "untuk": ("buat", "utk"),
    "karena": ("krn", "karna", "soalnya"), "tetapi": ("tapi", "tp"), "tapi": ("tp",), "namun": ("tapi", "tp"),
    "sudah": ("udah", "udh", "dah", "sdh"), "telah": ("udah", "udh"), "belum": ("blm", "belom"),
    "akan": ("bakal", "bakalan", "mau"), "bisa": ("bs", "bisa"), "dapat": ("bisa", "dpt"), "harus": ("hrs", "kudu"),
    "ingin": ("pengen", "pingin", "mau"), "mau": ("mo",), "jangan": ("jgn",), "hanya": ("cuma", "cuman", "cm"),
    "saja": ("aja", "aj", "doang"), "juga": ("jg", "juga"), "lagi": ("lg",), "sekarang": ("skrg", "skrng"),
    "kalau": ("kalo", "klo", "kl"), "jika": ("kalo", "klo"), "seperti": ("kayak", "kyk", "kaya"),
    "begitu": ("gitu", "gt"), "begini": ("gini",), "bagaimana": ("gimana", "gmn"), "kenapa": ("knp", "ngapa"),
    "mengapa": ("kenapa", "knp"), "siapa": ("sapa",), "memang": ("emang", "emg"),
    "benar": ("bener", "bnr"), "cepat": ("cepet",), "dapatkan": ("dapetin",), "banyak": ("bnyk", "byk"),
    "orang": ("org", "orang"), "teman": ("temen", "tmn"), "terima kasih": ("makasih", "makasi", "tengkyu", "tq"),
    "makan": ("mkn", "makan"), "membeli": ("beli",), "memberi": ("ngasih", "kasih"), "memakai": ("pake",),
    "pakai": ("pake", "pk"), "menggunakan": ("pake", "pakai"), "membuat": ("bikin",), "melihat": ("liat", "ngeliat"),
    "lihat": ("liat",), "bilang": ("blg", "bilang"), "mengatakan": ("bilang",), "pergi": ("cabut", "pergi"),
    "sampai": ("sampe", "smp", "nyampe"), "datang": ("dateng", "dtg"), "malas": ("males",), "dalam": ("dlm",),
    "dari": ("dr",), "pada": ("pd", "di"), "sama": ("sm",), "semua": ("smua", "semua"), "tempat": ("tmpt", "tempat"),
    "hari": ("hr", "hari"), "ini": ("ini", "nih", "ni"), "itu": ("itu", "tuh"), "nya": ("nya",), "jadi": ("jd",),
    "adalah": ("itu",), "kepada": ("ke",), "senang": ("seneng",), "pintar": ("pinter",), "enak": ("enak", "enakk"),
    "bagus": ("bagus", "bgus"), "kecewa": ("kecewa", "kciwa"), "hebat": ("hebat", "gokil"),
}
VERY = ("banget", "banget", "bgt", "bgt", "bgtt", "bngt", "parah", "pol", "abis")
# sangat enak -> enak banget, but sangat tidak enak stays; enak sekali -> enak banget, but sama sekali (at all), sekali
# lagi (once more) and seminggu sekali (once a week) stay.
_BEFORE = re.compile(r"\b(?:sangat|amat)\s+(?!(?:tidak|tak|tdk|gak|ga|bukan|belum)\b)(\w{3,})", re.IGNORECASE)
_AFTER = re.compile(r"\b(?!(?:sama|kali|satu|hari|pekan|\w*minggu|\w*bulan|\w*tahun)\b)(\w{3,})\s+sekali\b"
                    r"(?!\s+(?:lagi|pun))", re.IGNORECASE)
_WORD = re.compile(r"terima kasih|\w+", re.IGNORECASE)
_STRETCH = re.compile(r"[aiueo](?=\w?\b)")
SHARE, EACH, STRETCHED = 0.5, 0.7, 0.1


def respelled(text: str, rng: random.Random) -> str:
    """A text in everyday spelling: each word that has one takes it in most places.

    >>> respelled("Makanannya sangat enak dan tidak mahal", random.Random(10))
    'Makanannya enak banget n tidak mahal'
    """
    def very(found: re.Match[str]) -> str:
        return f"{found.group(1)} {rng.choice(VERY)}"

    def spoken(found: re.Match[str]) -> str:
        known = SPOKEN.get(found.group().lower())
        return rng.choice(known) if known and rng.random() < EACH else found.group()

    return _WORD.sub(spoken, _AFTER.sub(very, _BEFORE.sub(very, text)))


def stretched(text: str, rng: random.Random) -> str:
    """A text with the last vowel of one word held.

    >>> stretched("enak", random.Random(1))
    'enaak'
    """
    places = [found.start() for found in _STRETCH.finditer(text)]
    if not places:
        return text
    at = rng.choice(places)
    return text[:at] + text[at] * rng.randint(2, 3) + text[at + 1:]


def typed(text: str, lang: str, rng: random.Random) -> str:
    """A text as it may as well have been typed; half of the Indonesian and most of the others are left as they are."""
    if lang == "id" and rng.random() < SHARE:
        text = respelled(text, rng)
    return stretched(text, rng) if rng.random() < STRETCHED else text
