"""The tree of `mail_policy`: which leaves a province's policy.yml has, of which kind, and which way is stricter.

`TREE` below is the description to read. A `Leaf` is one rule of the policy; in the file it is a mapping with the keys
of `LEAF_KEYS`. `bounds` names the operators a regulation's own figure may use for that rule, and so the direction in
which a value is weaker:

``min``       the value may not be smaller          (password length: at least 8)
``max``       the value may not be larger           (age of a password: at most 6 months)
``exact``     the value must be this one            (domain; 2 GB exactly; a ban that is true)
``includes``  the list must hold at least these     (forbidden extensions)
``only``      nothing outside this list             (a scalar: one of these; a list: no further item)

For a mapping value the operand is a mapping too (``min: {per_working_day: 2}``). ``null`` as value means "not regulated
and not applied" and is allowed where `null=True`. Labels and the meaning of the codes are Vietnamese: they are shown to
operators and auditors.
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from congvu_mail.sizes import binary_bytes, size_bytes, size_parts

LEAF_KEYS = ("value", "basis", "act", "clause", "quote", "quote_restored", "bound", "note", "exception")
BASES = {
    "regulation": "Quy chế",
    "law": "Pháp luật",
    "reading": "Cách hiểu Quy chế",
    "operator": "Đơn vị vận hành chọn",
}
EXCEPTION_KEYS = ("document", "date", "until", "approved_by")
OPERATORS = {"min": "tối thiểu", "max": "tối đa", "exact": "đúng là", "includes": "ít nhất gồm", "only": "chỉ trong"}

EXACT = ("exact",)
AT_LEAST = ("min", "exact")
AT_MOST = ("max", "exact")
EITHER_WAY = ("min", "max", "exact")
CHOICE = ("exact", "only")
ALL_OF = ("includes", "exact")
NONE_ELSE = ("only", "exact")
ANY_SET = ("includes", "only", "exact")

Evidence = list[tuple[str, str]]  # (what is missing, pattern that must match in the quote)


# --- kinds of value ---------------------------------------------------------------------------------------------------


class Kind:
    """A kind of value: says what is wrong with one, compares, shows, and knows how a figure is written in a regulation."""

    written_as_number = False  # the figure must stand in the quote even where the clause is only read that way

    def error(self, value: Any) -> str | None:
        """What is wrong with `value`, in Vietnamese; None when it is well formed."""
        raise NotImplementedError

    def show(self, value: Any) -> str:
        """`value` as an auditor reads it."""
        return str(value)

    def amount(self, value: Any, bound: Mapping[str, Any]) -> Any:
        """`value` in the form that is compared with ``<``, ``>`` and ``==``."""
        return value

    def evidence(self, operand: Any) -> Evidence:
        """How the operand of a bound is written in a text."""
        return []


@dataclass(frozen=True)
class Bool(Kind):
    """true or false."""

    def error(self, value: Any) -> str | None:
        return None if isinstance(value, bool) else "phải là true hoặc false"

    def show(self, value: Any) -> str:
        return "có" if value else "không"


_WORDS = dict(enumerate(["không", "một", "hai", "ba", "bốn", "năm", "sáu", "bảy", "tám", "chín", "mười"]))
_PHRASES = {  # figures a regulation gives without a number
    ("tháng", 1): r"hàng tháng|hằng tháng|mỗi tháng",
    ("tháng", 3): r"hàng quý|hằng quý|mỗi quý|\bquý\b",
    ("tháng", 12): r"hàng năm|hằng năm|mỗi năm|\bnăm\b",
    ("lần", 1): r"hàng ngày|hằng ngày|mỗi ngày",
    ("ngày", 0): r"\bngay\b",
}


@dataclass(frozen=True)
class Int(Kind):
    """A whole number of `unit` between `low` and `high`."""

    unit: str
    low: int = 1
    high: int = 100000
    written_as_number = True

    def error(self, value: Any) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int):
            return "phải là số nguyên"
        return None if self.low <= value <= self.high else f"phải trong khoảng {self.low} đến {self.high}"

    def show(self, value: Any) -> str:
        return "ngay trong ngày" if (value, self.unit) == (0, "ngày") else f"{value} {self.unit}".strip()

    def evidence(self, operand: int) -> Evidence:
        number = rf"(?<!\d)0*{operand}(?!\d)"
        if operand in _WORDS:
            number += rf"|\b{_WORDS[operand]}\b"
        pattern = rf"(?:{number})(?:\s*\([^)]*\))?(?:\s+\S+){{0,2}}?\s*{self.unit}"
        phrase = _PHRASES.get((self.unit, operand))
        return [(self.show(operand), f"{pattern}|{phrase}" if phrase else pattern)]


@dataclass(frozen=True)
class Size(Kind):
    """A size string: ``500MB`` decimal, ``2GiB`` binary. Next to a minimum or exact figure MB reads as MiB."""

    written_as_number = True

    def error(self, value: Any) -> str | None:
        try:
            return None if size_bytes(value) > 0 else "phải lớn hơn 0"
        except ValueError:
            return "không phải là dung lượng: viết số nguyên kèm đơn vị, ví dụ 500MB (thập phân) hoặc 2GiB (nhị phân)"

    def amount(self, value: str, bound: Mapping[str, Any]) -> int:
        return size_bytes(value) if "max" in bound else binary_bytes(value)

    def evidence(self, operand: str) -> Evidence:
        number, unit = size_parts(operand)
        unit = unit.replace("i", "")
        in_full = {"KB": "kilobyte", "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte"}.get(unit, "byte")
        return [(operand, rf"(?<!\d)0*{number}\s*(?:{unit}|{in_full})\b")]


@dataclass(frozen=True)
class Str(Kind):
    """A text that matches `pattern`; `meaning` says what it is."""

    meaning: str
    pattern: str = r"\S(.*\S)?"

    def error(self, value: Any) -> str | None:
        if isinstance(value, str) and re.fullmatch(self.pattern, value):
            return None
        return f"phải là {self.meaning}"

    def evidence(self, operand: str) -> Evidence:
        return [(operand, re.escape(operand.casefold()))]


@dataclass(frozen=True)
class Calendar(Str):
    """A schedule for a systemd timer."""

    def show(self, value: str) -> str:
        return f"hằng ngày lúc {value[6:11]}" if value.startswith("*-*-* ") else f"`{value}`"


@dataclass(frozen=True)
class Specials(Kind):
    """The closed set of special characters, as one string; the order does not matter."""

    def error(self, value: Any) -> str | None:
        if not isinstance(value, str) or not re.fullmatch(r"[!-/:-@\[-`{-~]+", value):
            return "phải là chuỗi các ký tự đặc biệt ASCII viết liền"
        return "có ký tự lặp lại" if len(set(value)) < len(value) else None

    def show(self, value: str) -> str:
        return " ".join(value)

    def amount(self, value: str, bound: Mapping[str, Any]) -> frozenset[str]:
        return frozenset(value)

    def evidence(self, operand: str) -> Evidence:
        return [(char, re.escape(char)) for char in operand]


@dataclass(frozen=True)
class Enum(Kind):
    """One of the `codes`: {code: (meaning shown to an auditor, pattern of the words a regulation uses for it)}."""

    codes: Mapping[str, tuple[str, str]]

    def error(self, value: Any) -> str | None:
        if isinstance(value, str) and value in self.codes:
            return None
        return f"phải là một trong: {', '.join(self.codes)}"

    def show(self, value: str) -> str:
        return self.codes[value][0]

    def evidence(self, operand: str) -> Evidence:
        words = self.codes[operand][1]
        return [(f"{operand} ({self.show(operand)})", words)] if words else []


@dataclass(frozen=True)
class YearDay(Kind):
    """A day of the year as ``MM-DD``."""

    written_as_number = True

    def error(self, value: Any) -> str | None:
        try:
            dt.datetime.strptime(f"2024-{value}", "%Y-%m-%d")
        except ValueError:
            return 'phải là "MM-DD" trong ngoặc kép, ví dụ "12-15"'
        return None if re.fullmatch(r"\d\d-\d\d", str(value)) else 'phải là "MM-DD", ví dụ "12-15"'

    def show(self, value: str) -> str:
        return f"{value[3:]}/{value[:2]}"

    def evidence(self, operand: str) -> Evidence:
        month, day = (int(part) for part in operand.split("-"))
        return [(self.show(operand), rf"(?<!\d)0?{day}\s*(?:/|-|tháng)\s*0?{month}(?!\d)")]


@dataclass(frozen=True)
class Date(Kind):
    """A date as YAML writes it: 2026-11-22."""

    def error(self, value: Any) -> str | None:
        return None if isinstance(value, dt.date) and not isinstance(value, dt.datetime) else "phải là ngày dạng YYYY-MM-DD"

    def show(self, value: dt.date) -> str:
        return f"{value:%d/%m/%Y}"


@dataclass(frozen=True)
class ListOf(Kind):
    """A list of `item` without duplicates, at least `least` long."""

    item: Kind
    least: int = 0

    @property
    def written_as_number(self) -> bool:  # type: ignore[override]
        return self.item.written_as_number

    def error(self, value: Any) -> str | None:
        if not isinstance(value, list):
            return "phải là danh sách"
        if len(value) < self.least:
            return f"phải có ít nhất {self.least} mục"
        for position, item in enumerate(value, 1):
            if complaint := self.item.error(item):
                return f"mục {position} ({item!r}): {complaint}"
        repeated = [item for position, item in enumerate(value) if item in value[:position]]
        return f"mục lặp lại: {repeated[0]}" if repeated else None

    def show(self, value: list) -> str:
        shown = [self.item.show(item) for item in value]
        return ("; " if any("," in item for item in shown) else ", ").join(shown) or "(không có)"

    def amount(self, value: Any, bound: Mapping[str, Any]) -> frozenset:
        return frozenset(value if isinstance(value, list) else [value])

    def evidence(self, operand: list) -> Evidence:
        return [pair for item in operand for pair in self.item.evidence(item)]


@dataclass(frozen=True)
class Fields(Kind):
    """A mapping with these `fields`; optional ones may be left out, `one_of` names fields of which exactly one is given."""

    fields: Mapping[str, "Leaf"]
    optional: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    showing: Callable[[Mapping], str] = field(default=str, compare=False)

    def error(self, value: Any) -> str | None:
        if not isinstance(value, Mapping):
            return f"phải là một nhóm khóa: {', '.join(self.fields)}"
        complaints = [f"khóa lạ {key}" for key in value if key not in self.fields]
        complaints += [f"thiếu khóa {key}" for key in self.fields if key not in value and key not in self.optional]
        for key in self.fields.keys() & value.keys():
            leaf = self.fields[key]
            if not (value[key] is None and leaf.null) and (complaint := leaf.kind.error(value[key])):
                complaints.append(f"{key} ({value[key]!r}): {complaint}")
        if self.one_of and sum(key in value for key in self.one_of) != 1:
            complaints.append(f"cần đúng một trong các khóa {', '.join(self.one_of)}")
        return "; ".join(complaints) or None

    def show(self, value: Mapping) -> str:
        return self.showing(value)


@dataclass(frozen=True)
class Convention(Kind):
    """A rule for addresses; `congvu_mail.naming` knows its shape."""

    def error(self, value: Any) -> str | None:
        return None


# --- nodes of the tree ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plain:
    """A value written without basis: facts about the regulation itself."""

    kind: Kind
    null: bool = False


@dataclass(frozen=True)
class Leaf:
    """One rule.

    `bounds`: operators its bound may use, empty where nothing can be weaker; `null`: the value may be null, which is shown
    as `none`.
    """

    kind: Kind
    label: str
    bounds: tuple[str, ...] = ()
    null: bool = False
    none: str = "không áp dụng"
    bound_required: bool = True


@dataclass(frozen=True)
class Leaves:
    """A list whose items are leaves of one form."""

    leaf: Leaf


@dataclass(frozen=True)
class Naming:
    """The address conventions: any tree of leaves of this form; `congvu_mail.naming` knows their names and shapes."""

    leaf: Leaf = Leaf(Convention(), "Quy tắc đặt địa chỉ", EXACT, null=True, bound_required=False)


@dataclass(frozen=True)
class Clauses:
    """The register of clauses: list of {clause, summary, met_by, by}."""


MET_BY = {
    "control": "Biện pháp kỹ thuật",
    "procedure": "Quy trình có công cụ",
    "organisational": "Biện pháp tổ chức",
    "not_applicable": "Không đặt yêu cầu riêng cho hệ thống",
}


# --- codes ------------------------------------------------------------------------------------------------------------

_DOMAIN = r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}"
DOMAIN = Str("tên miền chữ thường, ví dụ tinh.gov.vn", _DOMAIN)
STATE_DOMAIN = Str(
    "tên miền .vn của cơ quan nhà nước, không phải cả một đuôi dùng chung như com.vn",
    rf"(?!(?:com|net|biz|name|info|pro|id|io|ai)\.vn$){_DOMAIN}(?<=\.vn)",
)
URL = Str("địa chỉ web, ví dụ https://mail.tinh.gov.vn", rf"https?://{_DOMAIN}(?:/\S*)?")
ADDRESS = Str("địa chỉ thư điện tử đầy đủ, ví dụ stttt@tinh.gov.vn", rf"[a-z0-9][a-z0-9._-]*@{_DOMAIN}")
TEXT = Str("chuỗi ký tự không rỗng")
EXTENSION = Str("phần mở rộng chữ thường không có dấu chấm, ví dụ exe", r"[a-z0-9]{1,8}")
CALENDAR = Calendar("lịch theo systemd OnCalendar, ví dụ *-*-* 02:30:00", r"[A-Za-z0-9*/.,~: -]*\d{1,2}:\d\d(:\d\d)?")

PROTOCOL = Enum(
    {
        "web": ("trình duyệt web", r"trình duyệt|web|https?://"),
        "imap": ("IMAP", r"imap"),
        "pop3": ("POP3", r"pop"),
        "smtp": ("SMTP", r"smtp"),
    }
)
MAILBOX_KIND = Enum(
    {
        "organisation": ("hộp thư cơ quan, đơn vị", r"cơ quan|tổ chức|đơn vị"),
        "person": ("hộp thư cá nhân", r"cá nhân"),
    }
)
SECTOR = Enum(
    {
        "state": ("cơ quan nhà nước", r"nhà nước|hệ thống chính trị|sở|ủy ban|cơ quan"),
        "party": ("cơ quan Đảng", r"đảng|hệ thống chính trị"),
        "mass_org": ("Mặt trận, tổ chức chính trị - xã hội, hội", r"chính trị|đoàn thể|mặt trận|hội"),
        "central": ("cơ quan Trung ương trên địa bàn", r"trung ương"),
        "enterprise": ("doanh nghiệp có vốn nhà nước", r"doanh nghiệp|công ty"),
        "other": ("tổ chức, đơn vị khác có liên quan", r"liên quan|khác"),
    }
)
CATEGORY = Enum(
    {
        "can_bo": ("cán bộ", r"cán bộ"),
        "cong_chuc": ("công chức", r"công chức"),
        "vien_chuc": ("viên chức", r"viên chức"),
        "nguoi_lao_dong": ("người lao động", r"người lao động"),
        "chien_si": ("chiến sĩ", r"chiến sĩ"),
        "khac": ("cá nhân khác được cấp quyền", r"khác|liên quan|cá nhân"),
    }
)
CHARACTER_CLASS = Enum(
    {
        "lower": ("chữ thường", r"thường"),
        "upper": ("chữ in hoa", r"hoa"),
        "digit": ("chữ số", r"chữ số|ký tự số|\bsố\b"),
        "special": ("ký tự đặc biệt", r"đặc biệt"),
    }
)
ENCRYPTED = Enum(
    {
        "accept": ("nhận bình thường", ""),
        "tag": ("nhận, gắn nhãn cảnh báo", ""),
        "quarantine": ("cách ly chờ quản trị xem xét", ""),
        "reject": ("từ chối", r"cấm|không"),
    }
)
ENCRYPTED_KINDS = {"zip": "ZIP", "rar": "RAR", "7z": "7z", "office": "Office", "pdf": "PDF", "other": "loại khác"}
ENCRYPTED_BY_TYPE = Fields(
    {kind: Leaf(ENCRYPTED, label) for kind, label in ENCRYPTED_KINDS.items()},
    optional=tuple(ENCRYPTED_KINDS),
    showing=lambda value: "; ".join(f"{ENCRYPTED_KINDS[kind]}: {ENCRYPTED.show(item)}" for kind, item in value.items()) or "(không có)",
)
OTHER_SYSTEMS = Enum(
    {
        "none": ("không đặt ra", ""),
        "declared": (
            "người dùng cam kết không dùng chung mật khẩu với hệ thống khác",
            r"trùng|giống|dùng chung|các hệ thống",
        ),
    }
)
COUNT_FROM = Enum(
    {
        "issued": ("ngày cấp", r"cấp|tạo|lập"),
        "last_access": ("lần truy cập cuối", r"truy cập|đăng nhập|truy nhập|truy xuất|sử dụng"),
    }
)
STAGE_ACTION = Enum(
    {
        "notice": ("thông báo", r"thông báo"),
        "lock": ("tạm khóa", r"khóa|khoá|tạm dừng"),
        "withdraw": ("thu hồi", r"thu hồi"),
        "remove": ("xóa", r"xóa|xoá|gỡ bỏ|hủy|huỷ|chấm dứt"),
    }
)
REMOVAL = Enum(
    {
        "approved_list": ("theo danh sách được duyệt", ""),
        "automatic": ("tự động", ""),
    }
)
NOTIFY = Enum(
    {
        "person": ("người dùng", r"cá nhân|người"),
        "organisation": ("cơ quan quản lý trực tiếp", r"cơ quan|đơn vị|tổ chức"),
        "operator": ("đơn vị vận hành", r"sở|trung tâm"),
    }
)
ON_TRANSFER = Enum(
    {
        "end": ("chấm dứt hộp thư", r"chấm dứt|thu hồi|xóa|hủy"),
        "rename": ("đổi địa chỉ, giữ hộp thư", r"thay đổi|đổi"),
        "keep": ("giữ nguyên hộp thư và địa chỉ", r"thay đổi thông tin"),
    }
)
CLOCK_START = Enum(
    {
        "receipt": ("khi nhận đề nghị", r"nhận"),
        "complete_information": ("khi đủ thông tin", r"đầy đủ|đủ|hợp lệ|chính xác"),
        "handling": ("khi xử lý xong", r"xử lý|thực hiện|tạo|cấp"),
    }
)
CHANNEL = Enum(
    {
        "document": ("văn bản đề nghị", r"văn bản"),
        "document_system": ("hệ thống văn bản và điều hành", r"văn bản và điều hành|quản lý văn bản"),
        "organisation_mailbox": ("hộp thư công vụ của cơ quan", r"hộp thư|thư điện tử"),
        "signed_mail": ("thư điện tử ký số từ hộp thư cơ quan", r"ký số|chữ ký số"),
        "paper": ("văn bản giấy", r"giấy|văn bản|công văn"),
    }
)
DEMAND = Enum(
    {
        "required": ("bắt buộc", ""),
        "encouraged": ("khuyến khích", r"khuyến khích|ưu tiên"),
        "none": ("không đặt ra", ""),
    }
)
REPLY = Enum(
    {
        "written": ("có văn bản trả lời", r"văn bản|thông báo|trả lời"),
        "none": ("không đặt ra", ""),
    }
)
ORGANISATION_ACCESS = Enum(
    {
        "own_login": ("đăng nhập bằng tài khoản của hộp thư", ""),
        "delegates": ("người được ủy quyền dùng tài khoản cá nhân", ""),
        "both": ("cả hai cách", ""),
    }
)
WINDOW = Enum(
    {
        "morning_start": ("đầu buổi sáng", r"đầu.{0,20}sáng"),
        "morning_end": ("cuối buổi sáng", r"cuối.{0,20}sáng"),
        "afternoon_start": ("đầu buổi chiều", r"đầu.{0,40}chiều"),
        "afternoon_end": ("cuối buổi chiều", r"cuối.{0,40}chiều"),
    }
)
FORWARD_OUT = Enum(
    {
        "state_only": ("chỉ tới hộp thư cơ quan nhà nước", ""),
        "anywhere": ("mọi nơi", ""),
        "none": ("không cho chuyển tiếp tự động", ""),
    }
)
FORWARD_IN = Enum(
    {
        "flag": ("phát hiện, gắn cờ và báo cáo", ""),
        "none": ("không xử lý", ""),
    }
)
SCAN = Enum(
    {
        "inbound": ("thư đến", ""),
        "outbound": ("thư đi", ""),
        "internal": ("thư nội bộ", ""),
    }
)
DIRECTORY_FIELD = Enum(
    {
        "full_name": ("họ và tên", r"họ (và )?tên"),
        "title": ("chức vụ", r"chức vụ|chức danh"),
        "organisation": ("đơn vị công tác", r"đơn vị|cơ quan|tổ chức"),
        "phone": ("số điện thoại", r"điện thoại"),
        "fax": ("số fax", r"fax"),
        "address": ("địa chỉ thư điện tử", r"thư"),
    }
)
DIRECTORY_SCOPE = Enum(
    {
        "all": ("mọi người trong danh bạ, chỉ người đã đăng nhập xem được", ""),
        "authorised": ("chỉ người được phép cung cấp thông tin, công khai", r"thẩm quyền|được phép|ủy quyền"),
        "public": ("mọi người trong danh bạ, công khai", r"công khai|đăng tải|công bố|cổng"),
    }
)
DIRECTORY_TARGET = Enum(
    {
        "provincial_portal": ("Cổng thông tin điện tử tỉnh", r"cổng"),
        "organisation_portals": ("Cổng/Trang thông tin điện tử của từng cơ quan", r"cổng|trang thông tin"),
        "both": ("cả hai", r"cổng"),
    }
)
REPORT_TYPE = Enum(
    {
        "result": ("kết quả thực hiện Quy chế", r"báo cáo|kết quả"),
        "usage": ("tình hình sử dụng", r"báo cáo|sử dụng|tình hình"),
        "user_list": ("danh sách người dùng đang hoạt động", r"danh sách"),
    }
)
AVAILABILITY = Enum(
    {
        "24x7": ("liên tục 24/24 giờ", r"24/24|24/7|24 giờ"),
        "continuous": ("liên tục, thông suốt", r"liên tục|thông suốt"),
    }
)
STATUS = Enum(
    {
        "in_force": ("đang có hiệu lực", ""),
        "draft": ("dự thảo", ""),
        "repealed": ("đã bị thay thế", ""),
        "superseded_by_merger": ("hết áp dụng do sáp nhập tỉnh", ""),
    }
)

_MONTHS = Int("tháng", 1, 240)
_WORKING_DAYS = Int("ngày làm việc", 0, 250)


def _show_stage(value: Mapping) -> str:
    after = value["after"]
    when = f"sau {after['months']} tháng" if "months" in after else f"sau {after['working_days']} ngày làm việc từ ngày gửi thông báo"
    return f"{when}: {STAGE_ACTION.show(value['action'])}"


def _show_check(value: Mapping) -> str:
    windows = f" ({WINDOWS.show(value['windows'])})" if value["windows"] else ""
    return f"ít nhất {value['per_working_day']} lần/ngày làm việc{windows}"


def _show_report(value: Mapping) -> str:
    text = f"{REPORT_TYPE.show(value['type'])}, {value['period_months']} tháng một lần"
    if value["due"]:
        text += f", {'trước ngày' if value['before'] else 'chậm nhất ngày'} {YearDay().show(value['due'])}"
    return text


def _show_alias(value: Mapping) -> str:
    until = f" đến {Date().show(value['until'])}" if value["until"] else ""
    return f"{value['name']} từ {Date().show(value['from'])}{until}"


WINDOWS = ListOf(WINDOW)
STAGE = Fields(
    {
        "after": Leaf(
            Fields(
                {
                    "months": Leaf(_MONTHS, "tháng", EXACT),
                    "working_days": Leaf(_WORKING_DAYS, "ngày làm việc", EXACT),
                    "since": Leaf(Enum({"notice": ("từ ngày gửi thông báo", r"thông báo")}), "tính từ", EXACT),
                },
                optional=("months", "working_days", "since"),
                one_of=("months", "working_days"),
            ),
            "thời điểm",
            EXACT,
        ),
        "action": Leaf(STAGE_ACTION, "việc làm", EXACT),
    },
    showing=_show_stage,
)
CHECK = Fields(
    {
        "per_working_day": Leaf(Int("lần", 1, 24), "số lần", AT_LEAST),
        "windows": Leaf(WINDOWS, "thời điểm", ALL_OF),
    },
    showing=_show_check,
)
REPORT = Fields(
    {
        "type": Leaf(REPORT_TYPE, "loại", EXACT),
        "period_months": Leaf(_MONTHS, "kỳ", AT_MOST),
        "due": Leaf(YearDay(), "hạn", EXACT, null=True),
        "before": Leaf(Bool(), "trước hạn", EXACT),
    },
    showing=_show_report,
)
DOMAIN_ALIAS = Fields(
    {
        "name": Leaf(DOMAIN, "tên miền"),
        "from": Leaf(Date(), "từ ngày"),
        "until": Leaf(Date(), "đến ngày", null=True),
    },
    showing=_show_alias,
)


def _yes(label: str) -> Leaf:
    return Leaf(Bool(), label, EXACT)


def _password(who: str) -> dict[str, Leaf]:
    return {
        "min_length": Leaf(Int("ký tự", 4, 128), f"Độ dài tối thiểu mật khẩu {who}", AT_LEAST),
        "classes": Leaf(ListOf(CHARACTER_CLASS), f"Loại ký tự bắt buộc trong mật khẩu {who}", ALL_OF),
        "specials": Leaf(Specials(), f"Ký tự đặc biệt được tính trong mật khẩu {who}", EXACT, null=True, none="mọi ký tự đặc biệt"),
        "max_age_months": Leaf(Int("tháng", 1, 60), f"Thời hạn phải đổi mật khẩu {who}", AT_MOST, null=True),
    }


def _deadlines() -> dict[str, Leaf]:
    acts = {
        "create": "cấp mới",
        "change": "thay đổi thông tin",
        "reset": "cấp lại mật khẩu",
        "restore": "khôi phục hộp thư bị khóa",
        "delete": "xóa, chấm dứt hộp thư",
    }
    tree = {}
    for act, name in acts.items():
        tree[act] = Leaf(_WORKING_DAYS, f"Thời hạn {name}", AT_MOST, null=True)
        tree[f"{act}_from"] = Leaf(CLOCK_START, f"Thời hạn {name} tính từ", CHOICE, null=True)
    return tree


# --- the tree ---------------------------------------------------------------------------------------------------------

TREE = {
    "schema": Plain(Int("", 1, 1)),
    "regulation": {
        "number": Plain(TEXT, null=True),
        "title": Plain(TEXT),
        "authority": Plain(TEXT),
        "operator": Plain(TEXT),
        "issued": Plain(Date(), null=True),
        "effective": Plain(Date(), null=True),
        "status": Plain(STATUS),
        "successor": Plain(TEXT, null=True),
        "text": Plain(Str("tên tệp văn bản, ví dụ quy-che-2026.txt", r"[a-z0-9][a-z0-9.-]*\.txt")),
        "language": Plain(Str("mã ngôn ngữ: vi", "vi")),
    },
    "domain": Leaf(DOMAIN, "Tên miền thư", EXACT),
    "domain_aliases": Leaf(ListOf(DOMAIN_ALIAS), "Tên miền cũ còn nhận thư"),
    "webmail": {
        "url": Leaf(URL, "Địa chỉ truy cập web", EXACT),
        "redirect_https": _yes("Chuyển http sang https"),
    },
    "protocols": Leaf(ListOf(PROTOCOL, 1), "Cách truy cập hộp thư", ALL_OF),
    "accounts": {
        "kinds": Leaf(ListOf(MAILBOX_KIND, 1), "Loại hộp thư", ALL_OF),
        "sectors": Leaf(ListOf(SECTOR, 1), "Khối cơ quan được cấp hộp thư", ANY_SET),
        "categories": Leaf(ListOf(CATEGORY, 1), "Người được cấp hộp thư cá nhân", ANY_SET),
        "one_per_person": _yes("Mỗi người một hộp thư"),
        "one_per_organisation": _yes("Mỗi cơ quan một hộp thư"),
    },
    "naming": Naming(),
    "quota": {
        "person": Leaf(Size(), "Dung lượng hộp thư cá nhân", EITHER_WAY),
        "organisation": Leaf(Size(), "Dung lượng hộp thư cơ quan", EITHER_WAY),
        "warn_percent": Leaf(ListOf(Int("%", 1, 100), 1), "Cảnh báo khi đầy đến", ALL_OF),
    },
    "attachments": {
        "max_total": Leaf(Size(), "Tổng tệp đính kèm mỗi thư", AT_MOST),
        "forbidden_extensions": Leaf(ListOf(EXTENSION), "Tệp bị cấm theo văn bản", ALL_OF),
        "forbidden_extensions_extra": Leaf(ListOf(EXTENSION), "Tệp bị cấm thêm", ALL_OF),
        "encrypted": Leaf(ENCRYPTED, "Tệp nén có mật khẩu", CHOICE),
        "encrypted_by_type": Leaf(ENCRYPTED_BY_TYPE, "Tệp có mật khẩu xử lý khác theo loại"),
    },
    "password": {
        "user": _password("người dùng"),
        "admin": _password("quản trị"),
        "history": Leaf(Int("mật khẩu", 0, 50), "Số mật khẩu cũ không được dùng lại", AT_LEAST),
        "change_at_first_login": _yes("Đổi mật khẩu ở lần đăng nhập đầu"),
        "initial_deadline_days": Leaf(Int("ngày", 1, 365), "Hạn đổi mật khẩu ban đầu", AT_MOST, null=True),
        "forbid_personal_data": _yes("Cấm mật khẩu chứa tên, ngày sinh"),
        "other_systems": Leaf(OTHER_SYSTEMS, "Mật khẩu không trùng hệ thống khác", EXACT),
    },
    "lockout": {
        "max_failures": Leaf(Int("lần", 1, 1000), "Khóa tài khoản khi nhập sai liên tiếp", AT_MOST, null=True),
    },
    "inactivity": {
        "count_from": Leaf(ListOf(COUNT_FROM, 1), "Thời gian không hoạt động tính từ", ALL_OF),
        "exempt_with_reason": _yes("Miễn khi đã thông báo lý do"),
        "stages": Leaves(Leaf(STAGE, "Xử lý hộp thư không hoạt động", EXACT)),
        "removal": Leaf(REMOVAL, "Cách xóa hộp thư không hoạt động", EXACT),
    },
    "suspension": {
        "deliver_inbound": _yes("Hộp thư bị khóa vẫn nhận thư"),
        "notify": Leaf(ListOf(NOTIFY, 1), "Thông báo khi khóa tới", ALL_OF),
        "repeat_ends_account": _yes("Tái phạm thì chấm dứt hộp thư"),
    },
    "termination": {
        "request_days": Leaf(Int("ngày", 0, 365), "Cơ quan đề nghị chấm dứt trong", AT_MOST, null=True),
        "execute_working_days": Leaf(_WORKING_DAYS, "Đơn vị vận hành chấm dứt trong", AT_MOST, null=True),
        "on_transfer": Leaf(ON_TRANSFER, "Khi chuyển công tác trong tỉnh", CHOICE),
        "purge_after_months": Leaf(_MONTHS, "Xóa dữ liệu sau khi chấm dứt", EITHER_WAY, null=True),
    },
    "deadlines": _deadlines(),
    "requests": {
        "channels": Leaf(ListOf(CHANNEL, 1), "Kênh gửi đề nghị", NONE_ELSE),
        "mailbox": Leaf(ADDRESS, "Hộp thư nhận đề nghị", EXACT),
        "signed": Leaf(DEMAND, "Đề nghị phải ký số", CHOICE),
        "reply": Leaf(REPLY, "Trả lời đề nghị", EXACT),
    },
    "handover": {
        "required": _yes("Bàn giao hộp thư khi đổi người quản lý"),
        "minutes": _yes("Lập biên bản bàn giao"),
    },
    "organisation_mailbox": {
        "access": Leaf(ORGANISATION_ACCESS, "Cách dùng hộp thư cơ quan", CHOICE),
        "archive": _yes("Lưu mọi thư của hộp thư cơ quan"),
    },
    "check_frequency": {
        "organisation": Leaf(CHECK, "Tần suất kiểm tra hộp thư cơ quan", ("min", "includes", "exact"), null=True),
        "person": Leaf(CHECK, "Tần suất kiểm tra hộp thư cá nhân", ("min", "includes", "exact"), null=True),
    },
    "forwarding": {
        "outbound": Leaf(FORWARD_OUT, "Chuyển tiếp tự động ra ngoài", CHOICE),
        "state_domains": Leaf(ListOf(STATE_DOMAIN, 1), "Tên miền được coi là của cơ quan nhà nước", NONE_ELSE),
        "inbound": Leaf(FORWARD_IN, "Thư chuyển tiếp tự động từ hộp thư ngoài", EXACT),
    },
    "outbound": {
        "external_per_10min": Leaf(Int("thư", 1, 100000), "Số thư ra ngoài tối đa trong 10 phút", AT_MOST, null=True),
    },
    "spam": {"user_training": _yes("Người dùng đánh dấu thư rác")},
    "antivirus": {"scan": Leaf(ListOf(SCAN, 1), "Quét mã độc", ALL_OF)},
    "detect": {
        "secret_marks": Leaf(ListOf(TEXT), "Dấu độ mật cần phát hiện", ALL_OF),
        "sign_ups": _yes("Phát hiện đăng ký mạng xã hội, dịch vụ"),
        "public_mail": _yes("Phát hiện dùng thư công cộng cho công vụ"),
    },
    "secrets": {"recall": _yes("Gỡ bỏ thư chứa bí mật nhà nước")},
    "directory": {
        "publish": _yes("Công bố danh bạ"),
        "fields": Leaf(ListOf(DIRECTORY_FIELD, 1), "Thông tin trong danh bạ", ANY_SET),
        "categories": Leaf(ListOf(CATEGORY, 1), "Người có tên trong danh bạ công bố", ANY_SET),
        "scope": Leaf(DIRECTORY_SCOPE, "Phạm vi danh bạ", CHOICE),
        "period_months": Leaf(_MONTHS, "Kỳ công bố danh bạ", AT_MOST, null=True),
        "target": Leaf(DIRECTORY_TARGET, "Nơi công bố danh bạ", CHOICE),
    },
    "reports": {
        "operator": Leaves(Leaf(REPORT, "Báo cáo của đơn vị vận hành", ("max", "exact"), null=True)),
        "agency": Leaves(Leaf(REPORT, "Báo cáo của các cơ quan", ("max", "exact"), null=True)),
    },
    "single_sign_on": {
        "ldap_applications": Leaf(
            ListOf(Str("mã ứng dụng chữ thường, ví dụ portal", r"[a-z][a-z0-9_]*")),
            "Ứng dụng xác thực qua LDAP",
            ALL_OF,
        ),
        "provincial": _yes("Đăng nhập tập trung của tỉnh"),
    },
    "character_set": Leaf(Str("bảng mã UTF-8", "UTF-8"), "Bảng mã tiếng Việt", EXACT),
    "signature": {"documents": Leaf(DEMAND, "Ký số tài liệu gửi đi", CHOICE)},
    "content": {"rewrite": _yes("Hệ thống sửa nội dung thư")},
    "backup": {
        "schedule": Leaf(CALENDAR, "Lịch sao lưu", EXACT),
        "retention_days": Leaf(Int("ngày", 1, 36500), "Thời gian giữ bản sao lưu", AT_LEAST),
        "restore_test_months": Leaf(_MONTHS, "Kỳ thử phục hồi", AT_MOST),
    },
    "availability": {"target": Leaf(AVAILABILITY, "Mức hoạt động", CHOICE)},
    "logs": {"headers_days": Leaf(Int("ngày", 1, 36500), "Thời gian lưu tiêu đề thư", AT_LEAST)},
    "security": {"level": Leaf(Int("", 1, 5), "Cấp độ an toàn hệ thống thông tin", AT_LEAST)},
    "contacts": {
        "incident": Leaf(ADDRESS, "Hộp thư báo sự cố", EXACT),
        "support": Leaf(ADDRESS, "Hộp thư hỗ trợ", EXACT),
    },
    "system": {
        "owner": Leaf(TEXT, "Cơ quan chủ quản", EXACT),
        "operator": Leaf(TEXT, "Đơn vị vận hành", EXACT),
    },
    "clauses": Clauses(),
}
