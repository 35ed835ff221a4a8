"""The table that playbooks/backup.yml shows."""

import base64
import importlib.util
import json
import pathlib

PATH = pathlib.Path(__file__).parents[2] / "filter_plugins/backup_report.py"
SPEC = importlib.util.spec_from_file_location("backup_report", PATH)
MODULE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(MODULE)


def slurped(**record):
    return {"content": base64.b64encode(json.dumps(record).encode()).decode()}


def test_one_line_a_host_in_aligned_columns():
    lines = MODULE.backup_report(
        {
            "mail.example.org": slurped(result="ok", time="2026-11-22T01:30:05+07:00", detail="2 hộp thư, 120 thư"),
            "db.example.org": slurped(result="failed", time="2026-11-22T01:30:09+07:00", detail="không có /srv/x"),
            "new.example.org": {"failed": True, "msg": "file not found"},
        }
    )
    assert lines == [
        "Máy chủ           Kết quả   Lúc                        Chi tiết",
        "mail.example.org  TỐT       2026-11-22T01:30:05+07:00  2 hộp thư, 120 thư",
        "db.example.org    THẤT BẠI  2026-11-22T01:30:09+07:00  không có /srv/x",
        "new.example.org   CHƯA CÓ   -                          -",
    ]
