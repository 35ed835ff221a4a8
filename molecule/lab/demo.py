#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bin/demo: hosts, the real playbooks with a province's inventory, a message, and access.json."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys

import yaml
from progress import Failed, run_playbook, say

from congvu_mail import secrets

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAB = ROOT / "molecule" / "lab" / "host.sh"
BIN = ROOT / ".venv" / "bin"
OUTSIDE_DOMAIN = "outside.example"
OUTSIDE_USER = "congdan"


class Demo:
    """One province's demo: its folder, its two containers, its inventory."""

    def __init__(self, province: str) -> None:
        known = sorted(p.parent.name for p in ROOT.glob("inventories/*/hosts.yml"))
        if province not in known:
            raise Failed(f"there is no province '{province}': take one of {', '.join(known)}.")
        self.province = province
        self.inventory = ROOT / "inventories" / province
        self.folder = ROOT / "build" / "demo" / province
        self.overlay = self.folder / "inventory"
        self.host = f"congvu-demo-{province}"
        self.outside = f"congvu-demo-{province}-outside"
        hosts = yaml.safe_load((self.inventory / "hosts.yml").read_text(encoding="utf-8"))["all"]["children"]
        self.fqdn = next(iter(hosts["directory"]["hosts"]))
        self.policy = yaml.safe_load((self.inventory / "group_vars/all/policy.yml").read_text(encoding="utf-8"))["mail_policy"]
        self.domain = self.policy["domain"]["value"]

    # -- hosts --------------------------------------------------------------------------------------------------------------
    def lab(self, *words: str) -> str:
        """Run host.sh; its last line of output."""
        done = subprocess.run([LAB, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"the test host could not be made: {(done.stderr.strip() or done.stdout.strip()).splitlines()[-1]}.")
        return (done.stdout.strip().splitlines() or [""])[-1]

    def start_hosts(self, image: str = "") -> None:
        """The mail host and a foreign mail server outside."""
        say(f"Hosts: {self.fqdn} and a foreign mail server")
        self.address = self.lab("up", self.host, self.fqdn, *([image] if image else []))
        self.outside_address = self.lab("up", self.outside, f"mx.{OUTSIDE_DOMAIN}")

    def destroy(self) -> None:
        """Remove the containers and everything written for them."""
        self.lab("down", self.host, self.outside)
        shutil.rmtree(self.folder, ignore_errors=True)
        say(f"The demo of {self.province} is removed")

    # -- inventory ----------------------------------------------------------------------------------------------------------
    def write_inventory(self) -> None:
        """What differs from the province's own inventory: where the host is, its secrets, and no internet."""
        group_vars = self.overlay / "group_vars" / "all"
        group_vars.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        connection = {
            "ansible_connection": "ssh",
            "ansible_user": "root",
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_private_key_file": self.lab("key"),
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "
            "-o ControlMaster=auto -o ControlPersist=120",
        }
        dump(self.overlay / "hosts.yml", {"all": {"hosts": {self.fqdn: {"ansible_host": self.address, **connection}}}})
        dump(
            self.folder / "outside.yml",
            {"outside": {"hosts": {f"mx.{OUTSIDE_DOMAIN}": {"ansible_host": self.outside_address, **connection}}}},
        )
        dump(group_vars / "demo.yml", self.settings())
        password = self.folder / "vault-password"
        if not password.exists():
            write_secret(password, secrets.password() + "\n")
        vault = group_vars / "vault.yml"
        if not vault.exists():
            dump(vault, secrets.generate())
            subprocess.run([BIN / "ansible-vault", "encrypt", "--vault-password-file", password, vault], check=True, capture_output=True)

    def settings(self) -> dict[str, object]:
        """deployment_* values of the demo; all else is the province's."""
        web = f"mail.{self.domain}"
        names = {self.fqdn, web, *(f"{n}.{self.domain}" for n in ("autoconfig", "autodiscover", "mta-sts"))}
        mx = f"mx.{OUTSIDE_DOMAIN}"
        return {
            "deployment_online": False,
            "deployment_apt_sources": [{"uris": "file:/srv/mirror", "suites": "./", "trusted": True}],
            "deployment_management_networks": ["10.201.0.0/24"],
            "deployment_tls_mode": "internal_ca",
            "deployment_handover_directory": str(self.folder / "handover"),
            "deployment_register": str(ROOT / "registers" / self.province),
            # Only what DNS says can be reached, and the network ends at the two hosts.
            "deployment_dns_zones": [
                {
                    "name": self.domain,
                    "records": [
                        f"{self.domain}. 3600 IN MX 10 {self.fqdn}.",
                        f'{self.domain}. 3600 IN TXT "v=spf1 mx -all"',
                        f'_dmarc.{self.domain}. 3600 IN TXT "v=DMARC1; p=quarantine"',
                        *(f"{name}. 3600 IN A {self.address}" for name in sorted(names)),
                    ],
                },
                {
                    "name": OUTSIDE_DOMAIN,
                    "records": [
                        f"{OUTSIDE_DOMAIN}. 3600 IN MX 10 {mx}.",
                        f'{OUTSIDE_DOMAIN}. 3600 IN TXT "v=spf1 mx -all"',
                        f"{mx}. 3600 IN A {self.outside_address}",
                    ],
                },
                {
                    "name": "0.201.10.in-addr.arpa",
                    "records": [self.reverse(self.address, self.fqdn), self.reverse(self.outside_address, mx)],
                },
            ],
        }

    @staticmethod
    def reverse(address: str, name: str) -> str:
        """The PTR record of an address."""
        return f"{'.'.join(reversed(address.split('.')))}.in-addr.arpa. 3600 IN PTR {name}."

    # -- playbooks ----------------------------------------------------------------------------------------------------------
    @property
    def ansible(self) -> list[str]:
        """ansible-playbook with the demo's inventory; a playbook and options follow."""
        return [
            "/usr/bin/env",
            f"ANSIBLE_CONFIG={ROOT}/ansible.cfg",
            str(BIN / "ansible-playbook"),
            f"--inventory={self.inventory}",
            f"--inventory={self.overlay}",
            f"--vault-password-file={self.folder}/vault-password",
        ]

    def playbook(self, name: str, *options: str) -> dict[str, int]:
        """Run one of playbooks/ with the demo's inventory; its recap."""
        say(f"{name}:")
        return run_playbook(
            [*self.ansible, str(ROOT / "playbooks" / name), *options],
            self.folder / "logs" / f"{pathlib.Path(name).stem}.log",
            {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
            "Mend what is named above and run bin/demo again: it goes on from there.",
        )


def dump(path: pathlib.Path, data: object) -> None:
    """Write YAML that only the owner may read."""
    write_secret(path, "---\n" + yaml.safe_dump(data, allow_unicode=True, sort_keys=False, width=1000))


def write_secret(path: pathlib.Path, text: str) -> None:
    """Write a file with mode 0600 from the start."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def main(arguments: list[str]) -> int:
    """Do what the arguments say; the exit status."""
    destroy = "--destroy" in arguments
    names = [a for a in arguments if not a.startswith("-")]
    if len(names) > 1 or any(a.startswith("-") and a != "--destroy" for a in arguments):
        print("usage: bin/demo [PROVINCE] | bin/demo --destroy [PROVINCE]", file=sys.stderr)
        return 2
    try:
        demo = Demo(names[0] if names else "quang-tri")
        if destroy:
            demo.destroy()
            return 0
        demo.start_hosts()
        demo.write_inventory()
        recap = demo.playbook("site.yml")
        say(json.dumps(recap))
    except Failed as failure:
        print(f"bin/demo: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
