"""The appliance that bin/demo made, as the tests see it."""

import os
import pathlib

import pytest
import yaml
from mail import MailSystem

ROOT = pathlib.Path(os.environ["CONGVU_ROOT"])
# The scenario's province; another one to try the tests on its demo by hand.
PROVINCE = os.environ.get("CONGVU_PROVINCE", "quang-tri")


@pytest.fixture(scope="session")
def system():
    """The mail system of the demo's access.json."""
    return MailSystem.load(ROOT / "build" / "demo" / PROVINCE / "access.json")


@pytest.fixture(scope="session")
def policy():
    """The regulation as data (mail_policy)."""
    return yaml.safe_load((ROOT / "inventories" / PROVINCE / "group_vars/all/policy.yml").read_text(encoding="utf-8"))["mail_policy"]


@pytest.fixture(scope="session")
def people(system):
    """Persons whose password is their own already."""
    return system.accounts("person")


@pytest.fixture(scope="session")
def sender(people):
    """One of them, who writes."""
    return people[0]


@pytest.fixture(scope="session")
def receiver(people):
    """Another, who reads."""
    return people[1]
