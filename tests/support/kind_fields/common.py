"""What all platforms share: patterns, mails, and who may use a kind."""

from typing import Any

from tests.support.kind_fields import Elsewhere, Field

PLURAL = {"count": "members", "one": "{members} member", "other": "{members} members"}
BAD_TEXTS: tuple[Any, ...] = ("{", "}", "{nobody}", "a\0", 5, [], None)
BAD_PLURALS: tuple[Any, ...] = (
    {"count": "members"},
    {"other": "a"},
    {"count": "people", "other": "a"},
    {"count": "members", "other": "a", "single": "b"},
    {"count": "members", "other": "{nobody}"},
)
WITH_DEFAULT = {"patterns": {"default": {"title": "{sender}"}}}

PATTERNS = (
    Field(
        "patterns",
        "Patterns by locale; `default` is needed if there are any.",
        ({}, {"default": {}}, {"default": {}, "de": {}, "zh-Hant": {}, "pt_br": {}}),
        unseen=({"default": {}, "german": {}}, {"default": {}, "de": {}, "DE": {}}),
    ),
    Field(
        "patterns.de.title",
        "Without `default` a device of another language has no texts.",
        (),
        unseen=("{sender}",),
        problem="patterns.default",
        about="without default",
    ),
    Field(
        "patterns.default.title",
        "A pattern or a plural, of 1 to 200 characters. Without it `{sender}`.",
        ("{sender}", "{{{sender}}}", PLURAL, "{data.order-1}"),
        unseen=(
            "",
            "a" * 201,
            *BAD_TEXTS,
            *BAD_PLURALS,
            {"count": "members", "other": ""},
            {"count": "members", "other": "a", "one": "a" * 201},
        ),
    ),
    Field(
        "patterns.default.subtitle",
        "A pattern or a plural, of at most 200 characters. Without it "
        "`{conversation}`.",
        ("{conversation}", "", PLURAL),
        unseen=("a" * 201, *BAD_TEXTS, *BAD_PLURALS),
    ),
    Field(
        "patterns.default.body",
        "A pattern or a plural, of at most 4,000 characters; a body that does not fit "
        "is cut. Without it `{text}`.",
        ("{text}", "", PLURAL),
        unseen=("a" * 4001, *BAD_TEXTS, *BAD_PLURALS),
    ),
    Field(
        "patterns.de.email.subject",
        "As `email.subject`, in this language.",
        ("Neues von {sender}",),
        unseen=("", *BAD_TEXTS),
        beside=WITH_DEFAULT,
    ),
)
MAIL = (
    Field(
        "email.subject",
        "A pattern or a plural, of 1 to 200 characters.",
        ("{conversation}", PLURAL),
        unseen=("", "a" * 201, *BAD_TEXTS, *BAD_PLURALS),
    ),
    Field(
        "email.text",
        "A pattern or a plural: the body as plain text.",
        ("{sender}: {text}", PLURAL),
        unseen=("a" * 4001, *BAD_TEXTS, *BAD_PLURALS),
    ),
    Field(
        "email.html",
        "A pattern or a plural: the body as HTML, in which the values are escaped.",
        ("<p style='a{{b}}'>{text}</p>", PLURAL),
        unseen=("a" * 4001, *BAD_TEXTS, *BAD_PLURALS),
    ),
)
KIND = (
    Field(
        "members",
        "true: members may name the kind when they send. Without it false.",
        (True, False),
        unseen=("true", 1, None),
    ),
)
FIELDS = (*KIND, *PATTERNS, *MAIL)
CHANNEL = "unit/notifier/channels/email/test_payload.py"
ELSEWHERE = (
    Elsewhere(
        "`List-Unsubscribe`",
        "An https address of the device, and a mailto behind it.",
        f"{CHANNEL}::test_mail_programs_can_unsubscribe_with_one_click",
    ),
    Elsewhere(
        "`List-Unsubscribe-Post`",
        "`List-Unsubscribe=One-Click`.",
        f"{CHANNEL}::test_mail_programs_can_unsubscribe_with_one_click",
    ),
    Elsewhere(
        "the POST of One-Click",
        "It unsubscribes by itself, without a login; a GET shows a page.",
        "integration/web/test_unsubscribe_page.py::"
        "test_mail_program_ends_the_mails_with_one_request",
    ),
)
