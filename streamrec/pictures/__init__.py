"""Pictures to vectors: fetching them safely, decoding, image encoders, and how they move an item's vector."""
