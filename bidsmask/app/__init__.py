"""What to do, in which order, once: from Options and a Dataset to Outcomes."""
