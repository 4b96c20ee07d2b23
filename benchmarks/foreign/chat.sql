-- The tables of the plain chat server that the rivals of `others` share.
CREATE TABLE account (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    token text NOT NULL UNIQUE
);
CREATE TABLE member (
    chat_id bigint NOT NULL,
    account_id bigint NOT NULL REFERENCES account,
    PRIMARY KEY (chat_id, account_id)
);
CREATE TABLE device (
    id bigint PRIMARY KEY,
    account_id bigint NOT NULL REFERENCES account,
    token text NOT NULL
);
CREATE INDEX ON device (account_id);
CREATE TABLE message (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    chat_id bigint NOT NULL,
    sender_id bigint NOT NULL REFERENCES account,
    text text NOT NULL,
    sent_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON message (chat_id, id);
