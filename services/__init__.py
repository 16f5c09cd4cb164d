"""Four independent services; none imports another."""
