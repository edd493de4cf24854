"""The heart: values in, values out. No clock, no I/O, no threads; the standard library, numpy, msgspec and the matcher.

Reading order: `post` (what a source carried), `brands` (which brands it names), `intake` (the score worker's pure
half), `frame` (how mentions travel), `facts` (what is counted), `ballot` (who has a vote), `watermark` (how time goes),
`pane` and `window` (what is shown), `tracker` (all of it together: the pulse worker's pure half). `errors` and `notice`
are the words in which all rooms speak of what went wrong and what happened.
"""
