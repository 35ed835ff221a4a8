"""The appliance that bin/demo made, as the tests see it."""

import os
import pathlib

import pytest
from mail import MailSystem

ROOT = pathlib.Path(os.environ["CONGVU_ROOT"])


@pytest.fixture(scope="session")
def system():
    """The mail system of the demo's access.json."""
    return MailSystem.load(ROOT / "build" / "demo" / "quang-tri" / "access.json")


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
