"""Who judges what: known verdicts first, then the scanner that the route names, then its fallback."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import structlog

from mediagate import metrics
from mediagate.errors import TransientError
from mediagate.media import MediaType
from mediagate.policy import Policy
from mediagate.scanners import Scanned, ScanResult, Unavailable, Unscannable
from mediagate.scanners.reasons import OF_ONE_OBJECT, Reason
from mediagate.scanners.routes import Route, ScannerName, choose, restricted
from streams.breakers import GuardedScanner
from streams.cases import Case, Failures, Scored
from streams.verdicts import Verdicts

STRIKES_ALLOWED = 5
"""How often an item may fail with a scanner that meanwhile judges others, before the fault is the item's."""

Key = TypeVar("Key")

log = structlog.get_logger("streams.panel")


class Panel:
    """The scanners of every media type; asks for no bytes twice."""

    def __init__(
        self,
        routes: Mapping[MediaType, Sequence[Route]],
        scanners: Mapping[ScannerName, GuardedScanner],
        verdicts: Verdicts,
        policy: Policy,
    ) -> None:
        self._routes = routes
        self._scanners = scanners
        self._verdicts = verdicts
        self._policy = policy

    async def judge(self, cases: Sequence[Case]) -> None:
        """Fills in the findings of a media type's cases; raises TransientError where some are still open."""
        for allowed, group in _grouped(cases, self._allowed).items():
            routes = restricted(self._routes[group[0].item.media_type], allowed)
            if routes:
                await self._judge_by(routes, group)
            else:
                for case in group:
                    case.finding = Unscannable(Reason.NO_ALLOWED_SCANNER)
        if still_open := _open(cases):
            raise TransientError(f"{len(still_open)} items are not judged: {self._failures(cases[0])}")

    def _allowed(self, case: Case) -> frozenset[ScannerName] | None:
        return self._policy.rule(case.event.data.linked_to_type).scanners

    def _failures(self, case: Case) -> str:
        names = {name for route in self._routes[case.event.data.media_type] for name in route.scanners}
        return "; ".join(self._scanners[name].failure for name in sorted(names))

    async def _judge_by(self, routes: Sequence[Route], cases: Sequence[Case]) -> None:
        await self._recall([self._scanners[route.scanner] for route in routes], cases)
        still_open = _open(cases)
        if not still_open:
            return
        distinct = len({case.sha256 or case.item.job_id for case in still_open})
        for name in choose(routes, distinct).scanners:
            await self._ask(self._scanners[name], _open(still_open))

    async def _recall(self, scanners: Sequence[GuardedScanner], cases: Sequence[Case]) -> None:
        """Fills in what one of the scanners has said before, the first one's word where several have."""
        versions = {scanner.name: await scanner.model_version() for scanner in scanners}
        known = await self._verdicts.known(
            {case.sha256 for case in cases if case.sha256},
            {name: version for name, version in versions.items() if version is not None},
        )
        said = {(each.sha256, each.scanner): each for each in known}
        for case in cases:
            for name in versions:
                if case.finding is None and (each := said.get((case.sha256 or "", name))):
                    case.finding = Scored(each.scanned, each.scanner, each.model_version)
        recalled = len(cases) - len(_open(cases))
        if recalled:
            metrics.KNOWN_VERDICTS.inc(recalled)
            log.info("verdicts known", media_type=cases[0].event.data.media_type, items=recalled)

    async def _ask(self, scanner: GuardedScanner, cases: Sequence[Case]) -> None:
        """Has the scanner judge each hash once; waits for what another worker is having judged."""
        alone = False
        while cases:
            version = await scanner.model_version()
            if version is None:
                return
            hashes = {case.sha256 for case in cases if case.sha256}
            async with self._verdicts.claimed(scanner.name, hashes) as ours:
                mine = [case for case in cases if alone or case.sha256 is None or case.sha256 in ours]
                await self._recall([scanner], mine)
                await self._scan(scanner, version, _open(mine))
            theirs = [case for case in cases if case not in mine]
            if theirs:
                alone = not await self._verdicts.until_free(scanner.name, str(theirs[0].sha256))
            cases = theirs

    async def _scan(self, scanner: GuardedScanner, version: str, cases: Sequence[Case]) -> None:
        """Scans one case of each hash; the next one where something is wrong with the first object alone."""
        waiting = list(_grouped(cases, lambda case: case.sha256 or case.item.job_id).values())
        while waiting:
            results = await scanner.scan([group[0].item for group in waiting])
            if await scanner.model_version() != version:
                return  # nobody knows whose words these are
            await self._keep(scanner.name, version, waiting, results)
            following = []
            for group, result in zip(waiting, results, strict=True):
                settled = _settle(group, result, scanner, version)
                if group[settled:]:
                    following.append(group[settled:])
            waiting = following

    async def _keep(
        self, name: str, version: str, groups: Sequence[Sequence[Case]], results: Sequence[ScanResult]
    ) -> None:
        said = {
            group[0].sha256: result
            for group, result in zip(groups, results, strict=True)
            if group[0].sha256 and isinstance(result, Scanned)
        }
        if not said:
            return
        try:
            await self._verdicts.store(name, version, said)
        except TransientError as error:  # they are paid for, and good: only the next upload pays again
            log.warning("verdicts not kept", scanner=name, verdicts=len(said), error=str(error))


def _settle(group: Sequence[Case], result: ScanResult, scanner: GuardedScanner, version: str) -> int:
    """Fills in what the result of a group's first case says; for how many of the group it stands."""
    if isinstance(result, Scanned):
        for case in group:
            case.finding = Scored(result, scanner.name, version)
        return len(group)
    if isinstance(result, Unavailable):
        for case in group:
            _strike(case, scanner)
        return len(group)
    if result.reason in OF_ONE_OBJECT:
        group[0].finding = result
        return 1
    for case in group:
        case.finding = result
    return len(group)


def _strike(case: Case, scanner: GuardedScanner) -> None:
    before = case.failures.get(scanner.name)
    judged_others = before is not None and scanner.successes > before.successes
    strikes = (before.strikes if before else 0) + judged_others
    case.failures[scanner.name] = Failures(strikes, scanner.successes)
    if strikes >= STRIKES_ALLOWED:
        case.finding = Unscannable(Reason.SCANNER_ERROR)


def _open(cases: Sequence[Case]) -> list[Case]:
    return [case for case in cases if case.finding is None]


def _grouped(cases: Sequence[Case], key: Callable[[Case], Key]) -> dict[Key, list[Case]]:
    groups: dict[Key, list[Case]] = {}
    for case in cases:
        groups.setdefault(key(case), []).append(case)
    return groups
