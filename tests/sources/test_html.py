"""Plain text from HTML: what a reader would see."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.sources.html import MAX_HTML, plain

LINK = ('<a href="https://warta.example/kopi/2026"><span class="invisible">https://</span>'
        '<span class="ellipsis">warta.example/ko</span><span class="invisible">pi/2026</span></a>')
MENTION = '<span class="h-card"><a href="https://kota.example/@ana" class="u-url mention">@<span>ana</span></a></span>'
PARTS = ("<p>", "</p>", "<br>", "<br/>", "<b", ">", "<", "/", "</", "<script>", "</script>", "<!--", "-->", "<![", "<!",
         "&", "&amp;", "&#", "&#x110000;", "&#0;", '"', "'", "a", " ", "\n", "=", "<pre>", "<svg>", "</svg", "kopi",
         '<p class="quote-inline">', "<title>", "\x00", "\ud800", "<a href='")


@pytest.mark.parametrize(("html", "text"), [
    ("", ""),
    ("Kopi Senja", "Kopi Senja"),
    ("<p>satu</p><p>dua</p>", "satu\n\ndua"),
    ("<p>satu<br>dua<br/>tiga<BR />empat</p>", "satu\ndua\ntiga\nempat"),
    ("satu<p>dua<p>tiga", "satu\n\ndua\n\ntiga"),
    ("<p></p><p> </p><p>satu</p><p></p><p></p><p>dua</p>", "satu\n\ndua"),
    ("a &amp; b &lt;c&gt; &#128522; &nbsp; d &#x1F60A;", "a & b <c> 😊 d 😊"),
    ("5 &lt; 6 & 7 > 6 <3", "5 < 6 & 7 > 6 <3"),
    ("&amp;lt;b&amp;gt;", "&lt;b&gt;"),
    (LINK, "https://warta.example/kopi/2026"),
    (f"{MENTION} enak", "@ana enak"),
    ('<a href="/t/kopi" class="hashtag">#<span>kopi</span></a>', "#kopi"),
    ("satu <script>alert('<p>dua</p>')</script>tiga", "satu tiga"),
    ("satu <style>p { color: red }</style>tiga", "satu tiga"),
    ("satu <script>dua", "satu"),
    ("<svg><title>x</title><svg></svg>y</svg>satu", "satu"),
    ('<p class="quote-inline">RE: <a href="https://kota.example/1">kota.example/1</a></p><p>setuju</p>', "setuju"),
    ('<p class="quote-inline">RE: satu<p>setuju', "setuju"),
    ("satu<!-- <p>dua</p> -->tiga<!-- empat", "satutiga"),
    ('<img alt="a > b" src="x">satu', "satu"),
    ("<a title='>>'>satu</a>", "satu"),
    ("<a title='satu>dua", "dua"),
    ("<b", "<b"),
    ("<ul><li>satu</li><li>dua</li></ul>tiga", "satu\ndua\n\ntiga"),
    ("<pre><code>satu\n  dua</code></pre>", "satu\ndua"),
    ("satu\n  dua\ttiga", "satu dua tiga"),
    ("<div>satu</div><div>dua</div>", "satu\ndua"),
    ("&#" + "9" * 5000 + ";", "\N{REPLACEMENT CHARACTER}"),
    ("<p onclick=\"x('<p>')\">satu</p>", "satu"),
])
def test_plain(html: str, text: str) -> None:
    """Each piece of HTML is the text that a page shows."""
    assert text == plain(html)


@given(st.lists(st.sampled_from(PARTS), max_size=40).map("".join))
def test_anything_has_a_text(html: str) -> None:
    """Whatever is broken, nothing raises."""
    assert isinstance(plain(html), str)


@given(st.text(max_size=200))
def test_escaped_text_comes_back(text: str) -> None:
    """What a server escapes is read back, but for blanks, which a page does not show as they are."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    kept = "".join(sign for sign in text if not sign.isspace())
    shown = plain(escaped)
    assert kept == "".join(sign for sign in shown if not sign.isspace())


@pytest.mark.parametrize("part", ["<", "<!--", "<![", "<!", "<?", "</", "</a", "<a ", "<a x='", '<a x="', "<a x=",
                                  "<a/", "a<", "'<a '", "<a x='y' ", "<a\n", "<a b c ", "&", "&#", "<script>",
                                  "</script", "<div>", "<p>", "<svg>", '<a ">', '"><a "'])
@pytest.mark.parametrize("end", ["", ">", "'>", '">'])
def test_no_html_takes_long(part: str, end: str) -> None:
    """The time grows with the length alone, whatever repeats: no piece of it makes the reader look back, or ahead."""
    began_s = time.process_time()
    plain((part * (MAX_HTML // len(part)))[:MAX_HTML - len(end)] + end)
    assert time.process_time() - began_s < 5.0  # 0.1 s on a small machine; what looks back takes minutes
