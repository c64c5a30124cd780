"""Whom a request comes from, whatever it says about itself."""

from __future__ import annotations

import pytest

from playground.runs.queue.client_networks import ClientNetworks, network_of

ANN, EVIL = "8.8.4.4", "1.1.1.1"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        (ANN, ANN), (" 8.8.4.4 ", ANN), ("::ffff:8.8.4.4", ANN), ("2606:4700:1:1234::5", "2606:4700:1:1200::/56"),
        ("[2606:4700:1:12ff::9]", "2606:4700:1:1200::/56"),
    ],
)  # fmt: skip
def test_a_public_address_is_a_network(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    "address",
    ["", "127.0.0.1", "::1", "10.16.3.80", "192.168.0.7", "172.17.0.1", "169.254.169.254", "100.64.0.1", "fe80::1%eth0",
     "fd00::1", "0.0.0.0", "224.0.0.1", "localhost", "testclient", "8.8.4", "0x8.8.8.8", "8.8.8.8:1", "x" * 10_000],
)  # fmt: skip
def test_all_else_is_none(address: str) -> None:
    assert network_of(address) is None


def test_what_a_network_used_is_known_by_its_jobs() -> None:
    networks = ClientNetworks()
    networks.started("first", ANN)
    networks.started("second", ANN)
    networks.started("nobody's", None)
    for job in ("first", "nobody's", "unheard of"):
        networks.add(job, 60)
    assert [networks.seconds(job) for job in ("first", "second", "nobody's")] == [60, 60, 0]
    assert networks.jobs(ANN, ["first", "second", "nobody's"]) == 2
    assert networks.jobs(None, ["first", "nobody's"]) == 0
    networks.keep(["second"])  # "first" has just come, for all that is known
    networks.keep(["second"])
    assert networks.jobs(ANN, ["first", "second"]) == 1
    assert networks.seconds("second") == 60, "what a deleted run has used stays used"
