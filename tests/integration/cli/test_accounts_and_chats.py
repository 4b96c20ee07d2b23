"""`bottlepost user|token|device|chat` on real databases."""

import pytest

from datastore import Datastore, accounts, deletions, senders
from models.base import utc_now


def is_valid(store: Datastore, token: str) -> bool:
    with store.lookup() as link:
        return accounts.identify(link, token, utc_now()) is not None


def test_a_user_is_added_gets_a_token_and_ends(run, store):
    ann = run.json("user", "add", "Ann [the first]", "--external-id", "a-1")
    again = run.json("user", "add", "Anna", "--external-id", "a-1")
    token = run.json("token", "add", "ext:a-1", "--days", 3)
    device = run.json("device", "add", ann["id"], "fcm", "some-token")

    assert (ann["is_new"], again["is_new"], again["id"]) == (True, False, ann["id"])
    assert is_valid(store, token["token"])
    assert device["user_id"] == ann["id"]
    assert token["token"] not in run("token", "list", ann["id"]).out
    assert "Ann [the first]" in run("user", "list").out

    ended = run.json("user", "end", "ext:a-1", "--yes")

    assert ended == {"tokens": 1, "devices": 1}
    assert not is_valid(store, token["token"])
    assert run.json("device", "list", ann["id"]) == []


def test_a_name_cannot_write_to_the_terminal(run):
    """Nor turn around what follows it; letters of all scripts stay as they are."""
    name = "\x1b[31mRed\x1b]0;t\x07\n\u202eevil\x9bA क्\u200cष 👩\u200d🚀"
    shown = r"\x1b[31mRed\x1b]0;t\x07\n\u202eevil\x9bA क्" "\u200cष 👩\u200d🚀"

    added = run("user", "add", name).out
    table, listed = run("user", "list").out, run("user", "list", "--json")

    assert all(shown in text and "\x1b" not in text for text in (added, table))
    assert listed.json[0]["name"] == name
    assert not set("\x1b\x9b\u202e") & set(listed.out)


def test_lists_go_on_where_a_page_ended(run):
    ids = [run.json("user", "add", f"user {n}")["id"] for n in range(5)]

    first = run("user", "list", "--limit", 2, "--json")
    rest = run.json("user", "list", "--after", ids[1])

    assert [row["id"] for row in first.json] == ids[:2]
    assert f"--after {ids[1]}" in first.err
    assert [row["id"] for row in rest] == ids[2:]
    assert [row["id"] for row in run.json("user", "list", "--name", "R 3")] == [ids[3]]


def test_deleted_users_and_the_system_are_not_listed(run, store):
    ann, bo = (run.json("user", "add", name)["id"] for name in ("Ann", "Bo"))
    with store.write() as session:
        senders.system_user(session, utc_now())
        deletions.begin(session, ann, keep_texts=False, now=utc_now())

    assert [row["id"] for row in run.json("user", "list")] == [bo]


def test_tokens_end_one_by_one_or_all(run, store):
    ann = run.json("user", "add", "Ann")["id"]
    tokens = [run.json("token", "add", ann) for _ in range(3)]

    run.json("token", "end", ann, tokens[0]["id"])
    valid = [is_valid(store, each["token"]) for each in tokens]
    run.json("token", "end", ann, "--all")

    assert valid == [False, True, True]
    assert not any(is_valid(store, each["token"]) for each in tokens)
    assert run("token", "end", ann).status == 2


def test_devices_are_listed_checked_and_removed(run):
    ann, bob = (run.json("user", "add", name)["id"] for name in ("Ann", "Bob"))
    run.json("device", "add", ann, "email", "ann@example.org", "--locale", "de-AT")
    phone = run.json("device", "add", bob, "fcm", "a-token")

    assert len(run.json("device", "list")) == 2
    assert [row["id"] for row in run.json("device", "list", bob)] == [phone["id"]]
    (mail,) = run.json("device", "list", "--platform", "email")
    assert mail["locale"] == "de-AT"

    run.json("device", "end", phone["id"])

    assert run.json("device", "list", bob) == []
    assert run("device", "end", phone["id"]).err == (
        "bottlepost: There is no such device.\n"
    )


def test_a_conversation_begins_has_members_and_ends(run):
    users = [run.json("user", "add", f"user {n}")["id"] for n in range(3)]
    chat = run.json("chat", "add", "Harbour", *users, "--owner", users[0])

    (listed,) = run.json("chat", "list")
    members = run.json("chat", "members", chat["id"], "--after", users[0])

    assert (listed["id"], listed["members"]) == (chat["id"], 3)
    assert [row["id"] for row in members] == users[1:]
    assert run("chat", "end", chat["id"], answers="n\n").status == 1
    ended = run("chat", "end", chat["id"], answers="y\n")
    assert ended.status == 0
    assert " chat[" in ended.err
    assert run.json("chat", "list") == []
    assert run("chat", "members", chat["id"]).status == 1


@pytest.mark.parametrize(
    ("call", "status", "words"),
    [
        (("token", "add", "77"), 1, "do not exist. (user_ids: [77])"),
        (("token", "add", "ext:nobody"), 1, "No user has this external id."),
        (("token", "add", "ann"), 2, "a user of your backend is ext:ID"),
        (("token", "add", "9" * 40), 2, "is no number"),
        (("user", "add", "  "), 2, "name: must not be blank"),
        (("user", "add", "A", "--external-id", "a b"), 2, "external_id"),
        (("device", "add", "1", "email", "nonsense"), 2, "token:"),
        (("chat", "add", "x", "5"), 1, "do not exist"),
        (("user", "list", "--limit", "0"), 2, "--limit"),
        (("jobs", "show", "7"), 1, "There is no such job."),
        (("jobs", "retry", "7"), 1, "There is no such job."),
        (("jobs", "cancel", "7", "--yes"), 1, "There is no such job."),
        (("send-test", "7"), 1, "do not exist"),
    ],
)
def test_what_cannot_be_done_is_told_in_words(run, call, status, words):
    ran = run(*call)

    assert (ran.status, ran.out) == (status, "")
    assert words in ran.err
