"""A simulated head in a small BIDS dataset, with the truth written beside it."""
