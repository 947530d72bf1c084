"""Explosive behaviour of prices and ratios: tests, dates, panels, monitoring, and thousands of series."""
