"""The fixed entries of the directory: shaping password rules and accounts."""

import importlib.util
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def load(path):
    spec = importlib.util.spec_from_file_location(pathlib.Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


base = load("filter_plugins/directory_base_entries.py")
slapd_config = load("library/slapd_config.py")
entries = load("library/directory_entries.py")

RULE = {"name": "user", "min_length": 8, "classes": ["lower", "special"], "specials": "!@", "history": None, "max_failures": None}


def shaped(**changed):
    return base.directory_base_entries("dc=a,dc=vn", "A", [{**RULE, **changed}], [{"name": "x", "access": "login", "password": "p"}])


def test_parents_come_first_and_names_are_distinct():
    dns = [entry["dn"] for entry in shaped()]
    assert dns[0] == "dc=a,dc=vn"
    assert all(dn.split(",", 1)[1] in dns[:number] for number, dn in enumerate(dns) if number)
    assert shaped()[-1]["password"] == "p"
    assert shaped()[-1]["attributes"]["pwdPolicySubentry"] == ["cn=service,ou=policies,dc=a,dc=vn"]


def test_a_password_rule():
    rule = shaped()[5]["attributes"]
    assert rule["pwdMinLength"] == ["8"]
    assert rule["pwdMaxAge"] == ["0"]
    assert rule["pwdLockout"] == ["FALSE"]
    assert "class-special !@ 1 1 0\n" in rule["pwdCheckModuleArg"][0]
    assert "class-upper" not in rule["pwdCheckModuleArg"][0]
    assert "minQuality 2\n" in rule["pwdCheckModuleArg"][0]
    rule = shaped(max_failures=12, max_age_seconds=60, forbid_personal_data=True)[5]["attributes"]
    assert (rule["pwdLockout"], rule["pwdMaxFailure"], rule["congvuPasswordMaxAge"]) == (["TRUE"], ["12"], ["60"])
    assert "checkAttributes mail,congvuForbiddenInPassword\n" in rule["pwdCheckModuleArg"][0]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"classes": ["letter"]}, "password policy user: there is no class letter; there are lower, upper, digit, special"),
        ({"specials": "!€"}, "password policy user: '€' in specials is no punctuation of ASCII"),
    ],
)
def test_a_rule_that_cannot_be_checked(changed, message):
    with pytest.raises(ValueError, match="password policy user") as error:
        shaped(**changed)
    assert str(error.value) == message


def test_a_service_password_is_compared_with_its_hash():
    stored = entries.hashed("secret")
    assert entries.fits("secret", [stored])
    assert not entries.fits("Secret", [stored])
    assert not entries.fits("secret", [])
    assert not entries.fits("secret", [b"{ARGON2}x"])
    assert entries.hashed("secret") != stored


LDIF = """dn: cn=config
objectClass: olcGlobal
cn: config
olcRootPW:: e1NTSEF9c2VjcmV0
entryCSN: 20261122
olcLogLevel: no
 ne

dn: olcDatabase={1}mdb,cn=config
olcAccess: {10}to b
olcAccess: {2}to a
olcDbIndex: b eq
olcDbIndex: a eq
"""


def test_configuration_is_compared_without_order_folds_and_stamps():
    parsed = slapd_config.parse(LDIF)
    assert parsed["cn=config"] == {"cn": ["config"], "objectClass": ["olcGlobal"], "olcLogLevel": ["none"], "olcRootPW": ["{SSHA}secret"]}
    assert parsed["olcDatabase={1}mdb,cn=config"] == {"olcAccess": ["{2}to a", "{10}to b"], "olcDbIndex": ["a eq", "b eq"]}
    shown = slapd_config.show(parsed, list(parsed))
    assert "secret" not in shown
    assert "olcRootPW: (not shown, SHA-256 " in shown
