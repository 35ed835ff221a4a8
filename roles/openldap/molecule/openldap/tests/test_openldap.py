"""What each identity may read and write, what a weak password gets, and what happens to a configuration that drifts or is wrong."""

import base64
import hashlib
import json
import os
import pathlib
import shlex
import subprocess

import pytest
from testing import INVENTORY, ROOT, wait_until

SUFFIX = "dc=example,dc=gov,dc=vn"
MAILBOXES = f"ou=mailboxes,{SUFFIX}"
CONVERGE = pathlib.Path(__file__).parents[1] / "converge.yml"
SERVICES = {
    "postfix": "postfix-secret",
    "dovecot": "dovecot-secret",
    "roundcube": "roundcube-secret",
    "password-page": "page-secret",
    "notice": "notice-secret",
    "portal": "portal-secret",
}
INITIAL = "Ban-dau#Qk7tz9Wm"
OWN = "Mat2khau$789"
# uid: (local part, name, kind, class, state, must change, own login)
PEOPLE = {
    "an": ("nguyenvanan", "Nguyễn Văn An", "person", "user", "active", False, True),
    "binh": ("tranthibinh", "Trần Thị Bình", "person", "user", "active", True, True),
    "cuc": ("lethicuc", "Lê Thị Cúc", "person", "user", "suspended", False, True),
    "dung": ("phamtiendung", "Phạm Tiến Dũng", "person", "admin", "active", False, True),
    "khoa": ("hoangkhoa", "Hoàng Khoa", "person", "admin", "active", False, True),
    "so": ("sokhcn", "Sở Khoa học và Công nghệ", "organisation", "user", "active", False, False),
}


def dn(uid):
    return f"uid={uid},{MAILBOXES}"


def ssha512(password, salt=b"0123456789abcdef"):
    return "{SSHA512}" + base64.b64encode(hashlib.sha512(password.encode() + salt).digest() + salt).decode()


def root(host, tool, ldif):
    """ldapadd or ldapmodify as root with this LDIF; the result of the command."""
    return host.run(f"printf %s {shlex.quote(ldif)} | {tool} -Q -Y EXTERNAL -H ldapi:///")


def entry(uid, **changed):
    """LDIF of a mailbox."""
    local, name, kind, rule, state, reset, login = PEOPLE.get(uid, PEOPLE["an"])
    values = {
        "congvuCode": f"MA-{uid}",
        "mail": f"{local}@example.gov.vn",
        "mailLocalAddress": f"{local}@example.gov.vn",
        "congvuState": state,
        **changed,
    }
    lines = [f"dn: {dn(uid)}"]
    lines += [f"objectClass: {name}" for name in ("inetOrgPerson", "inetLocalMailRecipient", "congvuMailbox")]
    lines += [f"uid: {uid}", f"cn:: {base64.b64encode(name.encode()).decode()}", "sn: x", f"congvuKind: {kind}", f"congvuClass: {rule}"]
    lines += ["congvuDelivery: TRUE", f"congvuLogin: {str(login).upper()}", "congvuQuota: 2147483648", "telephoneNumber: 0233 111"]
    lines += [f"{name}: {value}" for name, values_ in values.items() for value in values_.split("|")]
    lines += ["congvuForbiddenInPassword: 19800102", f"userPassword: {ssha512(INITIAL if reset else OWN)}"]
    lines += [f"pwdReset: {str(reset).upper()}", f"pwdPolicySubentry: cn={rule},ou=policies,{SUFFIX}"]
    return "\n".join(lines) + "\n\n"


@pytest.fixture(scope="module", autouse=True)
def server(host, tmp_path_factory):
    """The LDAP tools of this machine, a client somewhere else in the network, trust the CA of the test."""
    authority = tmp_path_factory.mktemp("tls") / "ca.crt"
    authority.write_text(host.file("/etc/congvu-mail/tls/ca.crt").content_string)
    os.environ["LDAPTLS_CACERT"] = str(authority)
    os.environ["LDAP_SERVER"] = host.ansible.get_variables()["ansible_host"]


@pytest.fixture(autouse=True)
def mailboxes(host):
    """The mailboxes of PEOPLE, new for every test."""
    ledger = f"congvuLocalPart=cu,ou=ledger,{SUFFIX}"
    ldif = "".join(map(entry, PEOPLE)) + f"dn: {ledger}\nobjectClass: congvuIssuedAddress\ncongvuCode: 1\ncongvuCurrent: FALSE\n"
    script = f"""set -e; as_root() {{ tool=$1; shift; "$tool" -Q -Y EXTERNAL -H ldapi:/// "$@"; }}
        as_root ldapsearch -LLL -o ldif-wrap=no -b {SUFFIX} '(|(objectClass=congvuMailbox)(objectClass=congvuIssuedAddress))' 1.1 |
            sed -n 's/^dn: //p' >/run/old
        [ ! -s /run/old ] || as_root ldapdelete -f /run/old
        printf %s {shlex.quote(ldif)} | as_root ldapadd"""
    result = host.run(script)
    assert result.stdout.count("adding new entry") == len(PEOPLE) + 1, result.stderr


class Result:
    """Exit status and output of a tool."""

    def __init__(self, done):
        self.rc, self.stdout, self.stderr = done.returncode, done.stdout, done.stderr


def tool(words, who=None, password=None, scheme="ldaps", stdin=None, port=""):
    """Run an LDAP tool on this machine against the server, with a simple bind (none: anonymous)."""
    name, *rest = shlex.split(words)
    bind = ["-D", who, "-w", password] if who else []
    argv = [name, "-x", "-H", f"{scheme}://{os.environ['LDAP_SERVER']}{port}", *bind, *rest]
    return Result(subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False))


def s_client(options):
    """Exit status and words of a TLS handshake with the server."""
    argv = ["openssl", "s_client", "-connect", f"{os.environ['LDAP_SERVER']}:636", *options.split()]
    return Result(subprocess.run(argv, input="", capture_output=True, text=True, check=False))


def search(who, password, base=MAILBOXES, what="(objectClass=*)", attributes="'*' +"):
    """Entries that an identity sees: {first RDN value: {attribute: [values]}}."""
    result = tool(f"ldapsearch -LLL -o ldif-wrap=no -b {base} {shlex.quote(what)} {attributes}", who, password)
    found = {}
    for block in result.stdout.split("\n\n"):
        lines = [line.partition(": ") for line in block.splitlines() if line]
        if lines and lines[0][0] == "dn":
            attributes = found.setdefault(lines[0][2].split(",")[0].split("=")[1], {})
            for name, _, value in lines[1:]:
                attributes.setdefault(name.rstrip(":"), []).append(value)
    return found


def service(name):
    return f"cn={name},ou=services,{SUFFIX}", SERVICES[name]


def change_password(uid, old, new):
    """A user changes the password himself; (exit status, what the server said)."""
    result = tool(f"ldappasswd -e ppolicy -a {shlex.quote(old)} -s {shlex.quote(new)}", dn(uid), old)
    return result.rc, result.stdout + result.stderr


def converge(*options, **variables):
    """Run the role as converge.yml does; {task name: result}, with the exit status as ''."""
    argv = ["ansible-playbook", "--inventory", INVENTORY, str(CONVERGE), "--extra-vars", json.dumps(variables), *options]
    environment = {**os.environ, "ANSIBLE_CONFIG": f"{ROOT}/ansible.cfg", "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    play = json.loads(done.stdout[done.stdout.index("{") :])
    results = {task["task"]["name"]: task["hosts"]["directory"] for task in play["plays"][0]["tasks"]}
    return {name: result for name, result in results.items() if result.get("changed") or result.get("failed")}


# --- who gets in ------------------------------------------------------------------------------------------------------


def test_a_password_is_refused_on_a_connection_without_tls():
    result = tool("ldapwhoami", dn("an"), OWN, "ldap")
    assert result.rc == 13
    assert "confidentiality required" in result.stderr.lower()
    assert tool("ldapwhoami -ZZ", dn("an"), OWN, "ldap").rc == 0
    assert tool("ldapwhoami", dn("an"), OWN).stdout.strip() == f"dn:{dn('an')}"


def test_old_tls_is_refused():
    assert "Protocol version: TLSv1.3" in s_client("-brief -tls1_3").stderr
    assert "Protocol version: TLSv1.2" in s_client("-brief -tls1_2").stderr
    assert s_client("-brief -tls1_1 -cipher ALL:@SECLEVEL=0").rc != 0


def test_anonymous_gets_nothing():
    assert tool("ldapwhoami").rc == 48  # inappropriate authentication: no bind without a name
    for base in (SUFFIX, MAILBOXES, "''", "cn=config", "cn=accesslog", "cn=monitor", "cn=Subschema"):
        result = tool(f"ldapsearch -LLL -b {base} -s base '(objectClass=*)' '*' +")
        assert "dn:" not in result.stdout, base


@pytest.mark.parametrize(
    ("uid", "password", "gets_in"),
    [("an", OWN, True), ("an", "wrong", False), ("binh", INITIAL, True), ("cuc", OWN, False), ("dung", OWN, True), ("so", OWN, False)],
)
def test_only_active_mailboxes_with_a_login_of_their_own_prove_a_password(uid, password, gets_in):
    result = tool("ldapwhoami", dn(uid), password)
    assert result.rc == (0 if gets_in else 49), result.stderr


@pytest.mark.parametrize(("uid", "password", "proved"), [("cuc", OWN, True), ("cuc", "wrong", False), ("so", OWN, False)])
def test_a_suspended_mailbox_proves_its_password_on_a_port_of_its_own(uid, password, proved):
    """There Dovecot learns whom it may tell the reason; everywhere else the password of a suspended mailbox is none."""
    assert tool("ldapwhoami", dn(uid), password, port=":6360").rc == (0 if proved else 49)
    assert tool("ldapwhoami", dn(uid), password).rc == 49


def test_root_manages_every_database_over_the_socket(host):
    for base in ("cn=config", SUFFIX, "cn=accesslog", "cn=monitor"):
        assert "dn:" in host.check_output(f"ldapsearch -LLLQ -Y EXTERNAL -H ldapi:/// -b {base} -s base 1.1")
    stranger = host.run("setpriv --reuid=nobody --clear-groups ldapsearch -LLLQ -Y EXTERNAL -H ldapi:/// -b " + SUFFIX)
    assert "dn:" not in stranger.stdout


# --- what each reads --------------------------------------------------------------------------------------------------

ADDRESS_BOOK = {"objectClass", "uid", "mail", "cn", "sn", "telephoneNumber", "congvuKind", "congvuState"}
ROUTING = {"objectClass", "uid", "mail", "mailLocalAddress", "congvuState", "congvuDelivery", "congvuKind"}
READS = {
    "postfix": ROUTING | {"pwdReset"},
    "dovecot": ROUTING | {"congvuLogin", "congvuQuota", "pwdReset"},
    "roundcube": ADDRESS_BOOK | {"mailLocalAddress", "pwdReset"},
    "password-page": {
        "objectClass",
        "uid",
        "mail",
        "mailLocalAddress",
        "cn",
        "congvuState",
        "congvuLogin",
        "congvuClass",
        "pwdReset",
        "pwdPolicySubentry",
    },
    "notice": {
        "objectClass",
        "uid",
        "mail",
        "mailLocalAddress",
        "cn",
        "congvuCode",
        "congvuKind",
        "congvuState",
        "congvuLogin",
        "congvuQuota",
        "pwdReset",
    },
    "portal": ADDRESS_BOOK | {"mailLocalAddress", "congvuCode"},
}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_reads_what_it_searches_and_returns(name):
    found = search(*service(name))
    active_only = {"roundcube": set(PEOPLE) - {"cuc"}, "portal": {"an", "dung", "khoa", "so"}}
    assert set(found) == active_only.get(name, set(PEOPLE))
    assert set(found["an"]) == READS[name]
    assert not any("userPassword" in attributes or "congvuForbiddenInPassword" in attributes for attributes in found.values())
    # What it may not read it may not search for either.
    assert not search(*service(name), what="(userPassword=*)")
    assert not search(*service(name), what="(congvuForbiddenInPassword=19800102)")


def test_an_application_finds_a_person_and_lets_the_directory_prove_the_password():
    def login(address, password):
        found = search(*service("portal"), what=f"(mailLocalAddress={address})")
        return [tool("ldapwhoami", dn(uid), password).rc for uid in found]

    assert login("nguyenvanan@example.gov.vn", OWN) == [0]
    assert login("nguyenvanan@example.gov.vn", "wrong") == [49]
    # An initial password opens no application, nor does a locked mailbox.
    assert login("tranthibinh@example.gov.vn", INITIAL) == login("lethicuc@example.gov.vn", OWN) == []


def test_an_application_cannot_copy_the_directory(host):
    root(host, "ldapadd", entry("moi", mail="moi@example.gov.vn", mailLocalAddress="moi@example.gov.vn"))
    result = tool(f"ldapsearch -LLL -b {MAILBOXES} (mail=*) mail", *service("portal"))
    assert (result.rc, "Size limit exceeded (4)" in result.stderr, result.stdout.count("mail: ")) == (4, True, 4)
    assert len(search(*service("roundcube"))) == 6
    assert set(search(*service("portal"), what="(mail=moi@example.gov.vn)")) == {"moi"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_reads_nothing_elsewhere_and_writes_nothing(name):
    for base in (f"ou=ledger,{SUFFIX}", f"ou=services,{SUFFIX}", "cn=accesslog", "cn=config", "cn=monitor"):
        assert not search(*service(name), base=base), base
    policies = search(*service(name), base=f"ou=policies,{SUFFIX}")
    assert bool(policies) == (name == "password-page")
    change = f"dn: {dn('an')}\nchangetype: modify\nreplace: telephoneNumber\ntelephoneNumber: 1\n"
    result = tool("ldapmodify", *service(name), stdin=change)
    assert result.rc == 50, result.stderr
    result = tool(f"ldappasswd -s Moi-12345678aB {dn('an')}", *service(name))
    assert "Insufficient access (50)" in result.stdout + result.stderr
    assert tool("ldapwhoami", dn("an"), OWN).rc == 0


@pytest.mark.parametrize(
    ("name", "filter_", "found"),
    [
        ("dovecot", "(&(objectClass=congvuMailbox)(mailLocalAddress={})(congvuState=active)(congvuLogin=TRUE)(!(pwdReset=TRUE)))", {"an"}),
        ("postfix", "(&(objectClass=congvuMailbox)(mailLocalAddress={})(congvuDelivery=TRUE))", {"an"}),
        ("postfix", "(&(mailLocalAddress={})(congvuState=active))", {"an"}),
    ],
)
def test_the_searches_of_the_contract(name, filter_, found):
    assert set(search(*service(name), what=filter_.format("nguyenvanan@example.gov.vn"))) == found


def test_dovecot_does_not_find_who_must_change_the_password():
    filter_ = "(&(objectClass=congvuMailbox)(mailLocalAddress=tranthibinh@example.gov.vn)(congvuLogin=TRUE){})"
    assert set(search(*service("dovecot"), what=filter_.format(""))) == {"binh"}
    assert not search(*service("dovecot"), what=filter_.format("(!(pwdReset=TRUE))"))


@pytest.mark.parametrize("uid", ["an", "dung"])
def test_a_user_sees_the_address_book_and_writes_only_his_password(uid):
    found = search(dn(uid), OWN)
    assert set(found) == set(PEOPLE) - {"cuc"}
    assert set(found["so"]) == ADDRESS_BOOK
    assert set(found[uid]) == ADDRESS_BOOK
    for base in (f"ou=ledger,{SUFFIX}", f"ou=services,{SUFFIX}", f"ou=policies,{SUFFIX}", "cn=accesslog", "cn=config"):
        assert not search(dn(uid), OWN, base=base), base
    forwards = [(name, "a@gmail.com") for name in ("congvuSuccessor", "mailLocalAddress", "mail")] + [("congvuDelegate", dn("so"))]
    for attribute, value in (
        ("congvuQuota", "1"),
        ("congvuState", "active"),
        ("pwdReset", "FALSE"),
        ("mail", "x@example.gov.vn"),
        *forwards,
    ):
        ldif = f"dn: {dn(uid)}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n"
        result = tool("ldapmodify", dn(uid), OWN, stdin=ldif)
        assert result.rc in (19, 50), (attribute, result.stderr)  # 19: the address would belong to nobody


# --- passwords --------------------------------------------------------------------------------------------------------


def test_a_connection_that_is_older_than_the_suspension_reads_no_more(host):
    """slapd asks for the password at the bind only; what a connection may read is looked up each time."""
    script = f"""
import ldap
user, root = ldap.initialize("ldapi:///"), ldap.initialize("ldapi:///")
root.sasl_external_bind_s()
user.simple_bind_s({dn("an")!r}, {OWN!r})
for state in ("active", "suspended", "active"):
    root.modify_s({dn("an")!r}, [(ldap.MOD_REPLACE, "congvuState", [state.encode()])])
    print(len(user.search_s({MAILBOXES!r}, ldap.SCOPE_ONELEVEL, "(mail=*)", ["mail"])))
"""
    seen = [int(line) for line in host.check_output(f"python3 -c {shlex.quote(script)}").split()]
    assert seen[0] > 0 and seen == [seen[0], 0, seen[0]]


def test_who_must_change_the_password_can_do_only_that(host):
    refused = tool(f"ldapsearch -b {MAILBOXES}", dn("binh"), INITIAL)
    assert refused.rc == 50
    assert "Operations are restricted to bind/unbind/abandon/StartTLS/modify password" in refused.stdout + refused.stderr
    assert change_password("binh", INITIAL, "Moi-Tinh#2026a")[0] == 0
    assert tool(f"ldapsearch -b {MAILBOXES}", dn("binh"), "Moi-Tinh#2026a").rc == 0
    stored = host.check_output(f"ldapsearch -LLLQ -Y EXTERNAL -H ldapi:/// -o ldif-wrap=no -b {dn('binh')} userPassword pwdReset")
    assert "pwdReset" not in stored
    assert base64.b64decode(stored.split("userPassword:: ")[1].split()[0]).startswith(b"{ARGON2}$argon2id$v=19$m=19456,t=2,p=1$")


WEAK = "Mật khẩu mới chưa đủ mạnh. Còn thiếu: "
SPECIAL = "Có ký tự đặc biệt, một trong: ! @ # % $ * &"
PERSONAL = "Mật khẩu mới chứa họ tên, địa chỉ thư hoặc thông tin cá nhân. Hãy chọn mật khẩu khác."


def modify_password(uid, old, new):
    """The same by a modification of userPassword."""
    old, new = (base64.b64encode(word.encode()).decode() for word in (old, new))
    head = f"dn: {dn(uid)}\nchangetype: modify\n"
    ldif = f"{head}delete: userPassword\nuserPassword:: {old}\n-\nadd: userPassword\nuserPassword:: {new}\n"
    result = tool("ldapmodify -e ppolicy", dn(uid), base64.b64decode(old).decode(), stdin=ldif)
    return result.rc, result.stdout + result.stderr


@pytest.mark.parametrize("change", [change_password, modify_password])
@pytest.mark.parametrize(
    ("uid", "new", "said"),
    [
        ("an", "Ab1!xyz", WEAK + "Ít nhất 8 ký tự"),
        ("an", "Ab1!ếếể", WEAK + "Ít nhất 8 ký tự"),
        ("an", "abcdefgh", f"{WEAK}Có chữ hoa (A–Z); Có chữ số (0–9); {SPECIAL}"),
        ("an", "Abcdefg1^", WEAK + SPECIAL),
        ("an", "abcdefg1!", WEAK + "Có chữ hoa (A–Z)"),
        ("an", "Abcdefgh!", WEAK + "Có chữ số (0–9)"),
        ("an", "NguyenVanAn1!", PERSONAL),
        ("an", "Sinh19800102!", PERSONAL),
        ("an", ssha512("Abcdefg1!"), "Mật khẩu mới phải là chính mật khẩu, không phải giá trị đã băm."),
        ("dung", "Abcdefg12", WEAK + "Ít nhất 10 ký tự"),
        ("dung", "abcdefghij1", WEAK + "Có chữ hoa (A–Z)"),
    ],
)
def test_a_weak_password_is_refused_with_the_reason(change, uid, new, said):
    """Over LDAP, by either operation, with the words of the password page."""
    status, text = change(uid, OWN, new)
    assert status != 0
    assert "Constraint violation (19)" in text
    assert said in text.splitlines()[-1]
    assert text.splitlines()[-1].endswith(said)
    assert tool("ldapwhoami", dn(uid), OWN).rc == 0


def test_a_good_password_is_taken_by_a_modification_too():
    assert modify_password("an", OWN, "Abcdefg1$")[0] == 0
    assert tool("ldapwhoami", dn("an"), "Abcdefg1$").rc == 0


def test_who_must_change_the_password_hears_the_reason_too():
    status, text = change_password("binh", INITIAL, "abc")
    assert (status, "Constraint violation (19)" in text, WEAK in text) == (1, True, True)


def test_without_the_judge_no_password_changes_and_logins_go_on(host):
    """slapd's own check stands behind the judge; it comes back by itself after a crash."""
    host.check_output("systemctl stop congvu-password-rule.socket congvu-password-rule.service")
    try:
        status, text = change_password("an", OWN, "Abcdefg1$")
        assert (status, "could not open socket" in text) == (1, True), text
        assert tool("ldapwhoami", dn("an"), OWN).rc != 0, "an operation that slapd asks about"
        assert search(dn("an"), OWN)["an"]
        assert search(*service("dovecot"))
    finally:
        host.check_output("systemctl start congvu-password-rule.socket")
    assert change_password("an", OWN, "Abcdefg1$")[0] == 0
    host.check_output("systemctl kill --signal=KILL congvu-password-rule")
    assert WEAK in change_password("an", "Abcdefg1$", "abc")[1]


def test_the_judge_is_confined(host):
    pid = host.check_output("systemctl show -P MainPID congvu-password-rule")
    status = dict(line.split(":\t", 1) for line in host.check_output(f"cat /proc/{pid}/status").splitlines() if ":\t" in line)
    assert (status["NoNewPrivs"], status["Seccomp"], status["CapBnd"]) == ("1", "2", "0000000000000000")
    assert status["Uid"].split()[0] == host.check_output("id -u password-rule")
    connect = "python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"/run/congvu-password-rule/socket\")'"
    assert "Permission denied" in host.run(f"runuser -u nobody -- {connect}").stderr
    # What it reads in the directory: the rule and what may not be in a password; no password, no state, nothing to write.
    told = host.check_output(f"runuser -u password-rule -- ldapsearch -LLLQ -Y EXTERNAL -H ldapi:/// -b {dn('an')} '*' '+'")
    read = {line.split(":")[0] for line in told.splitlines() if line} - {"dn", "objectClass"}
    assert read == {"mail", "pwdPolicySubentry", "congvuForbiddenInPassword"}
    score = host.check_output("systemd-analyze security --no-pager congvu-password-rule | tail -n 1")
    assert float(score.split(": ")[1].split()[0]) <= 2.0


@pytest.mark.parametrize(("uid", "new"), [("an", "Abcdefg1$"), ("an", "Đàlạt-Abc1!"), ("dung", "Abcdefghi1")])
def test_a_good_password_is_taken_and_the_old_one_is_gone(uid, new):
    assert change_password(uid, OWN, new)[0] == 0
    assert tool("ldapwhoami", dn(uid), new).rc == 0
    assert tool("ldapwhoami", dn(uid), OWN).rc == 49
    status, text = change_password(uid, new, OWN)
    assert status != 0
    assert "Password is in history of old passwords" in text


def test_a_change_needs_the_old_password():
    result = tool("ldappasswd -e ppolicy -s Abcdefg1$", dn("an"), OWN)
    assert "Insufficient access (50)" in result.stdout + result.stderr
    assert "Policy requires old password in order to change password" in result.stdout + result.stderr


def test_locked_after_failures_where_the_rule_says_so():
    for _ in range(3):
        assert tool("ldapwhoami", dn("khoa"), "wrong").rc == 49
    locked = tool("ldapwhoami -e ppolicy", dn("khoa"), OWN)
    assert locked.rc == 49
    assert "Account locked" in locked.stdout + locked.stderr
    for _ in range(3):
        tool("ldapwhoami", dn("an"), "wrong")
    assert tool("ldapwhoami", dn("an"), OWN).rc == 0
    for _ in range(4):
        tool("ldapwhoami", service("dovecot")[0], "wrong")
    assert tool("ldapwhoami", *service("dovecot")).rc == 0


def test_an_old_password_does_not_refuse_the_login(host):
    ldif = f"dn: {dn('an')}\nchangetype: modify\nreplace: pwdChangedTime\npwdChangedTime: 20200101000000Z\n"
    result = host.run(f"printf %s {shlex.quote(ldif)} | ldapmodify -Q -Y EXTERNAL -H ldapi:/// -e relax")
    assert result.rc == 0, result.stderr
    assert tool("ldapwhoami", dn("an"), OWN).rc == 0
    rule = host.check_output(f"ldapsearch -LLLQ -Y EXTERNAL -H ldapi:/// -b cn=user,ou=policies,{SUFFIX} congvuPasswordMaxAge")
    assert "congvuPasswordMaxAge: 15552000" in rule


# --- one code, one address --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"congvuCode": "MA-an", "mail": "moi@example.gov.vn", "mailLocalAddress": "moi@example.gov.vn"}, "non-unique attributes found"),
        ({}, "non-unique attributes found"),
        (
            {"mail": "moi@example.gov.vn", "mailLocalAddress": "moi@example.gov.vn|NguyenVanAn@example.gov.vn".lower()},
            "non-unique attributes found",
        ),
        ({"mail": "moi@example.gov.vn", "mailLocalAddress": "khac@example.gov.vn"}, "breaks constraint on mail"),
        (
            {"mail": "moi@example.gov.vn", "mailLocalAddress": "moi@example.gov.vn|Hoa@example.gov.vn"},
            "breaks constraint on mailLocalAddress",
        ),
        (
            {"mail": "moi@example.gov.vn", "mailLocalAddress": "moi@example.gov.vn", "congvuState": "retired"},
            "breaks constraint on congvuState",
        ),
    ],
)
def test_an_entry_that_breaks_a_rule_is_refused_even_from_root(host, changed, said):
    result = root(host, "ldapadd", entry("moi", **changed))
    assert result.rc == 19
    assert said in result.stderr


# --- the journal of changes -------------------------------------------------------------------------------------------


def journal(host):
    text = host.check_output(
        "ldapsearch -LLLQ -Y EXTERNAL -H ldapi:/// -o ldif-wrap=no -b cn=accesslog '(reqStart=*)' reqAuthzID reqDN reqMod"
    )
    return [block for block in text.split("\n\n") if block.strip()]


def test_changes_are_logged_and_logins_are_not(host):
    before = len(journal(host))
    assert tool("ldapwhoami", dn("an"), OWN).rc == 0
    tool("ldapwhoami", dn("dung"), "wrong")
    last = host.check_output(f"ldapsearch -LLLQ -Y EXTERNAL -H ldapi:/// -b {dn('an')} pwdLastSuccess")
    assert "pwdLastSuccess: " in last
    assert len(journal(host)) == before
    assert change_password("an", OWN, "Abcdefg1$")[0] == 0
    new = journal(host)[before:]
    assert len(new) == 1
    assert f"reqAuthzID: {dn('an')}" in new[0]
    assert "Abcdefg1$" not in new[0]


# --- the configuration ------------------------------------------------------------------------------------------------

DRIFT = "dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\nreplace: olcAccess\nolcAccess: to * by * read\n"


def test_drift_is_predicted_and_repaired(host):
    assert root(host, "ldapmodify", DRIFT).rc == 0
    predicted = converge("--check", "--diff")
    assert set(predicted) == {"openldap : Configure slapd", "openldap : Run slapd on its configuration, and what it asks about passwords"}
    diff = predicted["openldap : Configure slapd"]["diff"]
    assert "{0}to * by * read" in diff["before"]
    assert "{0}to * by * read" not in diff["after"]
    assert "by self =xw" in diff["after"]
    assert search(dn("an"), OWN)["an"].get("userPassword"), "check mode must not repair"
    assert set(converge()) == set(predicted)
    assert "userPassword" not in search(dn("an"), OWN)["an"]
    assert converge() == {}


def test_killed_between_configuration_and_restart(host):
    assert root(host, "ldapmodify", DRIFT).rc == 0
    host.check_output("cp -a /etc/ldap/slapd.d /etc/ldap/slapd.d.old && rm -rf /etc/ldap/slapd.d")  # between the two renames
    assert set(converge()) == {"openldap : Configure slapd", "openldap : Run slapd on its configuration, and what it asks about passwords"}
    assert "userPassword" not in search(dn("an"), OWN)["an"]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"openldap_tls_ciphers": "NO-SUCH-CIPHER"}, "TLS does not start with"),
        ({"openldap_log_level": "chatty"}, "slapadd refuses the configuration"),
        ({"openldap_listen": ["ldapi:///", "ldap://192.0.2.1"]}, "only addresses of this machine"),
    ],
)
def test_a_bad_variable_changes_nothing(host, variables, said):
    state = "systemctl show -P MainPID slapd; find /etc/ldap /etc/default/slapd -type f -exec sha256sum {} + | sort"
    before = host.check_output(state)
    results = converge(**variables)
    assert len(results) == 1, results
    (result,) = results.values()
    assert result["failed"]
    assert said in result["msg"]
    assert host.check_output(state) == before
    assert tool("ldapwhoami", dn("an"), OWN).rc == 0


def test_service_passwords_follow_the_variable(host):
    accounts = [
        {"name": "postfix", "access": "routing", "password": "new-secret"},
        {"name": "dovecot", "access": "login", "password": "dovecot-secret"},
    ]
    results = converge("--diff", openldap_service_accounts=accounts, openldap_no_log=False)
    changes = results["openldap : Make the fixed entries"]["changes"]
    assert sorted(changes, reverse=True) == [
        f"modify cn=postfix,ou=services,{SUFFIX}",
        *(f"delete cn={name},ou=services,{SUFFIX}" for name in ("roundcube", "portal", "password-page", "notice")),
    ]
    assert "openldap : End what a former password of a service account opened" in results
    assert "new-secret" not in json.dumps(results)
    assert "SSHA512" not in json.dumps(results)
    postfix = f"cn=postfix,ou=services,{SUFFIX}"
    assert tool("ldapwhoami", postfix, "postfix-secret").rc == 49
    assert tool("ldapwhoami", postfix, "new-secret").rc == 0
    assert tool("ldapwhoami", *service("portal")).rc == 49
    converge()
    assert tool("ldapwhoami", *service("portal")).rc == 0


def test_a_new_certificate_is_loaded(host):
    old = s_client("").stdout
    host.check_output(
        "cd /etc/congvu-mail/tls && openssl x509 -req -in /root/mail.csr -CA ca.crt -CAkey /root/ca.key -days 30 -out mail.crt "
        "-extfile /root/san.ext"
    )
    assert set(converge()) == {"openldap : Run slapd on its configuration, and what it asks about passwords"}
    assert s_client("").stdout.split("-----BEGIN")[1] != old.split("-----BEGIN")[1]
    assert tool("ldapwhoami", dn("an"), OWN).rc == 0


# --- the process ------------------------------------------------------------------------------------------------------


def test_the_live_process_is_confined(host):
    pid = host.check_output("systemctl show -P MainPID slapd")
    status = dict(line.split(":\t", 1) for line in host.check_output(f"cat /proc/{pid}/status").splitlines() if ":\t" in line)
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert status["CapBnd"] == status["CapEff"] == "0000000000000400"  # CAP_NET_BIND_SERVICE
    assert status["Uid"].split()[0] == host.check_output("id -u openldap")
    inside = f"nsenter --target {pid} --mount --setuid 0"
    for path in ("/usr/x", "/etc/x", "/run/x", "/var/lib/x", "/home/x"):
        assert "Read-only file system" in host.run(f"{inside} touch {path}").stderr, path
    host.run_expect([0], f"{inside} touch /var/lib/ldap/x && rm /var/lib/ldap/x")
    score = host.check_output("systemd-analyze security --no-pager slapd | tail -n 1")  # → Overall exposure level for slapd.service: 1.4 OK
    assert float(score.split(": ")[1].split()[0]) <= 2.5


def test_back_after_a_crash(host):
    host.check_output("systemctl kill --signal=KILL slapd")
    wait_until(lambda: tool("ldapwhoami", dn("an"), OWN).rc == 0, what="slapd to answer again")
