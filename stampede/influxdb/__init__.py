"""Writing points to InfluxDB: while a run goes on, and when journals are replayed."""
