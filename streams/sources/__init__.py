"""Sources: where posts come from, one file each. A source knows its outside thing and `streams.heart.post`, no more."""
