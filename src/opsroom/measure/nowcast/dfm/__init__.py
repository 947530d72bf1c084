"""The dynamic factor model by itself: fitted to transformed data, asked for nowcasts, news and a likelihood."""
