"""File names, entities, sidecars, tables and atomic writing. Nothing here opens a voxel."""
