"""Freshness at scale: a catalogue and as many visitors with pushed lists, a mixed load upon them, and how late every effect is."""
