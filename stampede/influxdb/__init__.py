"""Writing points to InfluxDB, during a run and when journals are replayed."""
