"""A Spark Connect server on this machine, for the tests: at the port given; it ends with its input."""

from __future__ import annotations

import sys

from pyspark.sql import SparkSession


def serve() -> None:
    """Start the server and wait."""
    options = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    session = (
        SparkSession.builder.master("local[1]")
        .config("spark.plugins", "org.apache.spark.sql.connect.SparkConnectPlugin")
        .config("spark.connect.grpc.binding.port", sys.argv[1])
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.memory", "1g")
        .config("spark.driver.extraJavaOptions", options)
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    session.stop()


if __name__ == "__main__":
    serve()
