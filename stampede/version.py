"""The version of Stampede, stated here and nowhere else."""

VERSION = "0.3.0"
