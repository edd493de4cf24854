"""Sources: where posts come from. A source keeps `contract`, is helped by `reader`, and knows its own outside thing and
`streams.heart.post`, no more. `file`, `public` and `sayings` are older: a file, and the demo's invented public."""
