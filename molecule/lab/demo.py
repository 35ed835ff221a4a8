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
from mail import MailSystem, compose
from progress import Failed, run_playbook, say

from congvu_mail import handover, secrets

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAB = ROOT / "molecule" / "lab" / "host.sh"
BIN = ROOT / ".venv" / "bin"
OUTSIDE_DOMAIN = "outside.example"
OUTSIDE_USER = "congdan"
# This machine, as the hosts see it: one more mail server of the outside domain, so that tests may send as one.
CLIENT = f"client.{OUTSIDE_DOMAIN}"
CLIENT_ADDRESS = "10.201.0.1"


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
            dump(vault, secrets.generate(self.policy["single_sign_on"]["ldap_applications"]["value"] or ()))
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
            "deployment_application_networks": ["10.201.0.0/24"],
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
                        f'{OUTSIDE_DOMAIN}. 3600 IN TXT "v=spf1 mx a:{CLIENT} -all"',
                        f"{mx}. 3600 IN A {self.outside_address}",
                        f"{CLIENT}. 3600 IN A {CLIENT_ADDRESS}",
                    ],
                },
                {
                    "name": "0.201.10.in-addr.arpa",
                    "records": [
                        self.reverse(self.address, self.fqdn),
                        self.reverse(self.outside_address, mx),
                        self.reverse(CLIENT_ADDRESS, CLIENT),
                    ],
                },
            ],
        }

    def build_outside(self) -> None:
        """Converge the foreign mail server."""
        run_playbook(
            [
                *self.ansible[:3],
                f"--inventory={self.folder}/outside.yml",
                str(ROOT / "molecule/lab/outside.yml"),
                f"--extra-vars=outside_peer_domain={self.domain} outside_peer_address={self.address}",
            ],
            self.folder / "logs" / "outside.log",
            {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
            "The foreign mail server could not be made.",
        )

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

    # -- accounts -----------------------------------------------------------------------------------------------------------
    def access(self) -> dict[str, object]:
        """Make ready the accounts that access.json offers, and write it.

        Three persons, an organisation and an administrator have passwords of their own, one person is still on the initial one.
        """
        path = self.folder / "access.json"
        known = {a["address"]: a for a in json.loads(path.read_text(encoding="utf-8"))["accounts"]} if path.exists() else {}
        initial = self.initial_passwords()
        mailboxes = [m for m in self.mailboxes() if m["congvuState"] == "active" and m["congvuLogin"] == "TRUE"]
        # A password that its owner changed meanwhile is not ours to know: such a mailbox is not offered.
        open_to_us = [m for m in mailboxes if (m["pwdReset"] == "TRUE") == known.get(m["mail"], {"must_change": True})["must_change"]]
        persons = [m for m in open_to_us if m["congvuKind"] == "person" and m["congvuClass"] == "user"]
        changed = [m for m in persons if m["pwdReset"] == "FALSE"]
        fresh = [m for m in persons if m["pwdReset"] == "TRUE"]
        organisations = sorted((m for m in open_to_us if m["congvuKind"] == "organisation"), key=lambda m: m["pwdReset"])
        admins = sorted((m for m in open_to_us if m["congvuKind"] == "person" and m["congvuClass"] == "admin"), key=lambda m: m["pwdReset"])
        own = (changed + fresh)[:3]
        wanted = [(m, "person", False) for m in own] + [(m, "person", True) for m in fresh if m not in own][:1]
        wanted += [(m, "organisation", False) for m in organisations[:1]] + [(m, "admin", False) for m in admins[:1]]
        accounts = []
        for mailbox, role, must_change in wanted:
            address = mailbox["mail"]
            account = known.get(address) or {
                "address": address,
                "role": role,
                "organisation": mailbox.get("congvuOrganisation") or mailbox["congvuCode"],
                "password": initial.get(address, ""),
                "must_change": True,
            }
            if account["must_change"] and not must_change:
                new = f"Cv7#{secrets.password(14)}"
                self.change_password(mailbox["dn"], account["password"], new)
                account = {**account, "password": new, "must_change": False}
            accounts.append(account)
        ca = self.folder / "ca.crt"
        ca.write_text(self.run("cat", "/etc/congvu-mail/tls/ca.crt"), encoding="ascii")
        url = self.policy["webmail"]["url"]["value"].replace("http://", "https://").rstrip("/") + "/"
        access = {
            "schema": 1,
            "province": self.province,
            "domain": self.domain,
            "hostname": self.fqdn,
            "address": self.address,
            "ca_certificate": str(ca),
            "ports": {
                "smtp": 25,
                "submission": 587,
                "submissions": 465,
                "imap": 143,
                "imaps": 993,
                "pop3s": 995,
                "sieve": 4190,
                "https": 443,
                "ldaps": 636,
            },
            "accounts": accounts,
            "webmail_url": url,
            "password_url": url + "mat-khau/",
            "host_command": [str(LAB), "exec", self.host],
            "ansible": self.ansible,
            "outside": {
                "domain": OUTSIDE_DOMAIN,
                "address": f"{OUTSIDE_USER}@{OUTSIDE_DOMAIN}",
                "host_command": [str(LAB), "exec", self.outside],
                "maildir": f"/home/{OUTSIDE_USER}/Maildir",
            },
        }
        write_secret(path, json.dumps(access, ensure_ascii=False, indent=2) + "\n")
        return access

    def initial_passwords(self) -> dict[str, str]:
        """Address -> initial password, out of the sealed files (the later file wins)."""
        found = {}
        for sealed in sorted(self.folder.glob("handover/**/*.vault"), key=lambda p: p.stat().st_mtime):
            text = subprocess.run(
                [BIN / "ansible-vault", "view", "--vault-password-file", self.folder / "vault-password", sealed],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            found |= {row["address"]: row["password"] for row in handover.read(text)}
        return found

    def mailboxes(self) -> list[dict[str, str]]:
        """Every mailbox of the directory, in the order of its register codes."""
        suffix = "dc=" + ",dc=".join(self.domain.split("."))
        attributes = ["mail", "congvuCode", "congvuKind", "congvuClass", "congvuState", "congvuLogin", "congvuOrganisation", "pwdReset"]
        search = ["ldapsearch", "-QLLL", "-o", "ldif-wrap=no", "-Y", "EXTERNAL", "-H", "ldapi:///", "-b", f"ou=mailboxes,{suffix}"]
        found = []
        for entry in self.run(*search, "(objectClass=congvuMailbox)", *attributes).split("\n\n"):
            values = dict(line.split(": ", 1) for line in entry.splitlines() if ": " in line)
            if "mail" in values:
                found.append({"congvuClass": "user", "congvuLogin": "TRUE", "pwdReset": "FALSE", **values})
        return sorted(found, key=lambda m: m["congvuCode"])

    def change_password(self, dn: str, old: str, new: str) -> None:
        """Change a password as its owner does, under the directory's rules. The words travel on standard input only."""
        script = (
            'umask 077; d=$(mktemp -d); trap "rm -rf $d" EXIT; read -r old; read -r new; printf %s "$old" >$d/old; '
            'printf %s "$new" >$d/new; '
            f"ldappasswd -H ldaps://{self.fqdn} -D '{dn}' -y $d/old -t $d/old -T $d/new"
        )
        self.run("env", "LDAPTLS_CACERT=/etc/congvu-mail/tls/ca.crt", "sh", "-c", script, stdin=f"{old}\n{new}\n")

    def run(self, *argv: str, stdin: str = "") -> str:
        """Run a command as root on the mail host; its output."""
        done = subprocess.run([LAB, "exec", self.host, *argv], input=stdin, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"on {self.fqdn}, {argv[0]} failed: {done.stderr.strip() or done.stdout.strip()}.")
        return done.stdout

    # -- a message ----------------------------------------------------------------------------------------------------------
    def carry_a_message(self, access: dict[str, object]) -> None:
        """From one mailbox to another, Vietnamese in subject and file name, over submission and back over IMAP."""
        system = MailSystem(access)
        sender, receiver, *_rest = system.accounts("person")
        subject, name = "Giấy mời họp giao ban tháng 11 – Sở Khoa học và Công nghệ", "Chương trình họp.txt"
        message = compose(sender["address"], receiver["address"], subject, attachments=[(name, "Đúng 8 giờ.\n".encode())])
        system.send(message, sender["address"], [receiver["address"]], account=sender)
        got = system.wait_for(receiver, message["Message-ID"])
        names = [part.get_filename() for part in got.iter_attachments()]
        if got["Subject"] != subject or names != [name]:
            raise Failed(f"the message came back changed: {got['Subject']!r}, {names!r}.")
        say(f"{sender['address']} -> {receiver['address']}: “{subject}”, with “{name}”, arrived unchanged")


def dump(path: pathlib.Path, data: object) -> None:
    """Write YAML that only the owner may read."""
    write_secret(path, "---\n" + yaml.safe_dump(data, allow_unicode=True, sort_keys=False, width=1000))


def write_secret(path: pathlib.Path, text: str) -> None:
    """Write a file with mode 0600 from the start."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def show(demo: Demo, access: dict[str, object]) -> None:
    """What to open, and as whom."""
    print(f"\nWebmail   {access['webmail_url']}   (this machine: https://{demo.address}/)")
    print(f"Password  {access['password_url']}")
    print("Accounts")
    for account in access["accounts"]:
        note = "must change the password first" if account["must_change"] else account["role"]
        print(f"  {account['address']:40} {account['password']:24} {note}")
    print(f"All of it: {demo.folder / 'access.json'}")


def main(arguments: list[str]) -> int:
    """Do what the arguments say; the exit status."""
    destroy = "--destroy" in arguments
    names = [a for a in arguments if not a.startswith("-")]
    if len(names) > 1 or any(a.startswith("-") and a != "--destroy" for a in arguments):
        print("usage: bin/demo [PROVINCE] | bin/demo --destroy [PROVINCE]", file=sys.stderr)
        return 2
    try:
        if os.geteuid():
            raise Failed("it makes containers with a network of their own, which takes root: run sudo bin/demo.")
        demo = Demo(names[0] if names else "quang-tri")
        if destroy:
            demo.destroy()
            return 0
        demo.start_hosts()
        demo.write_inventory()
        recap = demo.playbook("site.yml")
        demo.playbook("accounts.yml")
        demo.build_outside()
        access = demo.access()
        demo.carry_a_message(access)
        say(f"Done, {recap.get('changed', 0)} changes on the host (0: it was as it should be already)")
        show(demo, access)
    except Failed as failure:
        print(f"bin/demo: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
