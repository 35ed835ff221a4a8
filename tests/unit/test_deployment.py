"""What an inventory lacks or has in a wrong form is told at once, with file, line, value and remedy, before any host is touched."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from congvu_mail import deployment, password_rules, secrets

ROOT = pathlib.Path(__file__).parents[2]
PROVINCES = sorted(p.parents[2] for p in ROOT.glob("inventories/*/group_vars/all/deployment.yml"))
PASSWORD = "mat-khau-cua-ket"


def settings(province):
    return yaml.safe_load((province / "group_vars/all/deployment.yml").read_text(encoding="utf-8"))


def check(folder, **changes):
    """Problems of a sound deployment with these changes; None leaves a setting out."""
    values = {name: value for name, value in {**settings(PROVINCES[0]), **changes}.items() if value is not None}
    return list(deployment.check_deployment(folder, values, deployment.secret_names(), {"mta": ["mail"]}))


@pytest.mark.parametrize("province", PROVINCES, ids=lambda p: p.name)
def test_every_province_is_sound(province):
    assert list(deployment.check_deployment(province, settings(province), deployment.secret_names(), {"mta": ["mail"]})) == []


def test_every_setting_that_is_used_is_known():
    files = [*ROOT.glob("playbooks/*.yml"), ROOT / "playbooks/group_vars/all/wiring.yml"]
    used = {name for path in files for name in re.findall(r"\bdeployment_[a-z_]+", path.read_text(encoding="utf-8"))}
    # playbooks/directory.yml: where the published directory is written.
    assert used - {"deployment_directory_output"} <= set(deployment.SETTINGS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("deployment_online", "false"),
        ("deployment_outbound", 1),
        ("deployment_register", ""),
        ("deployment_management_networks", "192.0.2.0/24"),
        ("deployment_management_networks", ["192.0.2.5/24"]),
        ("deployment_dns_forwarders", ["mot-may"]),
        ("deployment_tls_mode", "letsencrypt"),
        ("deployment_office_closes", 1020),
        ("deployment_office_closes", "25:00"),
        ("deployment_public_addresses", {"mail": "192.0.2.1"}),
        ("deployment_routes", [{"domain": "gov.vn"}]),
        ("deployment_dkim_selectors", [{"name": "cv2026", "state": "active"}]),
        ("deployment_dns_zones", {}),
    ],
)
def test_a_wrong_form(tmp_path, name, value):
    (tmp_path / "deployment.yml").write_text(f"---\n{name}: gì đó\n", encoding="utf-8")
    (found,) = check(tmp_path, **{name: value})
    assert (
        found == f"{tmp_path}/deployment.yml:2: {name} = {value!r}: sai dạng. Cách sửa: giá trị phải là {deployment.SETTINGS[name].told}."
    )


def test_a_value_from_elsewhere(tmp_path):
    (found,) = check(tmp_path, deployment_outbound="no")
    assert found.startswith("-e hoặc inventory khác: deployment_outbound = 'no': sai dạng.")


def test_a_certificate_given_as_files_is_there(tmp_path):
    key = tmp_path / "mail.key"
    key.touch()
    given = {"deployment_tls_mode": "files", "deployment_tls_certificate": "", "deployment_tls_key": str(key)}
    (found,) = check(tmp_path, **given)
    assert found.startswith("-e hoặc inventory khác: deployment_tls_certificate = '': không có tệp chứng thư hay khóa này. Cách sửa: ")
    assert len(check(tmp_path, **given | {"deployment_tls_certificate": str(key), "deployment_tls_key": str(key) + "x"})) == 1
    assert check(tmp_path, **given | {"deployment_tls_certificate": str(key)}) == []


def test_a_store_elsewhere_needs_its_keys(tmp_path):
    found = check(tmp_path, deployment_backup_repository="sftp:mail@store.example:/mail")
    assert [problem.partition("Cách sửa:")[0] for problem in found] == [
        "-e hoặc inventory khác: kho sftp cần khóa của máy đó. ",
        f"{tmp_path}/vault.yml: thiếu vault_backup_ssh_key. ",
    ]


def test_single_sign_on(tmp_path):
    """Configured as a whole or not at all, with its password, and only where the policy has it; not configured is no error."""
    ca = tmp_path / "ca.crt"
    ca.write_text("x", encoding="utf-8")
    url = "https://dangnhap.example.gov.vn/oauth2/x"
    urls = dict.fromkeys(("authorization_url", "token_url", "userinfo_url", "introspection_url"), url)
    provider = {
        **urls,
        "logout_url": "",
        "name": "Hệ thống đăng nhập tập trung",
        "client_id": "webmail",
        "scope": "openid email",
        "claim": "email",
        "addresses": ["192.0.2.7"],
        "ca_file": str(ca),
    }
    assert check(tmp_path, deployment_single_sign_on=provider) == [
        f"{tmp_path}/vault.yml: thiếu vault_single_sign_on_secret. Cách sửa: ghi mật khẩu mà hệ thống đăng nhập tập trung cấp cho webmail "
        "bằng ansible-vault edit."
    ]
    names, groups = [*deployment.secret_names(), "vault_single_sign_on_secret"], {"mta": ["mail"]}
    values = {**settings(PROVINCES[0]), "deployment_single_sign_on": provider}
    assert list(deployment.check_deployment(tmp_path, values, names, groups)) == []
    (found,) = deployment.check_deployment(tmp_path, values, names, groups, single_sign_on=False)
    assert found.startswith("-e hoặc inventory khác: policy.yml ghi không có đăng nhập tập trung. Cách sửa: viết {},")
    for wrong in (
        {"token_url": "http://dangnhap.example.gov.vn/x"},
        {"introspection_url": "https://a:b@dangnhap.example.gov.vn/x"},
        {"introspection_url": ""},
        {"addresses": []},
        {"addresses": ["dangnhap.example.gov.vn"]},
        {"ca_file": "ca.crt"},
        {"ca_file": str(tmp_path / "khong-co.crt")},
        {"client_id": "hai từ"},
        {"client_secret": "lộ"},
    ):
        assert [": sai dạng." in problem for problem in check(tmp_path, deployment_single_sign_on={**provider, **wrong})][0], wrong


def test_groups_that_have_one_host(tmp_path):
    """Several would each have a part of the mailboxes, of the keys, of the tables: refused before a host is touched."""
    groups = dict.fromkeys(("directory", "filter", "mta", "mda", "webmail", "database", "backup"), ["a", "b"])
    told = list(deployment.check_deployment(tmp_path, settings(PROVINCES[0]), deployment.secret_names(), groups))
    assert [line.split(": ")[1] for line in told] == ["directory", "filter", "mda", "webmail", "database"]
    assert told[2] == (
        "hosts.yml: mda: nhóm có 2 máy (a, b), chỉ được một, vì mọi hộp thư nằm trên một máy. Cách sửa: để lại một máy trong nhóm này."
    )


def test_what_is_missing_comes_all_at_once(tmp_path):
    values = settings(PROVINCES[0])
    del values["deployment_relayhost"]
    names = [name for name in deployment.secret_names() if name != "vault_ldap_passwords.notice"]
    found = list(deployment.check_deployment(tmp_path, values, names, {"mta": [], "mda": ["mail"]}))
    assert found[0].startswith(f"{tmp_path}/deployment.yml: deployment_relayhost: thiếu biến này. Cách sửa: thêm dòng deployment_relayhost")
    assert found[1].startswith(f"{tmp_path}/vault.yml: thiếu vault_ldap_passwords.notice. Cách sửa: thêm vào bằng ansible-vault edit")
    assert found[2:] == ["hosts.yml: mta: nhóm không có máy nào. Cách sửa: thêm ít nhất một máy vào nhóm này trong hosts.yml."]


def test_each_application_needs_a_password(tmp_path):
    values = settings(PROVINCES[0]) | {"deployment_applications": ["portal", "khao-sat"]}
    groups = {"mta": ["mail"]}
    (found,) = deployment.check_deployment(tmp_path, values, deployment.secret_names(), groups, ["portal"])
    assert "thiếu vault_ldap_passwords.portal, vault_ldap_passwords.khao-sat." in found
    assert list(deployment.check_deployment(tmp_path, values, deployment.secret_names(["portal", "khao-sat"]), groups, ["portal"])) == []
    (found,) = deployment.check_deployment(tmp_path, values, [], groups)
    assert "python -m congvu_mail.secrets portal khao-sat > " in found


def test_an_administrator_s_password_obeys_the_rule_for_administrators(tmp_path):
    names = deployment.secret_names()
    weak = {"vault_rspamd_password": "Có chữ số (0–9)"}
    (found,) = deployment.check_deployment(tmp_path, settings(PROVINCES[0]), names, {"mta": ["mail"]}, weak=weak)
    assert found.startswith(
        f"{tmp_path}/vault.yml: vault_rspamd_password: chưa đạt quy tắc mật khẩu của cấp quản trị, còn thiếu: Có chữ số"
    )
    assert (
        list(
            deployment.check_deployment(
                tmp_path, settings(PROVINCES[0]), names, {"mta": ["mail"]}, weak={**weak, **dict.fromkeys(weak, "")}
            )
        )
        == []
    )


@pytest.mark.parametrize("province", PROVINCES, ids=lambda p: p.name)
def test_a_fresh_vault_obeys_the_rule_for_administrators(province):
    policy = yaml.safe_load((province / "group_vars/all/policy.yml").read_text(encoding="utf-8"))["mail_policy"]
    rule = {name: leaf["value"] for name, leaf in policy["password"]["admin"].items()}
    assert [word for word in (secrets.generate()["vault_rspamd_password"] for _ in range(50)) if password_rules.unmet(rule, word)] == []


# ---- As the operator sees it: the real playbook, an inventory of its own ------------------------------------


@pytest.fixture
def sixth(tmp_path):
    """A sixth province: the folder of another one, copied, its vault made and locked as the README says."""
    folder = tmp_path / "tinh-thu-sau"
    shutil.copytree(ROOT / "inventories/quang-tri", folder, ignore=shutil.ignore_patterns("vault.yml"))
    (tmp_path / "password").write_text(PASSWORD, encoding="ascii")
    vault = folder / "group_vars/all/vault.yml"
    vault.write_text(run("python", "-m", "congvu_mail.secrets").stdout, encoding="ascii")
    assert run("ansible-vault", "encrypt", "--vault-password-file", tmp_path / "password", vault).returncode == 0
    return folder


def run(program, *arguments):
    """A program of the virtual environment, from the project's root."""
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "NO_COLOR": "1"}
    argv = [pathlib.Path(sys.executable).with_name(program), *arguments]
    return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


def site(inventory, *options):
    """Run site.yml; (exit status, what it says with its line breaks folded)."""
    done = run("ansible-playbook", "-i", inventory, "playbooks/site.yml", *options)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def unlocked(sixth):
    return f"--vault-password-file={sixth.parent / 'password'}"


def edit(sixth, name, before, after):
    path = sixth / "group_vars/all" / name
    text = path.read_text(encoding="utf-8")
    assert before in text
    path.write_text(text.replace(before, after), encoding="utf-8")


def test_an_unknown_province_names_the_known_ones():
    status, text = site("inventories/khong-co")
    assert status == 2
    assert "inventories/khong-co/group_vars/all/policy.yml, chưa máy nào được động đến. Cách sửa: chọn đúng thư mục của tỉnh sau -i" in text
    assert "inventories/quang-tri" in text


@pytest.mark.parametrize("name", ["blocks", "clock", "directory", "headers", "status"])
def test_a_playbook_that_finds_none_of_its_hosts_does_not_end_well(name):
    done = run("ansible-playbook", "-i", "inventories/khong-co", f"playbooks/{name}.yml")
    assert done.returncode != 0
    assert "Could not match supplied host pattern" in done.stderr


@pytest.mark.parametrize("name", ["addresses", "requests"])
def test_what_is_worked_out_here_needs_a_sound_policy_too(name):
    done = run("ansible-playbook", "-i", "inventories/khong-co", f"playbooks/{name}.yml")
    assert done.returncode == 2
    assert "Cách sửa: chọn đúng thư mục của tỉnh sau -i" in " ".join((done.stdout + done.stderr).split())


def test_a_vault_that_does_not_open(sixth):
    wrong = sixth.parent / "wrong"
    wrong.write_text("sai", encoding="ascii")
    for options, cause in [((f"--vault-password-file={wrong}",), "không đúng"), ((), "")]:
        status, text = site(sixth, *options)
        assert status == 1
        assert ("Mật khẩu két (vault) không đúng" if cause else "Chưa có mật khẩu két (vault)") in text
        assert f"không mở được {sixth}/group_vars/all/vault.yml; chưa máy nào được động đến. Cách sửa: thêm --ask-vault-pass" in text
        assert "Traceback" not in text


def test_no_vault_at_all(sixth):
    (sixth / "group_vars/all/vault.yml").unlink()
    status, text = site(sixth)
    assert status == 2
    assert f"{sixth}/group_vars/all/vault.yml: chưa có mật khẩu nào. Cách sửa: python -m congvu_mail.secrets > " in text


def test_wrong_and_missing_variables_come_in_one_failure(sixth):
    edit(sixth, "deployment.yml", "deployment_online: false", "deployment_online: không")
    edit(sixth, "deployment.yml", 'deployment_relayhost: ""\n', "")
    edit(sixth, "policy.yml", "value: 50MB", "value: 60MB")
    status, text = site(sixth, unlocked(sixth), "-e", "vault_rspamd_password=mat-khau-1234567890")
    assert status == 2
    assert (
        "vault_rspamd_password: chưa đạt quy tắc mật khẩu của cấp quản trị, còn thiếu: Có chữ hoa (A–Z); Có ký tự đặc biệt, một trong:"
        in text
    )
    assert "mat-khau-1234567890" not in text
    assert "Chính sách và cấu hình có 4 chỗ sai, chưa máy nào được động đến" in text
    assert "deployment_online = 'không': sai dạng. Cách sửa: giá trị phải là true hoặc false" in text
    assert "deployment_relayhost: thiếu biến này. Cách sửa: thêm dòng deployment_relayhost" in text
    assert "attachments.max_total.value = 60MB: trái Quy chế" in text


def test_a_host_that_does_not_answer_and_no_secret_in_the_most_talkative_run(sixth):
    """192.0.2.1 is reserved for documentation (RFC 5737): nobody answers there."""
    values = yaml.safe_load(run("ansible-vault", "view", unlocked(sixth), sixth / "group_vars/all/vault.yml").stdout)
    flat = [v for value in values.values() for v in (value.values() if isinstance(value, dict) else [value])]
    assert len(flat) == len(deployment.secret_names())
    status, text = site(sixth, unlocked(sixth), "-e", "ansible_host=192.0.2.1", "--timeout", "2", "-vvvv")
    assert status == 4
    # Before it, Ansible says one thing or another, as ssh ends sooner or later.
    assert "ssh: connect to host 192.0.2.1 port 22:" in text
    assert "changed=0 unreachable=1" in text
    assert not [value for value in flat if value in text]
