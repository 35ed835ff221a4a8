#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: the configuration of slapd (cn=config) as a whole."""

DOCUMENTATION = r"""
module: slapd_config
short_description: The configuration of slapd (cn=config) as a whole
description:
  - Makes the configuration directory of slapd say exactly what an LDIF says, whatever it said before. Changes made by hand over LDAP
    or in the files are found and undone.
  - The LDIF is loaded into a fresh directory with C(slapadd -n 0) and tested with C(slaptest), which also opens the databases, as the user
    that slapd runs as; that user must be able to load the certificate and the key that the configuration names, and they must fit.
    Only then is it compared with the present one, as C(slapcat -n 0) prints both, without order, line folds and operational attributes.
  - When they differ the fresh directory takes the place of the present one, which is kept beside it with the suffix C(.old). slapd is not
    restarted here; see M(configured_service).
options:
  ldif:
    description: Entries of cn=config as LDIF, C(include:) lines allowed.
    type: str
    required: true
  directory:
    description: Configuration directory of slapd.
    type: path
    default: /etc/ldap/slapd.d
  user:
    description: User that slapd runs as.
    type: str
    default: openldap
"""

EXAMPLES = r"""
- name: Configure slapd
  slapd_config:
    ldif: "{{ lookup('ansible.builtin.template', 'etc/ldap/slapd.ldif.j2') }}"
"""

RETURN = r"""
entries:
  description: DNs of the entries that differ from what they should be.
  type: list
  returned: always
"""

import base64
import hashlib
import os
import re
import shutil
import tempfile

from ansible.module_utils.basic import AnsibleModule

# What slapd notes about an entry; a fresh load gives new ones.
OPERATIONAL = {
    "contextcsn",
    "creatorsname",
    "createtimestamp",
    "entrycsn",
    "entryuuid",
    "modifiersname",
    "modifytimestamp",
    "structuralobjectclass",
}
SECRET = {"olcrootpw", "olcsyncrepl"}
# Run by the user of slapd: does TLS start with this? Python and slapd use the same library.
LOAD_TLS = """
import ssl, sys
certificate, key, authority, ciphers = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
context.load_verify_locations(authority)
context.set_ciphers(ciphers or "DEFAULT")
"""
TLS = ("olcTLSCertificateFile", "olcTLSCertificateKeyFile", "olcTLSCACertificateFile", "olcTLSCipherSuite")


def rank(value):
    """Sort key of a value: by the number of an ordered one ({2}...), else by text."""
    number = re.match(r"\{(-?\d+)\}", value)
    return (int(number[1]) if number else 0, value)


def parse(ldif):
    """Entries of an LDIF as slapcat prints it: {dn: {attribute: [values]}}, without operational attributes."""
    entries = {}
    for block in re.split(r"\n\s*\n", ldif.replace("\n ", "")):
        dn, attributes = None, {}
        for line in block.splitlines():
            if not line or line.startswith("#"):
                continue
            name, _, value = line.partition(":")
            if value.startswith(":"):
                value = base64.b64decode(value[1:]).decode("utf-8", "replace")
            value = value.strip()
            if name == "dn":
                dn = value
            elif name.lower() not in OPERATIONAL:
                attributes.setdefault(name, []).append(value)
        if dn:
            entries[dn] = {name: sorted(attributes[name], key=rank) for name in sorted(attributes)}
    return entries


def show(entries, dns):
    """Entries as text for a diff; secrets as hashes."""
    lines = []
    for dn in dns:
        if dn not in entries:
            continue
        lines.append(f"dn: {dn}")
        for name, values in entries[dn].items():
            for value in values:
                if name.lower() in SECRET:
                    value = f"(not shown, SHA-256 {hashlib.sha256(value.encode()).hexdigest()[:16]})"
                lines.append(f"{name}: {value}")
        lines.append("")
    return "\n".join(lines)


class Failure(Exception):
    """A step said no; the text tells the operator what and why."""


class Slapd:
    """The tools of slapd, run as the user that slapd runs as."""

    def __init__(self, module, user):
        self.module = module
        self.as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"]

    def run(self, what, argv, data=None):
        rc, out, err = self.module.run_command(self.as_user + argv, data=data)
        if rc:
            said = (err + out).strip().encode("ascii", "replace").decode()  # slapadd prints raw bytes
            raise Failure(
                f"{what}, so nothing was changed and slapd goes on as it was: {said}. "
                "Correct the variable that the message points at, then run again"
            )
        return out

    def load(self, ldif, directory):
        """Make a configuration directory from an LDIF and prove that slapd can start with it; its entries."""
        self.run("slapadd refuses the configuration", ["/usr/sbin/slapadd", "-n", "0", "-F", directory], ldif)
        entries = self.dump(directory)
        options = entries["cn=config"]
        tls = [options.get(name, [""])[0] for name in TLS]
        if tls[0] and (os.path.exists(tls[0]) or not self.module.check_mode):  # a first run makes the files earlier
            self.run(f"TLS does not start with {', '.join(tls)}", ["/usr/bin/python3", "-I", "-c", LOAD_TLS, *tls])
        # A dry run does not open the databases: slaptest opens what is there, but makes none.
        folders = [entry["olcDbDirectory"][0] for entry in entries.values() if "olcDbDirectory" in entry]
        dry = [] if all(os.path.exists(os.path.join(folder, "data.mdb")) for folder in folders) else ["-u"]
        self.run("slaptest refuses the configuration", ["/usr/sbin/slaptest", *dry, "-F", directory])
        if not self.module.check_mode:
            for folder in folders:
                self.run(f"slapd could not write to {folder}", ["/usr/bin/test", "-w", folder])
        return entries

    def dump(self, directory):
        """Entries of a configuration directory; none when it is missing or damaged."""
        rc, out, _err = self.module.run_command([*self.as_user, "/usr/sbin/slapcat", "-n", "0", "-F", directory])
        return parse(out) if rc == 0 else {}


def replace(directory, fresh):
    """Put the fresh directory in the place of the present one, which stays as .old."""
    old = f"{directory}.old"
    shutil.rmtree(old, ignore_errors=True)
    if os.path.exists(directory):
        shutil.move(directory, old)
    os.rename(fresh, directory)


def main():
    module = AnsibleModule(
        argument_spec={
            "ldif": {"type": "str", "required": True, "no_log": True},  # long; keeps it out of the journal
            "directory": {"type": "path", "default": "/etc/ldap/slapd.d"},
            "user": {"type": "str", "default": "openldap"},
        },
        supports_check_mode=True,
    )
    directory, user = module.params["directory"], module.params["user"]
    if module.check_mode and not os.path.exists("/usr/sbin/slapadd"):
        module.exit_json(changed=True, entries=[], msg="slapd is not installed yet")  # a first run would do all of it
    slapd = Slapd(module, user)
    fresh = tempfile.mkdtemp(prefix=".slapd.d.", dir=os.path.dirname(directory))
    try:
        shutil.chown(fresh, user, user)
        wanted = slapd.load(module.params["ldif"], fresh)
        present = slapd.dump(directory) if os.path.isdir(directory) else {}
        differing = [dn for dn in {**present, **wanted} if present.get(dn) != wanted.get(dn)]
        if differing and not module.check_mode:
            replace(directory, fresh)
    except Failure as failure:
        module.fail_json(msg=str(failure))
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    diff = {
        "before_header": f"{directory} (now)",
        "after_header": directory,
        "before": show(present, differing),
        "after": show(wanted, differing),
    }
    module.exit_json(changed=bool(differing), entries=differing, diff=diff)


if __name__ == "__main__":
    main()
