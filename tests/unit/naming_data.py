"""The conventions of the five provinces, and short ways to write a roster in a test."""

import functools
from pathlib import Path

import yaml

from congvu_mail.naming import allocate

ROOT = Path(__file__).parents[2]
PROVINCES = ("ninh-binh", "bac-giang", "quang-tri", "tien-giang", "soc-trang")
SHORT = {"NB": "ninh-binh", "BG": "bac-giang", "QT": "quang-tri", "TG": "tien-giang", "ST": "soc-trang"}


@functools.cache
def naming(province: str) -> dict:
    """mail_policy.naming of a province (or of its short name); not to be changed."""
    path = ROOT / "inventories" / SHORT.get(province, province) / "group_vars/all/policy.yml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))["mail_policy"]["naming"]


def organisation(code: str, kind: str, name: str, parent: str = "", **columns) -> dict:
    return {"code": code, "kind": kind, "name": name, "parent": parent, **columns}


def person(code: str, name: str, employer: str = "", **columns) -> dict:
    return {"code": code, "full_name": name, "organisation": employer, **columns}


def entries(province: str, organisations: list, people: list = (), issued: list = ()) -> dict[str, dict]:
    """The entry of every code."""
    roster = {"organisations": list(organisations), "people": list(people)}
    return {entry["code"]: entry for entry in allocate(roster, naming(province), issued)}


def local_parts(province: str, organisations: list, people: list = (), issued: list = ()) -> dict[str, str]:
    """The local part of every code, empty where a decision is needed."""
    return {code: entry["local_part"] for code, entry in entries(province, organisations, people, issued).items()}


def issued(**addresses: str) -> list[dict]:
    """A ledger of current addresses: issued(P1="annv.stttt")."""
    return [{"code": code, "local_part": local_part} for code, local_part in addresses.items()]
