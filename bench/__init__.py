"""Benchmarks: a registry of cases, each with its peer where there is one."""
