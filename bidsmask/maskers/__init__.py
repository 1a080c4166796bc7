"""Faces for Python users: functions under the names and signatures of nilearn and nidataset."""
