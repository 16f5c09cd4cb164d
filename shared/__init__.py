"""What two services already need: events, queries, topology, bus, database, telemetry, settings."""
