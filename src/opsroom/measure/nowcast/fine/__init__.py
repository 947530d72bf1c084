"""The factor model on weeks or days: series of every frequency load on their own periods' share of the factors."""
