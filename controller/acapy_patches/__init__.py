"""Patches of ACA-Py and its libraries: one file per patch or small group, ``registry`` applies them.

After an upgrade, ``python -m controller.acapy_patches`` lists what no longer fits.
"""
