"""Patches of ACA-Py and Askar, each for the version it was written for."""
