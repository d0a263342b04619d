"""What a run will take, planned by what a finished one cost, and that plan beside what the run then used."""
