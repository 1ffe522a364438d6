"""What operators made of dead letters: rows of operator_actions, one for each letter and action."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mediagate.database import load_queries, meanings
from mediagate.dead_letter_queue import Letter, Position, State
from mediagate.operator_actions import Action, OperatorAction, actions_on

QUERIES = load_queries(Path(__file__).with_name("marks.sql"))
STATES: Mapping[Action, State] = {Action.REDRIVE: State.REDRIVEN, Action.DISCARD: State.DISCARDED}


@dataclass(frozen=True, slots=True)
class Mark:
    """Why a letter is open no more."""

    state: State
    at: datetime
    operator: str


class Marks:
    """The rows about the letters of one topic, on a pool or a connection."""

    def __init__(self, database: Any, topic: str, operator: str, now: Callable[[], datetime]) -> None:
        self._database = database
        self._topic = topic
        self._operator = operator
        self._now = now

    async def latest(self, letters: Sequence[Letter]) -> dict[Position, Mark]:
        """The last mark of each letter that has one."""
        subjects = {self._subject(letter): letter.position for letter in letters}
        with meanings():
            rows = QUERIES.latest(self._database, subjects=list(subjects))
            return {
                subjects[row["subject"]]: Mark(STATES[Action(row["action"])], row["at"], row["operator"])
                async for row in rows
            }

    async def discard(self, letters: Sequence[Letter], note: str) -> None:
        """Marks letters as discarded."""
        await self._insert(Action.DISCARD, letters, {"note": note})

    async def begin_redrive(self, letters: Sequence[Letter]) -> list[int]:
        """Says that letters are about to be sent; gives the rows, in their order."""
        ids = await self._insert(Action.REDRIVE, letters, {})
        return [ids[self._subject(letter)] for letter in letters]

    async def end_redrive(self, ids: Sequence[int], targets: Sequence[str]) -> None:
        """Says where the letters of these rows stand now: only from then on are they redriven."""
        with meanings():
            await QUERIES.arrived(self._database, ids=list(ids), targets=list(targets))

    async def on(self, letter: Letter) -> list[OperatorAction]:
        """All that was done to a letter, oldest first."""
        with meanings():
            return await actions_on(self._database, self._subject(letter))

    async def earlier(self, letters: Sequence[Letter]) -> dict[str, list[OperatorAction]]:
        """By origin, the redrives of what came back as these letters, oldest first."""
        found: dict[str, list[OperatorAction]] = {}
        with meanings():
            rows = QUERIES.earlier(self._database, origins=list({letter.origin for letter in letters}))
            async for row in rows:
                action = OperatorAction(
                    row["at"], row["operator"], Action.REDRIVE, row["subject"], row["details"]
                )
                found.setdefault(row["of"], []).insert(0, action)
        return found

    async def _insert(
        self, action: Action, letters: Sequence[Letter], details: Mapping[str, object]
    ) -> dict[str, int]:
        with meanings():
            rows = QUERIES.insert(
                self._database,
                at=self._now(),
                operator=self._operator,
                action=action,
                subjects=[self._subject(letter) for letter in letters],
                details=[{"origin": each.origin, "reason": each.reason, **details} for each in letters],
            )
            return {row["subject"]: row["id"] async for row in rows}

    def _subject(self, letter: Letter) -> str:
        return f"{self._topic}:{letter.position}"
