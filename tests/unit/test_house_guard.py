"""The tests' own guards hold: no host but this machine, one thread a worker."""

from __future__ import annotations

import os
import socket

import pytest


def test_connections_that_leave_the_machine_are_refused():
    for family, address in ((socket.AF_INET, ("192.0.2.1", 80)), (socket.AF_INET6, ("2001:db8::1", 80))):
        with socket.socket(family) as outside:
            with pytest.raises(AssertionError, match="outside host"):
                outside.connect(address)
            with pytest.raises(AssertionError, match="outside host"):
                outside.connect_ex(address)


def test_names_of_other_hosts_are_not_looked_up():
    with pytest.raises(AssertionError, match="outside host"):
        socket.create_connection(("example.org", 443), timeout=1)


def test_loopback_is_allowed():
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as client:
            client.sendall(b"ok")
        accepted, _ = server.accept()
        with accepted:
            assert accepted.recv(2) == b"ok"


def test_linear_algebra_has_one_thread_a_worker():
    assert os.environ["OMP_NUM_THREADS"] == "1"


def test_real_data_are_a_folder_or_a_reason(shared_data):
    assert (shared_data / "nowcast").is_dir()
