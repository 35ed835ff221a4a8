"""A port held by a program that is not the mail system's is named; the mail system's own, on a second run, is not."""

import importlib.util
import pathlib

FILE = pathlib.Path(__file__).parents[2] / "filter_plugins/foreign_listeners.py"
spec = importlib.util.spec_from_file_location("foreign_listeners", FILE)
plugin = importlib.util.module_from_spec(spec)
spec.loader.exec_module(plugin)

WANTED = [{"ports": [25, 587], "programs": ["master", "smtpd"]}, {"ports": [80, 443], "programs": ["nginx"]}]
LINE = "LISTEN 0      100    {address}:{port}    0.0.0.0:*    {users}"


def listening(*sockets):
    return "\n".join(LINE.format(address=a, port=p, users=f"users:({u})" if u else "") for a, p, u in sockets) + "\n"


def foreign(*sockets):
    return plugin.foreign_listeners(listening(*sockets), WANTED)


def test_the_systems_own():
    assert foreign(("0.0.0.0", 25, '("smtpd",pid=9,fd=6),("master",pid=5,fd=13)'), ("[::]", 80, '("nginx",pid=3,fd=6)')) == []


def test_others_are_named_once_in_the_order_of_ports():
    apache, exim = '("apache2",pid=7,fd=4)', '("exim4",pid=8,fd=4)'
    found = foreign(("*", 80, apache), ("[::1]", 25, exim), ("127.0.0.1", 25, exim))
    assert found == ["25 (exim4)", "80 (apache2)"]


def test_one_that_cannot_be_told():
    assert foreign(("127.0.0.53%lo", 443, "")) == ["443 (?)"]


def test_other_ports_are_nobodys_business():
    assert foreign(("0.0.0.0", 22, '("sshd",pid=1,fd=6)')) == []
    assert plugin.foreign_listeners("", WANTED) == []
