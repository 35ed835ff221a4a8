#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The groups spread over four hosts, to try things on by hand: molecule/lab/split.py up | down [PROVINCE].

Directory and filter; MTA; MDA; webmail, database and backup, which the others reach by sftp. A copy of the province's inventory with a
domain of its own, so that no demo is touched. build/split/PROVINCE has the inventory, the vault password and access.json.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import yaml
from demo import CLIENT, CLIENT_ADDRESS, OUTSIDE_DOMAIN, ROOT, Demo, dump, write_secret
from progress import Failed, say

DOMAIN = "split.gov.vn"
HOSTS = {"dir": ("directory", "filter"), "mx": ("mta",), "box": ("mda",), "web": ("webmail", "database", "backup")}


class Split(Demo):
    """A province's demo on several hosts."""

    def __init__(self, province: str) -> None:
        super().__init__(province)
        original, printed = self.inventory, self.domain
        self.folder = ROOT / "build" / "split" / province
        self.overlay = self.folder / "inventory"
        self.inventory = self.folder / "province"
        for name in ("policy", "deployment"):
            path = self.inventory / "group_vars" / "all" / f"{name}.yml"
            path.parent.mkdir(parents=True, exist_ok=True)
            text = (original / "group_vars" / "all" / f"{name}.yml").read_text(encoding="utf-8")
            path.write_text(text.replace(printed, DOMAIN), encoding="utf-8")
        self.domain = DOMAIN
        self.policy = yaml.safe_load((self.inventory / "group_vars/all/policy.yml").read_text(encoding="utf-8"))["mail_policy"]
        self.names = {short: f"{short}.{DOMAIN}" for short in HOSTS}
        groups = {group: {"hosts": {self.names[short]: None}} for short, groups in HOSTS.items() for group in groups}
        dump(self.inventory / "hosts.yml", {"all": {"children": groups}})
        self.containers = {short: f"split-{short}" for short in HOSTS}
        self.host, self.fqdn, self.outside = self.containers["dir"], self.names["dir"], "split-outside"
        self.addresses: dict[str, str] = {}

    def start_hosts(self, image: str = "") -> None:
        """The mail hosts and a foreign mail server outside."""
        say(f"Hosts: {', '.join(self.names.values())} and a foreign mail server")
        for short, name in self.names.items():
            self.addresses[short] = self.lab("up", self.containers[short], name, *([image] if image else []))
        self.address = self.addresses["dir"]
        self.outside_address = self.lab("up", self.outside, f"mx.{OUTSIDE_DOMAIN}")

    def destroy(self) -> None:
        """Remove the containers and everything written for them."""
        self.lab("down", *self.containers.values(), self.outside)
        shutil.rmtree(self.folder, ignore_errors=True)

    def write_inventory(self) -> None:
        """As the demo does, for all hosts; and a key that opens the backup's store."""
        super().write_inventory()
        path = self.overlay / "hosts.yml"
        one = yaml.safe_load(path.read_text(encoding="utf-8"))["all"]["hosts"][self.fqdn]
        dump(path, {"all": {"hosts": {name: {**one, "ansible_host": self.addresses[short]} for short, name in self.names.items()}}})
        store = self.folder / "store-key"
        if not store.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "backup", "-f", store], check=True)
        # `up` writes that file anew.
        self.on("web", "sh", "-ec", "cat >>/root/.ssh/authorized_keys", stdin=store.with_suffix(".pub").read_text(encoding="ascii"))
        dump(self.overlay / "group_vars" / "all" / "store.yml", {"vault_backup_ssh_key": store.read_text(encoding="ascii")})

    def settings(self) -> dict[str, object]:
        """deployment_* values: every host has a name, and the store is one host's."""
        found = super().settings()
        web = f"mail.{self.domain}"
        places = {name: self.addresses[short] for short, name in self.names.items()}
        places |= {
            name: self.addresses["web"] for name in (web, *(f"{n}.{self.domain}" for n in ("autoconfig", "autodiscover", "mta-sts")))
        }
        zones = found["deployment_dns_zones"]
        zones[0]["records"] = [
            f"{self.domain}. 3600 IN MX 10 {self.names['mx']}.",
            f'{self.domain}. 3600 IN TXT "v=spf1 mx -all"',
            f'_dmarc.{self.domain}. 3600 IN TXT "v=DMARC1; p=quarantine"',
            *(f"{name}. 3600 IN A {address}" for name, address in sorted(places.items())),
        ]
        zones[2]["records"] = [
            *(self.reverse(address, self.names[short]) for short, address in self.addresses.items()),
            self.reverse(self.outside_address, f"mx.{OUTSIDE_DOMAIN}"),
            self.reverse(CLIENT_ADDRESS, CLIENT),
        ]
        key = self.on("web", "cat", "/etc/ssh/ssh_host_ed25519_key.pub").split()[:2]
        return {
            **found,
            "deployment_backup_repository": f"sftp:root@{self.names['web']}:/srv/backup",
            "deployment_backup_known_hosts": [f"{self.names['web']} {' '.join(key)}"],
        }

    def build_outside(self) -> None:
        """Converge the foreign mail server, which sends to the MTA."""
        directory, self.address = self.address, self.addresses["mx"]
        super().build_outside()
        self.address = directory

    def access(self) -> dict[str, object]:
        """As the demo's, with the address of each host."""
        found = {**super().access(), "addresses": {self.names[short]: address for short, address in self.addresses.items()}}
        write_secret(self.folder / "access.json", json.dumps(found, ensure_ascii=False, indent=2) + "\n")
        return found

    def on(self, short: str, *argv: str, stdin: str = "") -> str:
        """Run a command as root on a host; its output."""
        self.host, kept = self.containers[short], self.host
        try:
            return self.run(*argv, stdin=stdin)
        finally:
            self.host = kept


def main(arguments: list[str]) -> int:
    """Do what the arguments say; the exit status."""
    if not arguments or arguments[0] not in ("up", "down") or len(arguments) > 2:
        print("usage: split.py up | down [PROVINCE]", file=sys.stderr)
        return 2
    try:
        split = Split(arguments[1] if len(arguments) == 2 else "quang-tri")
        if arguments[0] == "down":
            split.destroy()
            return 0
        split.start_hosts()
        split.write_inventory()
        recap = split.playbook("site.yml")
        split.playbook("accounts.yml")
        split.build_outside()
        split.access()
        say(f"Done, {recap.get('changed', 0)} changes; all of it: {split.folder / 'access.json'}")
    except Failed as failure:
        print(f"split.py: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
