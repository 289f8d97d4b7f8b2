from __future__ import annotations

import ipaddress

import pytest

from image_registry_lab import addresses
from image_registry_lab.report import LabError


def test_every_node_has_an_address_a_pod_range_and_a_link_of_its_own() -> None:
    for values in (
        [addresses.node_address(node) for node in addresses.NODE_NAMES],
        [addresses.pod_range(node) for node in addresses.NODE_NAMES],
        [addresses.link(node) for node in addresses.NODE_NAMES],
    ):
        assert len(set(values)) == len(addresses.NODE_NAMES)


def test_nodes_are_on_the_cable_and_pods_and_services_lie_beside_it() -> None:
    cable = ipaddress.ip_network(f"{addresses.HOST}/{addresses.PREFIX_LENGTH}", strict=False)
    pods, services = ipaddress.ip_network(addresses.POD_RANGE), ipaddress.ip_network(addresses.SERVICE_RANGE)
    for node in addresses.NODE_NAMES:
        assert ipaddress.ip_address(addresses.node_address(node)) in cable
        assert ipaddress.ip_network(addresses.pod_range(node)).subnet_of(pods)  # type: ignore[arg-type]
    assert not cable.overlaps(pods)
    assert not pods.overlaps(services)
    assert ipaddress.ip_address(addresses.DNS_SERVICE) in services
    assert ipaddress.ip_address(addresses.KUBERNETES_SERVICE) == services[1]


@pytest.mark.parametrize("name", ["n0", "n10", "node", "", "n1/../x"])
def test_a_name_that_no_node_can_have_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="n1 to n9"):
        addresses.node_address(name)


def test_a_network_link_fits_into_what_the_kernel_allows() -> None:
    assert all(len(addresses.link(node)) <= 15 for node in addresses.NODE_NAMES)
