import sys, os, time
import tests.faults.test_whole_way as w
from tests.faults.test_whole_way import *
from tests.faults.test_whole_way import _wait_equal
for n in [n for n in globals() if n.startswith("test_")]: del globals()[n]
from streams.heart.frame import unpack
w.POSTS=5000; w.LAST_WORDS=500; w.REST_S=20.0
old=w.Truth.of.__func__
def of(cls, stage):
    t0=time.time()
    t=old(cls,stage)
    rows=0; seen=set()
    for one in w._read(stage.settings,"mentions"):
        f=unpack(one.value)
        rows+=len(f.rows)
        for r in f.rows: seen.add((f.names.brand[r["brand"]],int(r["partition"]),int(r["offset"])))
    print("outcomes",dict(t.outcomes),"rows",rows,"distinct",len(seen),"mentions",len(t.mentions))
    fig=t.figures(stage.brands.names)
    for win in ("1m","5m","1h","24h"): print(win,sum(v["mentions"] for (b,x),v in fig.items() if x==win), [round(v["mood"] or 9,3) for (b,x),v in fig.items() if x==win])
    for wk in stage.workers: print(wk.name, wk.page().counts("denyut_posts_total","outcome") if wk.name=="score" else wk.page().counts("denyut_mention_rows_total","outcome"))
    return t
w.Truth.of=classmethod(of)
def test_it(stage): 
    w.test_the_pages_say_what_was_sent_whoever_is_killed(stage)
from tests.faults.test_whole_way import stage
