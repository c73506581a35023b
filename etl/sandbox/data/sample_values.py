"""The values of the made-up tasks: statuses, priorities, queues, people, subjects and custom fields."""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5


def identifier(prefix: str, name: str) -> str:
    """An id of the vendor's form that is always the same for the same name."""
    return f"{prefix}-{uuid5(NAMESPACE_URL, f'sandbox:{prefix}:{name}')}"


def _status(name: str, category: str, kind: str, *, known: bool = True) -> dict[str, Any]:
    status = {
        "name": name,
        "lname": name.lower(),
        "statusCategory": category,
        "type": kind,
        "desc": f"{name} tasks",
        "isEnabled": True,
        "isActive": True,
    }
    return {"_id": identifier("sts", name), **status} if known else status


def _priority(name: str, color: str, score: int, kind: str, *, known: bool = True) -> dict[str, Any]:
    priority = {
        "name": name,
        "lname": name.lower(),
        "color": color,
        "score": score,
        "type": kind,
        "desc": "",
        "isEnabled": True,
        "isActive": True,
    }
    return {"_id": identifier("pr", name), **priority} if known else priority


STATUSES = (
    _status("Open", "open", "system"),
    _status("In-Progress", "inProgress", "system"),
    _status("Pending", "pending", "system"),
    _status("Resolved", "resolved", "system"),
    _status("Closed", "closed", "system"),
    _status("Rückfrage beim Kunden", "pending", "custom"),
    _status("在庫確認中", "inProgress", "custom"),
    _status("Waiting for parts", "pending", "custom", known=False),
)
STATUS_WEIGHTS = (22, 14, 8, 16, 26, 5, 4, 5)

PRIORITIES = (
    _priority("Low", "#2563EB", 1, "system"),
    _priority("Medium", "#16A34A", 2, "system"),
    _priority("High", "#F97316", 3, "system"),
    _priority("Critical", "#DC2626", 4, "system"),
    _priority("Chef-Sache", "#7C3AED", 5, "custom"),
    _priority("Après-vente", "#0D9488", 2, "custom", known=False),
)
PRIORITY_WEIGHTS = (20, 42, 20, 8, 4, 6)

QUEUES = ("Billing", "Technical Support", "Returns & Refunds", "Kündigungen", "日本語サポート", "Escalations")

PEOPLE = (
    "Amélie Dubois",
    "Jürgen Groß",
    "Siobhán O'Connor",
    "田中 花子",
    "Łukasz Wiśniewski",
    "نورة العتيبي",
    "Priya Raghunathan",
    "Ana-María Núñez",
    "Óscar Þórsson",
    "Zoë van der Berg",
    "Nguyễn Thị Lan",
    "Дмитрий Соколов",
)

SUBJECTS = (
    "Rechnung ist doppelt abgebucht",
    "Router keeps losing the connection",
    "Order never arrived",
    "Remboursement demandé",
    "パスワードを再設定できない",
    "Change of delivery address",
    "Cannot sign in since the update 🔒",
    "Warranty claim: display is cracked",
    "¿Dónde está mi pedido?",
    "Contract renewal, offer expected",
    'Says "it does not work"; call back',
    "Subscription — cancel at month's end",
)

CHANNELS = ("rtm", "email", "voice", "web", "sms")

#: A customer's own fields: the name, its type, and what people choose or write there.
CUSTOM_FIELDS: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    ("Order number", "string", ("A-1001", "A-2044", "B-7310", "")),
    ("Produktgruppe", "list", ("Router", "Telefon", "Zubehör")),
    ("new field", "string", ("yes", "no", "mañana", None)),
    ("Contract value (€)", "number", (0, 19.9, 240, 12_000)),
)
