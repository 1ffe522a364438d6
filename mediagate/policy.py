"""The moderation policy: from scores to an outcome, as `policy.yaml` says."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)

from mediagate.errors import ConfigurationError
from mediagate.events import LinkedToType, Outcome
from mediagate.scanners.routes import ScannerName

VERSION_LENGTH = 12

SCANNER_CATEGORIES: Mapping[ScannerName, tuple[str, ...]] = {
    ScannerName.VISION: ("adult", "spoof", "medical", "violence", "racy"),
    ScannerName.MODAL: ("nsfw",),
    ScannerName.LOCAL: ("nsfw",),
}
"""The categories that each scanner scores."""

Threshold = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]
Category = Annotated[str, Field(min_length=1, max_length=64)]


class _PolicyModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Thresholds(_PolicyModel):
    """The scores at which one category is held or rejected."""

    hold: Threshold
    reject: Threshold

    @model_validator(mode="after")
    def _hold_comes_first(self) -> "Thresholds":
        if self.hold > self.reject:
            raise ValueError(f"hold {self.hold} is above reject {self.reject}")
        return self


class Rule(_PolicyModel):
    """What applies to one `linked_to_type`."""

    unscannable: Literal["hold", "reject"] = "hold"
    scanners: frozenset[ScannerName] | None = Field(default=None, min_length=1)
    thresholds: Mapping[Category, Thresholds] = Field(min_length=1)

    @field_validator("scanners", mode="before")
    @classmethod
    def _names_scanners(cls, scanners: object) -> object:
        # An empty field would allow every scanner, which nobody means who writes it.
        if scanners is None:
            raise ValueError("names no scanner")
        return scanners

    @field_serializer("scanners")
    def _in_order(self, scanners: frozenset[ScannerName] | None) -> list[ScannerName] | None:
        return None if scanners is None else sorted(scanners)


class Policy(_PolicyModel):
    """The whole policy."""

    default: Rule
    linked_to_types: Mapping[LinkedToType, Rule] = Field(default_factory=dict)

    @cached_property
    def version(self) -> str:
        """A hash of the content: equal rules have equal versions, however the file is written."""
        content = json.dumps(self.model_dump(mode="json", exclude_none=True), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:VERSION_LENGTH]

    def rule(self, linked_to_type: str) -> Rule:
        """The type's own rule, or the default."""
        return self.linked_to_types.get(linked_to_type, self.default)

    def allows(self, linked_to_type: str, scanner: str) -> bool:
        """Whether the scanner's word counts for the type."""
        allowed = self.rule(linked_to_type).scanners
        return allowed is None or scanner in allowed

    def rules(self) -> Mapping[str, Rule]:
        """Every rule by its `linked_to_type`, the default first."""
        return {"default": self.default, **dict(sorted(self.linked_to_types.items()))}


class Verdict(NamedTuple):
    """What shall happen, and why, most severe first; no reasons where all scores are low."""

    outcome: Outcome
    reasons: tuple[str, ...]


def decide(policy: Policy, linked_to_type: str, scores: Mapping[str, float], scanner: str) -> Verdict:
    """Approves only what an allowed scanner scored below the policy's threshold in every category."""
    verdict = decide_by(policy.rule(linked_to_type), scores)
    if policy.allows(linked_to_type, scanner):
        return verdict
    stranger = f"{scanner} is not an allowed scanner"
    if verdict.outcome is Outcome.REJECTED:
        return Verdict(Outcome.REJECTED, (*verdict.reasons, stranger))
    return Verdict(Outcome.NEEDS_REVIEW, (stranger, *verdict.reasons))


def decide_by(rule: Rule, scores: Mapping[str, float]) -> Verdict:
    """The verdict on the scores alone, whichever scanner gave them."""
    if not scores:
        return Verdict(Outcome.NEEDS_REVIEW, ("no scores",))
    rejections, holds = [], []
    for category in sorted(scores):
        outcome, reason = _judge(category, scores[category], rule.thresholds.get(category))
        if outcome is Outcome.REJECTED:
            rejections.append(reason)
        elif outcome is Outcome.NEEDS_REVIEW:
            holds.append(reason)
    if rejections:
        return Verdict(Outcome.REJECTED, (*rejections, *holds))
    return Verdict(Outcome.NEEDS_REVIEW if holds else Outcome.APPROVED, tuple(holds))


def decide_unscannable(policy: Policy, linked_to_type: str, reason: str) -> Verdict:
    """Holds or rejects what nobody could judge."""
    rejects = policy.rule(linked_to_type).unscannable == "reject"
    return Verdict(Outcome.REJECTED if rejects else Outcome.UNSCANNABLE, (reason,))


def missing_categories(rule: Rule) -> Mapping[ScannerName, tuple[str, ...]]:
    """What allowed scanners score without a threshold in the rule: all that they scan would be held."""
    missing = {
        scanner: tuple(category for category in categories if category not in rule.thresholds)
        for scanner, categories in SCANNER_CATEGORIES.items()
        if rule.scanners is None or scanner in rule.scanners
    }
    return {scanner: categories for scanner, categories in missing.items() if categories}


def load_policy(path: Path) -> Policy:
    """The policy in a YAML file; raises ConfigurationError with file, line and field of the first fault."""
    root = _parse(path)
    _refuse_repeated_keys(path, root, set())
    try:
        return Policy.model_validate(yaml.constructor.SafeConstructor().construct_document(root))
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(map(str, fault["loc"])) or "policy"
        raise _fault(path, _line(root, fault["loc"]), f"{field}: {fault['msg']}") from error
    except yaml.MarkedYAMLError as error:
        raise _syntax_fault(path, error) from error
    except ValueError as error:  # such as a date that no calendar has
        raise _fault(path, 1, f"policy: {error}") from error


def load_policy_if_there(path: Path) -> Policy | None:
    """The policy in a YAML file, None where there is no file; raises as `load_policy` does."""
    try:
        return load_policy(path)
    except ConfigurationError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def _judge(category: str, score: float, thresholds: Thresholds | None) -> tuple[Outcome, str]:
    if not 0 <= score <= 1:  # also false for NaN
        return Outcome.NEEDS_REVIEW, f"{category} score {score} is not in [0, 1]"
    if thresholds is None:
        return Outcome.NEEDS_REVIEW, f"{category} has no threshold in the policy"
    if score >= thresholds.reject:
        return Outcome.REJECTED, f"{category} {score:.3f} >= reject {thresholds.reject}"
    if score >= thresholds.hold:
        return Outcome.NEEDS_REVIEW, f"{category} {score:.3f} >= hold {thresholds.hold}"
    return Outcome.APPROVED, ""


def _parse(path: Path) -> yaml.Node:
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
    except yaml.MarkedYAMLError as error:
        raise _syntax_fault(path, error) from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: {' '.join(str(error).split())}") from error
    if root is None:
        raise _fault(path, 1, "policy: is empty")
    return root


def _refuse_repeated_keys(path: Path, node: yaml.Node, visited: set[int]) -> None:
    if id(node) in visited:  # an alias
        return
    visited.add(id(node))
    seen: set[str] = set()
    for key, value in _entries(node):
        if isinstance(node, yaml.MappingNode) and isinstance(key, yaml.ScalarNode):
            if key.value in seen:
                raise _fault(path, key.start_mark.line + 1, f"{key.value}: is there twice")
            seen.add(key.value)
        _refuse_repeated_keys(path, value, visited)


def _line(node: yaml.Node, location: tuple[int | str, ...]) -> int:
    """The line of the field, or of the innermost part of it that is there."""
    line = node.start_mark.line
    for name in location:
        found = [(key, value) for key, value in _entries(node) if key.value == str(name)]
        if not found:
            break
        key, node = found[-1]  # what a merge key brings comes before a mapping's own
        line = key.start_mark.line
    return line + 1


def _entries(node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
    """A mapping's keys and values; a list's items, each under its index."""
    if isinstance(node, yaml.SequenceNode):
        return [
            (yaml.ScalarNode(node.tag, str(index), item.start_mark), item)
            for index, item in enumerate(node.value)
        ]
    return node.value if isinstance(node, yaml.MappingNode) else []


def _syntax_fault(path: Path, error: yaml.MarkedYAMLError) -> ConfigurationError:
    line = error.problem_mark.line + 1 if error.problem_mark else 1
    return _fault(path, line, str(error.problem))


def _fault(path: Path, line: int, message: str) -> ConfigurationError:
    return ConfigurationError(f"{path}:{line}: {message}")
