"""From volumes to rows: Extractors, and the Signals they give."""
