"""The appliance that bin/demo made, as the tests see it."""

import os
import pathlib
import subprocess

import pytest
import yaml
from demo import Demo
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


@pytest.fixture(scope="session")
def secret_values(system):
    """Name -> value of everything that nobody may read: the vault, its password, initial passwords, those of the accounts."""
    folder = ROOT / "build" / "demo" / PROVINCE
    argv = [ROOT / ".venv/bin/ansible-vault", "view", "--vault-password-file", folder / "vault-password"]
    shown = subprocess.run([*argv, folder / "inventory/group_vars/all/vault.yml"], capture_output=True, text=True, check=True).stdout
    found = {"the vault's password": (folder / "vault-password").read_text(encoding="ascii").strip()}
    for name, value in yaml.safe_load(shown).items():
        found |= {f"{name}.{key}": one for key, one in value.items()} if isinstance(value, dict) else {name: value}
    found |= {f"initial password of {address}": value for address, value in Demo(PROVINCE).initial_passwords().items()}
    found |= {f"password of {account['address']}": account["password"] for account in system.access["accounts"]}
    assert len(found) > 15, sorted(found)
    return {name: value for name, value in found.items() if value}
