"""Every role keeps the house rules: documented variables, no knowledge of policy, groups or provinces, a scenario that tests it."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
ROLES = sorted(p.name for p in (ROOT / "roles").iterdir() if p.is_dir())
FILTERS = sorted((ROOT / "filter_plugins").glob("*.py"))
INVENTORIES = sorted(p for p in (ROOT / "inventories").rglob("*.yml"))
PROVINCES = sorted(p.name for p in (ROOT / "inventories").iterdir() if p.is_dir() and p.name != "test")

# Templates without a header of their own, and why.
NO_HEADER = {
    "autoconfig/templates/var/lib/congvu-mail/autoconfig/mta-sts.txt.j2": "RFC 8461 3.2 knows no comments",
    "base/templates/etc/issue.net.j2": "shown to people as it is",
    "base/templates/etc/timezone.j2": "one line that programs read whole",
    "dovecot/templates/etc/dovecot/private/learn.password.j2": "a password and nothing else",
    "lifecycle/templates/sandbox.j2": "included by the templates of the units, which have one",
    "openldap/templates/etc/ldap/slapd.ldif.j2": "handed to the module slapd_config, never a file of the host",
    "postfix/templates/ldap.j2": "included by the templates of the maps, which have one",
}


def read(path):
    """A YAML file; an empty one is an empty mapping."""
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def shipped(role):
    """The files of a role that act on hosts: all but its documents and its scenario."""
    folder = ROOT / "roles" / role
    parts = ("defaults", "files", "handlers", "library", "meta", "tasks", "templates", "vars")
    return [p for part in parts for p in sorted((folder / part).rglob("*")) if p.is_file() and p.suffix != ".pyc"]


def found(paths, pattern):
    """Where a pattern stands: `file:line: text`."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if re.search(pattern, line)
    ]


def defaults(role):
    """Variables with a default, and those marked as required by a line `# <role>_x:`."""
    path = ROOT / "roles" / role / "defaults/main.yml"
    assert path.exists(), f"role {role} has no defaults/main.yml"
    required = re.findall(rf"^# ({role}_\w+):", path.read_text(encoding="utf-8"), re.MULTILINE)
    return set(read(path)), set(required)


@pytest.mark.parametrize("role", ROLES)
def test_specification_names_exactly_the_variables(role):
    path = ROOT / "roles" / role / "meta/argument_specs.yml"
    assert path.exists(), f"role {role} has no meta/argument_specs.yml"
    options = {}
    for entry in read(path)["argument_specs"].values():
        options.update(entry.get("options") or {})
    optional, required = defaults(role)
    assert set(options) == optional | required
    assert {name for name, option in options.items() if option.get("required")} == required
    assert [name for name, option in options.items() if not option.get("description") or not option.get("type")] == []


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_is_named_after_its_role_and_explained(role):
    """A comment stands above the variable, or above the block of variables without a blank line that it belongs to."""
    optional, required = defaults(role)
    assert [name for name in optional | required if not name.startswith(f"{role}_")] == []
    text = (ROOT / "roles" / role / "defaults/main.yml").read_text(encoding="utf-8")
    variable = re.compile(rf"(?:# )?({role}_\w+):")
    bare = []
    for block in re.split(r"\n\s*\n", text):
        explained = False
        for line in block.splitlines():
            match = variable.match(line)
            if match and not explained:
                bare.append(match[1])
            explained = explained or (line.startswith("#") and not match)
    assert bare == []


@pytest.mark.parametrize("role", ROLES)
def test_private_variables_are_private(role):
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((ROOT / "roles" / role / "vars").glob("*.yml"))
        for name in read(path)
        if not name.startswith(f"__{role}_")
    ]
    assert wrong == []


@pytest.mark.parametrize("role", ROLES)
def test_readme_names_the_role_and_its_limits(role):
    path = ROOT / "roles" / role / "README.md"
    assert path.exists(), f"role {role} has no README.md"
    text = path.read_text(encoding="utf-8")
    assert re.search(rf"^# .*\b{role}\b", text, re.MULTILINE)
    assert "## Limitations" in text


@pytest.mark.parametrize("role", ROLES)
def test_scenario_tests_the_role(role):
    scenario = ROOT / "roles" / role / "molecule" / role
    assert (scenario / "molecule.yml").exists(), f"role {role} has no scenario"
    assert (scenario / "converge.yml").exists()
    tests = found(sorted((scenario / "tests").glob("test_*.py")), r"^def test_")
    assert tests, f"the scenario of {role} tests nothing, and Molecule takes that for success"


@pytest.mark.parametrize("role", ROLES)
def test_no_hidden_dependencies(role):
    path = ROOT / "roles" / role / "meta/main.yml"
    assert path.exists(), f"role {role} has no meta/main.yml"
    assert read(path)["dependencies"] == []


@pytest.mark.parametrize("role", ROLES)
def test_role_knows_neither_policy_nor_inventory(role):
    """Everything comes as a variable of its own, wired in playbooks/group_vars/all/wiring.yml."""
    groups = r"\bgroup_names\b|\bgroups\[|\bgroups\.(all|backup|database|directory|filter|mda|mta|webmail)\b"
    assert found(shipped(role), groups) == []
    # The role policy checks the policy: its texts name it.
    if role != "policy":
        assert found(shipped(role), r"\bmail_policy\b|\bdeployment_\w|\bvault_\w") == []


@pytest.mark.parametrize("role", ROLES)
def test_role_uses_its_own_variables_only(role):
    """All of them, none of another role, and none that it does not have."""
    code = [p for p in shipped(role) if p.relative_to(ROOT / "roles" / role).parts[0] not in ("defaults", "meta")]
    text = "\n".join(p.read_text(encoding="utf-8", errors="replace") for p in code)
    own = set().union(*defaults(role))
    assert sorted(name for name in own if not re.search(rf"\b{name}\b", text)) == [], "variables that nothing uses"
    others = {
        name
        for other in ROLES
        if other != role and (ROOT / "roles" / other / "defaults").is_dir()
        for name in set().union(*defaults(other))
    }
    assert found(code, rf"(?<!\w)({'|'.join(sorted(others))})\b") == []
    templated = re.findall(r"\{[{%].*?[%}]\}", text, re.DOTALL)
    used = {name for part in templated for name in re.findall(rf"(?<![\w./'\"-]){role}_\w+", part)}
    assert sorted(used - own) == [], "variables without a default or a line that marks them as required"


def test_code_knows_no_province():
    """Nor do the roles' scenarios, which have a sample (molecule/lab/sample). A province by folder, by domain, and in Vietnamese."""
    names = {form for p in PROVINCES for form in (p, p.replace("-", ""), p.replace("-", "_"))}
    for province in PROVINCES:
        policy = read(ROOT / "inventories" / province / "group_vars/all/policy.yml")["mail_policy"]
        names |= {re.escape(policy["domain"]["value"]), policy["regulation"]["authority"].rpartition("tỉnh ")[2]}
    folders = ("action_plugins", "filter_plugins", "library", "module_utils", "playbooks", "roles", "src/congvu_mail", "vars_plugins")
    paths = [p for folder in folders for p in (ROOT / folder).rglob("*") if p.is_file() and p.suffix != ".pyc"]
    assert len(names) == 5 * len(PROVINCES) and all(any(p.is_relative_to(ROOT / folder) for p in paths) for folder in folders)
    assert found(paths, rf"(?i)({'|'.join(sorted(names))})") == []


@pytest.mark.parametrize("role", ROLES)
def test_no_change_is_hidden_and_no_failure_ignored(role):
    assert found(shipped(role), r"^\s*-?\s*(ignore_errors|changed_when):\s*[\"']?(true|yes)\b") == []


def test_files_are_written_in_one_step():
    """With role_files: a loop asks the host several times for each. Not so: what is too large, and what is written on the controller."""
    modules = ("ansible.builtin.template", "ansible.builtin.copy", "ansible.builtin.file")
    looped = {
        f"{path.relative_to(ROOT / 'roles').parts[0]}: {task['name']}"
        for path in (ROOT / "roles").glob("*/tasks/*.yml")
        for task in read(path)
        if "loop" in task and any(module in task for module in modules)
    }
    assert looped == {"clamav: Bring the signatures of the folder", "dns: Write the zone files"}


def test_rendered_files_say_who_wrote_them():
    templates = sorted(p for p in (ROOT / "roles").glob("*/templates/**/*") if p.is_file())
    headless = {
        str(path.relative_to(ROOT / "roles"))
        for path in templates
        if not any("ansible_managed" in line for line in path.read_text(encoding="utf-8").splitlines()[:3])
    }
    assert sorted(headless - set(NO_HEADER)) == [], "no `{{ ansible_managed | comment }}` in the first three lines"
    assert sorted(set(NO_HEADER) - headless) == [], "exceptions that are none any more"


@pytest.mark.parametrize("path", INVENTORIES, ids=lambda p: str(p.relative_to(ROOT / "inventories")))
def test_inventories_speak_to_no_role(path):
    """They would win over the wiring, unseen."""
    if path.read_text(encoding="utf-8").startswith("$ANSIBLE_VAULT"):
        pytest.skip("encrypted")
    if path.name == "hosts.yml":
        assert found([path], r"^\s*vars:|^\s+\w*_\w*:") == []
    else:
        assert [key for key in read(path) if not re.match(r"(mail_policy$|deployment_|vault_)", key)] == []


@pytest.mark.parametrize("path", FILTERS, ids=lambda p: p.stem)
def test_filter_file_offers_one_filter_of_its_name(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert list(module.FilterModule().filters()) == [path.stem]
    assert yaml.safe_load(module.DOCUMENTATION)["name"] == path.stem
    assert module.EXAMPLES.strip()
    assert module.RETURN.strip()


def test_ansible_loads_every_filter_without_a_warning():
    """A file that cannot be imported is skipped with a warning only, and later there is "no filter named" so."""
    names = [path.stem for path in FILTERS]
    missing = f"{{{{ {names} | reject('filter') | join(' ') | default('none', true) }}}}"
    loaded = ansible("ansible", "localhost", "-i", "localhost,", "-c", "local", "-m", "ansible.builtin.debug", "-a", f'msg="{missing}"')
    assert "msg: none" in loaded
    ansible("ansible-doc", "--type", "filter", "--json", *names)


def ansible(*argv):
    """Run a command of Ansible that has to succeed without a word of warning; what it prints."""
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "NO_COLOR": "1"}
    tool = pathlib.Path(sys.executable).parent / argv[0]
    done = subprocess.run([tool, *argv[1:]], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line for line in done.stderr.splitlines() if re.search("warning|error", line, re.IGNORECASE)] == []
    return done.stdout
