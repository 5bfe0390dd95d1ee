# Copyright (c) 2026, the aovpn.ikev2 authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Phrases that sound translated stay out of the project's texts.

Reword what is found. If a phrase is right somewhere, make its pattern narrower.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
READ = ("plugins", "roles", "playbooks", "docs", "examples", "tests", "README.md", "noxfile.py", "Makefile")
SKIPPED = {Path(__file__), REPOSITORY / "changelogs", REPOSITORY / "CHANGELOG.md", REPOSITORY / "tests" / "reports"}

SPACE = r"\s+"

# A pattern in lower case matches either case. A space also matches a line break, in a comment too, and the underscore of a name.
PHRASES: Mapping[str, str] = {
    # How a text begins
    '"""(?:Give|Say|Tell)s?': "Return, Report",
    '"""(?:Look|See)s? (?:at|that|whether)': "Read, Check",
    '"""(?:List|Say|Tell|Write)s? in words': "Return as sentences",
    "short_description: (?:Give|Look|Say|Tell)": "Return, Read, Report",
    "- name: (?:Forget|Look|Remember|Say|See|Tell)": "Read, Record, Show, Check",
    "See that": "Make sure that",
    # What has been read or is configured
    "what stands(?! (?:for|in))": "what is in effect, the present state",
    r"(?<!a\s)stands? (?:in(?! (?:the way|for|place))|now|there|here|beside|behind|once|still)": "is",
    "as (?:it|they) ha(?:s|ve) to be": "as required",
    "what there has to be": "what is required",
    "(?:is|are|was|were) not there": "does not exist, is missing",
    "(?:is|are|was|were|be) (?:not |only )?looked at": "is read",
    "looks? whether": "check whether",
    "first look": "first reading",
    "as far as (?:it|they|a run) (?:is|are|came|comes) ?(?:there)?": "if it exists",
    "of which nothing is known": "about which nothing is known",
    "nothing is known of": "nothing is known about",
    "nobody (?:can|could|gave|asked|has|knows)": "it is not known",
    r"another (?:\w+ )?than": "different from",
    "default counts": "default applies",
    "counts? instead": "takes precedence",
    "speaks? (?:of|against)": "mention; object",
    r"goes by(?= \||,|\.)": "uses",
    "of no (?:VPN )?server": "does not belong to any",
    # What is selected or wanted
    "can(?:not)? be meant": "is invalid",
    "(?:groups?|servers?|services?) meant": "selected",
    "(?:is|are|was|were) meant(?! (?:for|to))": "is intended, is selected",
    "(?:is|are|was|were) to (?:answer|be|come|count|go|have|hold|install|keep|make|put|run|see|show|stand|stay|take|turn)": "should, will",
    "made so(?! that)": "set",
    "in spite of": "despite; to override",
    "goes? before": "takes precedence over",
    "of no matter": "does not matter",
    "no matter for": "does not concern",
    "takes? (?:it|them|that|neither) for": "treats as",
    # What happens
    r"(?<!find\stheir\s)(?<!found\sits\s)ways? back": "rollback; return path",
    "way of the packets": "path of the packets",
    "(?:way that|way|what) answers take": "return path, default gateway",
    "(?:being|been|be) gone": "has ended, has run",
    r"(?<!restart\s)owed": "pending",
    "foret(?:ell|old)s?": "predict",
    "go(?:es)? on as (?:it|they) began": "keep their translation",
    "(?:be|been|is|was|were) waited for": "wait for",
    "sees? to it": "make sure",
    "be(?:came|come|comes) of": "happens to",
    "former (?:one|run)": "earlier",
    "(?:run|task) before (?:did|had|has)": "previous",
    "of the past": "former",
    "anew": "again",
    "mend": "fix",
    "take it off": "remove it",
    # What is said
    "(?:are|be|been|being|is|was|were) told(?! (?:apart|how|otherwise|to|where))": "is reported",
    "says? the verdict": "print the verdict",
    r"(?<![Tt]here\s)(?:are|is) no (?:administrator|answer|change|drift|error|fault|matter|name|snapshot|template|IP address|RRAS server)": "is not a",
    r"(?<!not\s)(?<!\"\s)in words(?=[\s,.;])": "as a sentence, in plain text",
    "all is well": "everything is in order",
    "all the same": "still, anyway",
    "at a loss": "failed",
    "aloud(?! gets)": "and say so",
    "a time-out long": "until the time-out",
    "be no use": "have no effect",
    "hang(?:s|ing)? on": "depend on",
    "keeps? that limit": "has a limit of its own",
    "lean(?:s|ing)? on": "depend on, refer to",
    "lest": "so that ... not",
    "on (?:its|their) own account": "own outbound traffic",
    "there lies": "is there",
    "utmost": "highest",
}


def compiled(*phrases: str) -> re.Pattern[str]:
    """Return a pattern that any of these phrases matches."""
    words = "|".join(f"(?{'i' * phrase.islower()}:{phrase.replace(' ', SPACE)})" for phrase in phrases)
    return re.compile(rf"(?<![A-Za-z])(?:{words})(?![A-Za-z])")


PATTERNS = {compiled(phrase): instead for phrase, instead in PHRASES.items()}
ANY = compiled(*PHRASES)  # nearly every text has none, and one search for all of them takes a quarter of the time


def found(text: str) -> Iterator[str]:
    """Return where a text has such phrases, and what to write instead."""
    # Of the same length, so that lines can be counted.
    text = re.sub(r"(?m)^([ \t]*)#", r"\1 ", text.replace("_", " "))
    for pattern, instead in PATTERNS.items() if ANY.search(text) else ():
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{line}: {' '.join(match[0].split())!r}, instead of: {instead}"


def texts() -> Iterator[Path]:
    """Return the project's files with text."""
    for name in READ:
        path = REPOSITORY / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and not SKIPPED & {file, *file.parents} and not {"__pycache__", "output"} & {*file.parts}:
                yield file


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        ("the way back is being gone", "the rollback is already running"),
        ("refuse an inventory that cannot be meant", "validate the inventory"),
        ("foretell what will stand", "predict the result"),
        ("Nothing is to be done.", "No action needed."),
        ("is the address of no VPN server that was read", "does not belong to any VPN server that was read"),
        ("a restart is owed", "pending restart (`restart_owed`)"),
        ("This is no RRAS server", "This is not an RRAS server"),
        ("# codes to go on in\n    # spite of", "# codes to override"),
        ("def test_everything_is_told_at_once", "def test_everything_is_reported_at_once"),
        ("- name: Look at the servers", "- name: Read the servers"),
        ('"""Give plain values."""', '"""Return plain values."""'),
        ("the finding stands in the table", "the blocker stands in the way of the change"),
        ("There is no snapshot; what is no snapshot", "There is no snapshot."),
    ],
)
def test_a_phrase_is_found_and_its_replacement_is_not(bad: str, good: str) -> None:
    assert list(found(bad))
    assert list(found(good)) == []


def test_no_text_sounds_translated() -> None:
    complaints = [
        f"{path.relative_to(REPOSITORY)}:{complaint}"
        for path in texts()
        for complaint in found(path.read_text(encoding="utf-8"))
    ]
    assert not complaints, "\n".join(complaints)
