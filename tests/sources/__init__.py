"""The conformance suite: scenarios as data, a stage for each source, and one performance for all of them."""
