"""The run in words: its outcome, a headline, and a sentence for each finding."""

from stampede.analysis.verdict.verdict import Verdict, build_verdict

__all__ = ["Verdict", "build_verdict"]
