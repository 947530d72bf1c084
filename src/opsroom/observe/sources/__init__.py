"""Readers of the kinds of file that providers send beside CSV and Parquet."""
