"""Networks for the firewall: checked, merged, split by family."""

import importlib.util
import pathlib

import pytest

PATH = pathlib.Path(__file__).parents[2] / "filter_plugins" / "nft_networks.py"
SPEC = importlib.util.spec_from_file_location("nft_networks", PATH)
MODULE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(MODULE)
nft_networks = MODULE.nft_networks


def test_merges_and_splits():
    assert nft_networks(["192.0.2.0/25", "192.0.2.128/25", "2001:db8::/32", "198.51.100.7"]) == {
        "ip": ["192.0.2.0/24", "198.51.100.7/32"],
        "ip6": ["2001:db8::/32"],
    }


def test_all_wrong_values_at_once():
    with pytest.raises(ValueError, match=r"example\.org.*10\.0\.0\.1/8 \(host bits are set; the network is 10\.0\.0\.0/8\)"):
        nft_networks(["example.org", "10.0.0.1/8", "10.0.0.0/8"])
