"""Beside the factor model: autoregression, bridge equations, MIDAS, a mixed-frequency BVAR, and their pooling."""
