"""Lint: what a brand file says that its writer can hardly have meant, rule by rule, and of its brands together.

    findings = lint(Brands.parse(toml))

Knows nothing of files, posts, or of what a phrase costs.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec

from streams.heart.brands import Brands, ends_of, words
from streams.heart.errors import nearest
from streams.heart.flaws import CHECKS, NOTES, Clauses, Inside, Kind

TOGETHER = 3  # brands that are named together: so many are told


class Finding(NamedTuple):
    """One thing to look at."""

    brand: str
    kind: Kind
    sentence: str

    @property
    def is_note(self) -> bool:
        """Whether it may well be meant so."""
        return self.kind in NOTES

    def __str__(self) -> str:
        return f"{'note' if self.is_note else 'warning'}: brand {self.brand}: {self.sentence}"


def lint(brands: Brands, languages: Collection[str] = ()) -> list[Finding]:
    """All findings, in the file's order, those that need several brands last. `languages`: what the model can score.

    >>> toml = 'number = 1\\npublished = 2026-01-01T00:00:00Z\\nbrand = [{name = "a", any = ["kopi senja", "senja"]}]'
    >>> [finding.kind.value for finding in lint(Brands.parse(toml))]
    ['shadowed', 'common', 'tags']
    """
    rules = [Clauses(brand) for brand in brands.file.brand]
    many = Counter(brand.name for brand in brands.file.brand)
    found = [Finding(rule.brand.name, kind, said if many[rule.brand.name] == 1 else f"rule {rule.brand.rule}: {said}")
             for rule in rules for check in CHECKS for kind, said in check(rule)]
    return [*found, *_languages(rules, languages), *_unchanged(rules), *_dropped(rules), *_together(rules),
            *_shared(rules), *_groups(rules)]


def _languages(rules: Sequence[Clauses], known: Collection[str]) -> Iterator[Finding]:
    """Languages in which the model has no mood to tell."""
    for rule in rules:
        for language in rule.brand.languages if known else ():
            if language not in known and re.fullmatch("[a-z]{2,3}", language):
                yield Finding(rule.brand.name, Kind.LIMIT, f'languages holds "{language}", in which the model '
                              f"abstains; it knows {', '.join(sorted(known))}")


def _unchanged(rules: Sequence[Clauses]) -> Iterator[Finding]:
    """Rules that say what the one before them says."""
    for rule, after in pairwise(sorted(rules, key=lambda rule: (rule.brand.name, rule.brand.since_ms))):
        if msgspec.structs.replace(rule.brand, since=after.brand.since) == after.brand:
            yield Finding(after.brand.name, Kind.UNCHANGED, f"the rule from {after.brand.rule} says what the one "
                          "before it says")


def _dropped(rules: Sequence[Clauses]) -> Iterator[Finding]:
    """What a brand had and its next rule does not say. A rule that ends the brand need say nothing."""
    living = [rule.brand for rule in rules if rule.ways]
    for before, after in pairwise(sorted(living, key=lambda brand: (brand.name, brand.since_ms))):
        if before.name != after.name:
            continue
        says = f"the rule from {after.rule} says no"
        if before.group and not after.group:
            yield Finding(after.name, Kind.DROPPED, f'{says} group; it stays in "{before.group}", as the one before it '
                          "says")
        for key in ("accounts", "tags"):
            if getattr(before.own, key) and not getattr(after.own, key):
                yield Finding(after.name, Kind.DROPPED, f"{says} own.{key}, which the one before it has: from then on "
                              "they prompt nothing")


def _together(rules: Sequence[Clauses]) -> Iterator[Finding]:
    """Brands that the same post names, whatever else it says."""
    owners: dict[str, list[int]] = defaultdict(list)
    for at, rule in enumerate(rules):
        for _, _, found in rule.alone:
            owners[found].append(at)
    inside, ends = Inside(list(owners)), ends_of([rule.brand for rule in rules])
    for at, rule in enumerate(rules):
        others: dict[str, str] = {}
        for _, said, found in rule.alone:
            for wider in inside.of(found):
                for other in owners[wider]:
                    if (wider != found or at < other) and _meet(rule, rules[other], ends[at], ends[other]) and not any(
                            none in found for _, none in rules[other].none):
                        others.setdefault(rules[other].brand.name, f'"{said}" names {rules[other].brand.name} too'
                                          + (f', by "{wider.strip()}"' if wider != found else ""))
        if others:
            more = f", and {len(others) - TOGETHER} more brands" if len(others) > TOGETHER else ""
            yield Finding(rule.brand.name, Kind.TOGETHER, "; ".join(list(others.values())[:TOGETHER]) + more)


def _meet(one: Clauses, other: Clauses, ends: int, other_ends: int) -> bool:
    """Whether two rules of two brands are ever in force for the same post."""
    a, b = one.brand, other.brand
    return (a.name != b.name and a.since_ms < other_ends and b.since_ms < ends
            and all(not left or not right or bool(set(left) & set(right))
                    for left, right in ((a.languages, b.languages), (a.sources, b.sources))))


def _shared(rules: Sequence[Clauses]) -> Iterator[Finding]:
    """Accounts and tags that two brands call their own."""
    owners: dict[str, dict[str, None]] = defaultdict(dict)
    for rule in rules:
        for one in (*rule.brand.own.accounts, *(words(tag).strip() for tag in rule.brand.own.tags)):
            owners[one][rule.brand.name] = None
    for one, names in owners.items():
        if len(names) > 1:
            first, second = list(names)[:2]
            yield Finding(first, Kind.TOGETHER, f'own holds "{one}", and so does that of {second}')


def _groups(rules: Sequence[Clauses]) -> Iterator[Finding]:
    """Share of voice needs somebody to share it with."""
    groups: dict[str, set[str]] = defaultdict(set)
    for rule in rules:
        if rule.brand.group:
            groups[rule.brand.group].add(rule.brand.name)
    for group, names in groups.items():
        if len(names) == 1:
            hint = nearest(group, [other for other in groups if other != group])
            yield Finding(min(names), Kind.GROUP, f'alone in group "{group}", so its share of voice is always 1{hint}')
