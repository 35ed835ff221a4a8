"""The groups spread over three hosts: what the wiring tells each of them, and a run that is limited to one."""

import datetime
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from congvu_mail import secrets

ROOT = pathlib.Path(__file__).resolve().parents[2]
WIRING = ROOT / "playbooks/group_vars/all/wiring.yml"
HERE = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
PROVINCE = ROOT / "inventories" / "quang-tri"
GROUPS = {"directory": "dir", "filter": "dir", "mta": "mx", "mda": "mx", "webmail": "web", "database": "web", "backup": "web"}
ADDRESSES = {"dir": "192.0.2.1", "mx": "192.0.2.2", "web": "192.0.2.3"}
ENDPOINTS = [
    "postfix_milters",
    "postfix_lmtp_endpoint",
    "postfix_sasl_endpoint",
    "postfix_quota_endpoint",
    "postfix_redirect_listen",
    "postfix_redirect_clients",
    "rspamd_local_networks",
    "dovecot_postfix_local",
    "rspamd_milter_bind",
    "rspamd_controller_bind",
    "dovecot_learn_url",
    "dovecot_redirect_endpoint",
    "roundcube_imap_endpoint",
    "roundcube_database_endpoint",
    "roundcube_database_clients",
    "wiring_peers",
]


def inventory(folder, groups, **variables):
    """A province's inventory for other hosts; variables by host."""
    shutil.copytree(PROVINCE, folder)
    hosts = {host: variables.get(host) for group in groups.values() for host in group.split()}
    children = {group: {"hosts": dict.fromkeys(names.split())} for group, names in groups.items()}
    names = {"all": {"hosts": hosts, "children": children}}
    (folder / "hosts.yml").write_text(yaml.safe_dump(names))
    applications = yaml.safe_load((PROVINCE / "group_vars/all/policy.yml").read_text(encoding="utf-8"))["mail_policy"]["single_sign_on"]
    vault = secrets.generate(applications["ldap_applications"]["value"] or ())
    (folder / "group_vars/all/vault.yml").write_text(yaml.safe_dump(vault))
    return folder


def run(*argv):
    """A command of Ansible; (exit status, all that it printed)."""
    tool = pathlib.Path(sys.executable).parent / argv[0]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "NO_COLOR": "1"}
    done = subprocess.run([tool, *argv[1:]], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def wired(tmp_path, groups, names=ENDPOINTS, **more):
    """{host: {variable: value}} as the wiring gives them, with the facts of hosts that need not exist, and with more variables."""
    playbook = tmp_path / "wired.yml"
    values = ", ".join(f"'{name}': {name}" for name in names)
    tasks = [
        {"ansible.builtin.set_fact": {"all_ipv4_addresses": "{{ [addresses[inventory_hostname]] }}", "cacheable": True}},
        {"ansible.builtin.copy": {"content": f"{{{{ {{{values}}} | to_json }}}}", "dest": f"{tmp_path}/{{{{ inventory_hostname }}}}.json"}},
    ]
    play = {"hosts": "all", "gather_facts": False, "vars": {"addresses": ADDRESSES}, "vars_files": [str(WIRING)], "tasks": tasks}
    playbook.write_text(yaml.safe_dump([play]))
    hosts = {host for names in groups.values() for host in names.split()}
    folder = inventory(tmp_path / "inventory", groups, **dict.fromkeys(hosts, HERE))
    status, output = run("ansible-playbook", "-i", str(folder), "-e", json.dumps(more), str(playbook))
    assert status == 0, output
    return {host: json.loads((tmp_path / f"{host}.json").read_text()) for host in hosts}


def test_endpoints_of_one_host(tmp_path):
    """All on one host: sockets and loopback, and nobody beside it."""
    of = wired(tmp_path, dict.fromkeys(GROUPS, "mx"))["mx"]
    assert of["postfix_lmtp_endpoint"] == "unix:private/dovecot-lmtp"
    assert of["postfix_milters"] == ["inet:127.0.0.1:11332"]
    assert of["rspamd_milter_bind"] == ["127.0.0.1:11332"]
    assert of["roundcube_database_endpoint"] == "unix:/run/postgresql"
    assert of["roundcube_database_clients"] == []
    assert of["postfix_redirect_listen"] == "127.0.0.1:10588"
    assert of["postfix_redirect_clients"] == ["127.0.0.0/8", "[::1]/128"]
    assert of["rspamd_local_networks"] == []


def test_endpoints_of_three_hosts(tmp_path):
    """Each names the host that has the other part, and that one listens for it."""
    of = wired(tmp_path, GROUPS)
    assert set(of) == {"dir", "mx", "web"}
    assert of["mx"]["postfix_milters"] == ["inet:dir:11332"]
    assert of["dir"]["rspamd_milter_bind"] == ["*:11332"]
    assert of["mx"]["dovecot_learn_url"] == "http://dir:11334"
    assert of["dir"]["rspamd_controller_bind"] == ["*:11334"]
    assert of["mx"]["postfix_lmtp_endpoint"] == "unix:private/dovecot-lmtp"
    assert of["mx"]["dovecot_redirect_endpoint"] == "inet:127.0.0.1:10588"
    assert of["web"]["roundcube_imap_endpoint"] == "inet:mx:993"
    assert of["web"]["roundcube_database_endpoint"] == "unix:/run/postgresql"
    assert all(sorted(one["wiring_peers"]) == sorted(ADDRESSES.values()) for one in of.values())


def test_mta_and_mda_apart(tmp_path):
    of = wired(tmp_path, {**GROUPS, "mda": "dir", "database": "mx"})
    assert of["mx"]["postfix_lmtp_endpoint"] == "inet:dir:24"
    assert of["mx"]["postfix_sasl_endpoint"] == "inet:dir:12345"
    assert of["mx"]["postfix_quota_endpoint"] == "inet:dir:12340"
    assert of["dir"]["dovecot_redirect_endpoint"] == "inet:mx:10588"
    # What Sieve scripts send: Postfix listens for the mailboxes' host and no other, and the filter takes it as it takes its own host's.
    assert of["mx"]["postfix_redirect_listen"] == "0.0.0.0:10588"
    assert of["mx"]["postfix_redirect_clients"] == ["127.0.0.0/8", "[::1]/128", f"{ADDRESSES['dir']}/32"]
    assert of["dir"]["rspamd_local_networks"] == [f"{ADDRESSES['dir']}/32"]
    assert of["web"]["roundcube_database_endpoint"] == "inet:mx:5432"
    assert of["mx"]["roundcube_database_clients"] == [f"{ADDRESSES['web']}/32"]


def test_several_mtas_one_of_them_beside_the_mailboxes(tmp_path):
    """Then all of them reach the mailboxes over the network: Dovecot has sockets or ports, not both."""
    of = wired(tmp_path, {**GROUPS, "mta": "mx web"})
    assert of["mx"]["postfix_lmtp_endpoint"] == of["web"]["postfix_lmtp_endpoint"] == "inet:mx:24"
    assert of["mx"]["dovecot_postfix_local"] is False
    assert of["mx"]["dovecot_redirect_endpoint"] == "inet:127.0.0.1:10588"


# A part of the hosts is enough for these, or they say themselves what they need.
ANY_HOSTS = {"site", "status", "backup", "blocks", "restore", "end_sessions", "whole_system"}


@pytest.mark.parametrize("path", sorted((ROOT / "playbooks").glob("*.yml")), ids=lambda path: path.stem)
def test_who_needs_all_hosts_begins_with_the_check_of_l(path):
    plays = yaml.safe_load(path.read_text(encoding="utf-8"))
    first = plays[0].get("ansible.builtin.import_playbook")
    assert path.stem in ANY_HOSTS or first in ("whole_system.yml", "mailbox_act.yml"), "with -l it would do a part of its work"


@pytest.mark.parametrize("name", ["recall", "requests"])
def test_a_limited_run_is_refused_in_one_sentence(tmp_path, name):
    folder = inventory(tmp_path / "inventory", GROUPS)
    status, output = run("ansible-playbook", "-i", str(folder), "--limit", "mx", f"playbooks/{name}.yml")
    assert status == 2
    assert "Chưa làm gì. Lệnh này tự chọn những máy cần làm và không nhận -l (đang ghi -l mx)" in " ".join(output.split())
    assert output.count("TASK [") == 1


def certificate(folder, *names):
    """A file with a certificate that carries the names."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(now).not_valid_after(now + datetime.timedelta(1))
    made = made.add_extension(x509.SubjectAlternativeName(list(map(x509.DNSName, names))), critical=False).sign(key, hashes.SHA256())
    (folder / "mail.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return str(folder / "mail.pem")


@pytest.mark.parametrize("given", ["internal_ca", "all names", "without mta-sts"])
def test_former_domains(tmp_path, given):
    """Who knows an old address only is led to the services where the certificate has the names; without them mail comes in all the same."""
    new, old = "quangtri.gov.vn", "cu.example"
    names = [f"{label}.{domain}" for domain in (new, old) for label in ("autoconfig", "autodiscover", "mta-sts")]
    kept = names[:-1] if given == "without mta-sts" else names
    settings = (
        {} if given == "internal_ca" else {"deployment_tls_mode": "files", "deployment_tls_certificate": certificate(tmp_path, "mx", *kept)}
    )
    wanted = ["tls_certificates", "autoconfig_domains", "autoconfig_mta_sts", "dns_web_domains", "postfix_domains", "status_remarks"]
    of = wired(tmp_path, dict.fromkeys(GROUPS, "mx"), wanted, wiring_domains=[new, old], **settings)["mx"]
    served = [new] if given == "without mta-sts" else [new, old]
    assert of["postfix_domains"] == [new, old]
    assert of["autoconfig_domains"] == of["dns_web_domains"] == served
    assert {name for name in of["tls_certificates"][0]["names"] if name.endswith(old)} == ({*names[3:]} if old in served else set())
    assert of["autoconfig_mta_sts"]["mode"] == ("testing" if given == "internal_ca" else "enforce")
    about = [remark["detail"] for remark in of["status_remarks"] if remark["topic"] == "Chứng thư"]
    assert [old in detail for detail in about] == ([] if old in served else [True])


@pytest.mark.parametrize("silent", [[], ["web"]])
def test_a_limited_run_needs_the_others_addresses(tmp_path, silent):
    """The first play only (tag always), on this machine: it asks the hosts that -l leaves out, and ends when one does not answer."""
    nowhere = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    variables = {host: nowhere if host in silent else HERE for host in set(GROUPS.values())}
    folder = inventory(tmp_path / "inventory", GROUPS, **variables)
    status, output = run("ansible-playbook", "-i", str(folder), "--tags", "always", "--limit", "mx", "playbooks/site.yml")
    assert "ok: [mx -> localhost]" in output, "the policy was not checked"
    if silent:
        assert status != 0
        assert "bỏ ra ngoài (-l) những máy không trả lời: web." in " ".join(output.split())
    else:
        assert status == 0, output
        assert "ok: [mx -> web] => (item=web)" in output
