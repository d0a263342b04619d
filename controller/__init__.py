"""Stampede's controller: drives real ACA-Py holders through a script and measures every step."""

__version__ = "0.1.0"
