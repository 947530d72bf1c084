"""The command line: `opsroom <noun> <verb>`."""
