"""The moderation policy: from scores to an outcome, as `policy.yaml` says."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mediagate.errors import ConfigurationError
from mediagate.events import LinkedToType, Outcome

VERSION_LENGTH = 12

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
    thresholds: Mapping[Category, Thresholds] = Field(min_length=1)


class Policy(_PolicyModel):
    """The whole policy."""

    default: Rule
    linked_to_types: Mapping[LinkedToType, Rule] = Field(default_factory=dict)

    @cached_property
    def version(self) -> str:
        """A hash of the content: equal rules have equal versions, however the file is written."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:VERSION_LENGTH]

    def rule(self, linked_to_type: str) -> Rule:
        """The type's own rule, or the default."""
        return self.linked_to_types.get(linked_to_type, self.default)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What shall happen, and why, most severe first; no reasons where all scores are low."""

    outcome: Outcome
    reasons: tuple[str, ...]


def decide(policy: Policy, linked_to_type: str, scores: Mapping[str, float]) -> Verdict:
    """Approves only where every score is known to the policy and below its thresholds."""
    if not scores:
        return Verdict(Outcome.NEEDS_REVIEW, ("no scores",))
    thresholds = policy.rule(linked_to_type).thresholds
    findings = [_judge(category, scores[category], thresholds.get(category)) for category in sorted(scores)]
    rejections = tuple(reason for outcome, reason in findings if outcome is Outcome.REJECTED)
    holds = tuple(reason for outcome, reason in findings if outcome is Outcome.NEEDS_REVIEW)
    if rejections:
        return Verdict(Outcome.REJECTED, rejections + holds)
    return Verdict(Outcome.NEEDS_REVIEW if holds else Outcome.APPROVED, holds)


def decide_unscannable(policy: Policy, linked_to_type: str, reason: str) -> Verdict:
    """Holds or rejects what nobody could judge."""
    rejects = policy.rule(linked_to_type).unscannable == "reject"
    return Verdict(Outcome.REJECTED if rejects else Outcome.UNSCANNABLE, (reason,))


def load_policy(path: Path) -> Policy:
    """The policy in a YAML file; raises ConfigurationError with file, line and field of the first fault."""
    root = _parse(path)
    _refuse_repeated_keys(path, root)
    try:
        return Policy.model_validate(yaml.constructor.SafeConstructor().construct_document(root))
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(map(str, fault["loc"])) or "policy"
        raise _fault(path, _line(root, fault["loc"]), f"{field}: {fault['msg']}") from error
    except yaml.MarkedYAMLError as error:
        raise _syntax_fault(path, error) from error


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


def _refuse_repeated_keys(path: Path, node: yaml.Node) -> None:
    if not isinstance(node, yaml.MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        if key.value in seen:
            raise _fault(path, key.start_mark.line + 1, f"{key.value}: is there twice")
        seen.add(str(key.value))
        _refuse_repeated_keys(path, value)


def _line(node: yaml.Node, location: tuple[int | str, ...]) -> int:
    """The line of the field, or of the innermost part of it that is there."""
    line = node.start_mark.line
    for name in location:
        found = [pair for pair in _pairs(node) if pair[0].value == str(name)]
        if not found:
            break
        key, node = found[0]
        line = key.start_mark.line
    return line + 1


def _pairs(node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
    return node.value if isinstance(node, yaml.MappingNode) else []


def _syntax_fault(path: Path, error: yaml.MarkedYAMLError) -> ConfigurationError:
    line = error.problem_mark.line + 1 if error.problem_mark else 1
    return _fault(path, line, str(error.problem))


def _fault(path: Path, line: int, message: str) -> ConfigurationError:
    return ConfigurationError(f"{path}:{line}: {message}")
