"""What a run will take, planned by what a finished one cost: ``stampede plan``, and ``stampede compare PLAN.json RUN``."""
