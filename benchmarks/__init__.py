"""Measurements. Each script prints its figures with the command that made it; none is a test. See benchmarks/README.md."""
