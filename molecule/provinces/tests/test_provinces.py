"""Each province's own figures hold on its own server: the same tests, the values out of its policy.yml."""

import json
import os
import pathlib
import tarfile

import pytest
import yaml
from mail import MailSystem, compose, refusal, wait_until
from testing import said

ROOT = pathlib.Path(os.environ["CONGVU_ROOT"])
PROVINCES = ["ninh-binh", "bac-giang", "soc-trang", "tien-giang"]


@pytest.fixture(params=PROVINCES)
def province(request):
    """(mail system, policy) of a province."""
    policy = yaml.safe_load((ROOT / "inventories" / request.param / "group_vars/all/policy.yml").read_text(encoding="utf-8"))
    return MailSystem.load(ROOT / "build/demo" / request.param / "access.json"), policy["mail_policy"]


def test_mail_goes_through(province):
    system, policy = province
    assert system.domain == policy["domain"]["value"]
    sender, receiver, *_rest = system.accounts("person")
    message = compose(sender["address"], receiver["address"], "Báo cáo tháng", attachments=[("Số liệu.csv", b"1;2\n")])
    system.send(message, sender["address"], [receiver["address"]], account=sender)
    assert system.wait_for(receiver, message["Message-ID"])["Subject"] == "Báo cáo tháng"


def test_attachment_limit_of_the_regulation(province):
    """The limit passes read as binary; one mebibyte more than a tenth over it does not."""
    system, policy = province
    sender, receiver, *_rest = system.accounts("person")
    megabytes = int(policy["attachments"]["max_total"]["value"].removesuffix("MB"))
    session = system.smtp("submission", sender)
    offered = int(session.esmtp_features["size"])
    assert megabytes * 1048576 * 1.368 < offered < (megabytes * 1.1 + 2) * 1048576 * 1.37
    code, text = session.docmd("MAIL", f"FROM:<{sender['address']}> SIZE={offered + 1}")
    assert code == 552, text
    session.close()


def test_forbidden_extensions_of_the_regulation(province):
    system, policy = province
    sender, receiver, *_rest = system.accounts("person")
    names = policy["attachments"]["forbidden_extensions"]["value"] or policy["attachments"]["forbidden_extensions_extra"]["value"]
    for name in names[:2]:
        message = compose(sender["address"], receiver["address"], "x", attachments=[(f"tep.{name.upper()}", b"MZ")])
        answer = refusal(lambda message=message: system.send(message, sender["address"], [receiver["address"]], account=sender))
        assert answer.code == 554, (name, answer)


def test_quota_of_the_regulation(province):
    system, policy = province
    person = system.accounts("person")[0]
    uid = system.run("doveadm", "user", "-f", "user", person["address"]).strip()
    shown = system.run("doveadm", "-f", "tab", "quota", "get", "-u", uid).splitlines()
    limit = next(int(line.split("\t")[3]) for line in shown if "STORAGE" in line)
    value = policy["quota"]["person"]["value"]
    number, unit = int("".join(c for c in value if c.isdigit())), value.lstrip("0123456789")
    # doveadm tells it in KiB, rounded up.
    assert limit == -(-number * {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}[unit] // 1024)


def test_protocols_of_the_regulation(province):
    system, policy = province
    receiver = system.accounts("person")[1]
    assert ("pop3" in policy["protocols"]["value"]) == bool(system.run("sh", "-c", "ss -Htln sport = :995"))
    assert system.imap(receiver).select("INBOX")[0] == "OK"


def test_a_copy_of_all_mail_of_an_organisation_is_kept_where_the_regulation_says_so(province, tmp_path):
    system, policy = province
    person, organisation = system.accounts("person")[0], system.accounts("organisation")[0]
    incoming = compose(person["address"], organisation["address"], "Công văn đến")
    outgoing = compose(organisation["address"], person["address"], "Công văn đi")
    system.send(incoming, person["address"], [organisation["address"]], account=person)
    system.send(outgoing, organisation["address"], [person["address"]], account=organisation)
    assert system.wait_for(organisation, incoming["Message-ID"])
    assert system.wait_for(person, outgoing["Message-ID"])
    # The owner deletes the letter, and the copy is not to be seen.
    session = system.imap(organisation)
    session.select("INBOX")
    (number, *_rest) = session.search(None, "HEADER", "Message-ID", f'"{incoming["Message-ID"]}"')[1][0].decode().split()
    session.store(number, "+FLAGS", "(\\Deleted)")
    session.expunge()
    assert "Record" not in str(session.list())
    home = system.run("doveadm", "user", "-f", "home", organisation["address"]).strip()

    def kept(message):
        return system.run("grep", "-rlF", "--exclude=dovecot*", message["Message-ID"], f"{home}/Record", check=False).split()

    if not policy["organisation_mailbox"]["archive"]["value"]:
        assert not kept(incoming) and not kept(outgoing)
        return
    wait_until(lambda: kept(outgoing), 60)
    assert len(kept(incoming)) == len(kept(outgoing)) == 1
    counted = said(system.playbook("playbooks/archive.yml"))
    assert organisation["address"] in counted and "đã bị gỡ" not in counted, counted
    refused = system.playbook("playbooks/archive.yml", "-e", f"export={tmp_path}/x.tar.gz", "-e", f"mailbox={organisation['address']}")
    assert refused.returncode != 0 and "document_number" in said(refused)
    order = {"operator": "Lê Thanh Tra", "reason": "kiểm tra", "document_number": "5/TTr", "document_date": "2026-11-20"}
    wanted = {"export": f"{tmp_path}/x.tar.gz", "mailbox": organisation["address"], "message_id": incoming["Message-ID"]}
    done = system.playbook("playbooks/archive.yml", "-e", json.dumps(order | wanted))
    assert done.returncode == 0, said(done)
    with tarfile.open(wanted["export"]) as archive:
        (member,) = archive.getmembers()
        assert incoming["Message-ID"].encode() in archive.extractfile(member).read()
    assert (tmp_path / "x.tar.gz").stat().st_mode & 0o077 == 0
    journal = system.run("tail", "-n", "1", "/var/lib/congvu-mail/journal/operations.jsonl")
    assert "archive_export" in journal and "Lê Thanh Tra" in journal
