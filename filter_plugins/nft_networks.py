# SPDX-License-Identifier: Apache-2.0
"""Filter nft_networks: networks, checked and merged, split by family."""

from __future__ import annotations

from collections.abc import Iterable

import netaddr

DOCUMENTATION = r"""
name: nft_networks
short_description: Networks, checked and merged, split by address family
description: Checks that each value is a network or address, merges what overlaps, and splits by family for nftables.
positional: _input
options:
  _input:
    description: Networks in CIDR notation or single addresses.
    type: list
    elements: str
    required: true
"""
EXAMPLES = r"""
sources: "{{ ['192.0.2.0/25', '192.0.2.128/25', '2001:db8::/32'] | nft_networks }}"
# {ip: [192.0.2.0/24], ip6: ['2001:db8::/32']}
"""
RETURN = r"""
_value:
  description: "Mapping with C(ip) and C(ip6), each a sorted list of networks."
  type: dict
"""


def nft_networks(values: Iterable[str]) -> dict[str, list[str]]:
    """Networks by nftables family, ``{"ip": [...], "ip6": [...]}``; ValueError names every value that is no network."""
    networks, wrong = [], []
    for value in values:
        try:
            network = netaddr.IPNetwork(str(value))
        except (netaddr.AddrFormatError, ValueError):
            wrong.append(f"{value!s} (not an address or network)")
            continue
        if network.ip != network.network:
            wrong.append(f"{value!s} (host bits are set; the network is {network.cidr})")
        networks.append(network)
    if wrong:
        raise ValueError("not networks in CIDR notation: " + ", ".join(wrong))
    merged = netaddr.cidr_merge(networks)
    return {"ip": [str(n) for n in merged if n.version == 4], "ip6": [str(n) for n in merged if n.version == 6]}


class FilterModule:
    """Ansible's entry point."""

    def filters(self):
        """The filters of this file."""
        return {"nft_networks": nft_networks}
