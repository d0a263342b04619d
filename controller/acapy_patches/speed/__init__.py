"""Patches that take work off an agent, or memory, and change nothing else: what is patched gives what ACA-Py's own
gives.

What they spare, in one line each, is in the patches' ``reason``; ``benchmarks/agent_cpu.py`` measures each.
"""
