"""The group level: what the participant level wrote, joined."""
