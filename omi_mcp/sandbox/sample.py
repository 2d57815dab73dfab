"""The sample library that comes with the package: one person's conversations, dated relative to today.

Each line is a plain one (see `loading`) with `days_ago` and `time` in place of `started_at`, `due_days_ago` in place
of an action item's `due_at`, and `start_days_ago` and `start_time` in place of an event's `start`. Days ahead are
negative, times are UTC.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

DUE = time(17)
"""The hour of the day at which action items are due."""


class _Relative(BaseModel):
    """Its other fields are passed on for `loading` to check."""

    model_config = ConfigDict(extra="allow")

    def passed_on(self) -> dict[str, Any]:
        return self.model_extra or {}


class _ActionItem(_Relative):
    due_days_ago: float | None = None

    def dated(self, today: date) -> dict[str, Any]:
        due_at = None if self.due_days_ago is None else _moment(today, self.due_days_ago, DUE)
        return {**self.passed_on(), "due_at": due_at}


class _Event(_Relative):
    start_days_ago: float
    start_time: time

    def dated(self, today: date) -> dict[str, Any]:
        return {**self.passed_on(), "start": _moment(today, self.start_days_ago, self.start_time)}


class _Line(_Relative):
    days_ago: float
    time: time
    action_items: list[_ActionItem] | None = None
    events: list[_Event] | None = None

    def dated(self, today: date) -> dict[str, Any]:
        line = {**self.passed_on(), "started_at": _moment(today, self.days_ago, self.time)}
        if self.action_items is not None:
            line["action_items"] = [item.dated(today) for item in self.action_items]
        if self.events is not None:
            line["events"] = [event.dated(today) for event in self.events]
        return line


def dated(lines: Iterable[tuple[int, Any]], now: datetime) -> Iterator[tuple[int, dict[str, Any]]]:
    """The numbered lines as plain ones. Raises pydantic's ValidationError for a line it cannot date."""
    today = now.astimezone(UTC).date()
    for number, line in lines:
        yield number, _Line.model_validate(line).dated(today)


def _moment(today: date, days_ago: float, at: time) -> datetime:
    return datetime.combine(today - timedelta(days=days_ago), at, tzinfo=UTC)
