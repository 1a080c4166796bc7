"""NIfTI images: headers, grids, volumes read one by one. Knows nothing of BIDS."""
