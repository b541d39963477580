-- What is known of accounts, from identity's feed.
create table account (
    id bytea not null primary key,
    email text not null,
    -- The address as it is compared.
    email_key text not null,
    email_verified boolean not null,
    first_name text not null,
    last_name text not null,
    avatar_url text not null,
    avatar_media_id text not null,
    state text not null
);
create index account_email_key on account (email_key);
-- Accounts that were deleted within the last day: of their ids, what can't be read back.
create table account_gone (
    tag bytea not null primary key,
    create_time timestamp not null
);
create index account_gone_create_time on account_gone (create_time);
create table account_cursor (
    name text not null primary key,
    number bigint not null
);
insert into account_cursor (name, number) values ('account', 0);
-- What was removed for erasures that identity has not heard of yet.
create table erasure (
    id bytea not null primary key,
    removed text not null,
    create_time timestamp not null,
    -- Of whom it removes everything, until that is done.
    account_id bytea
);

create table conversation (
    id bytea not null primary key,
    kind text not null,
    -- Of a direct one: the two accounts, the lesser first, as hexadecimal digits.
    direct_key text unique,
    name text not null,
    participant_count integer not null,
    last_seq bigint not null,
    last_change bigint not null,
    -- From which on changes are kept.
    first_change bigint not null,
    version bigint not null,
    create_time timestamp not null,
    activity_time timestamp not null
);
-- Nobody takes part in these any more.
create index conversation_left on conversation (id) where participant_count = 0;

create table member (
    conversation_id bytea not null references conversation (id) on delete cascade,
    account_id bytea not null,
    role text not null,
    -- They see what has a higher number.
    joined_seq bigint not null,
    joined_change bigint not null,
    cleared_seq bigint not null,
    delivered_seq bigint not null,
    read_seq bigint not null,
    favorite boolean not null,
    -- The place among the pinned ones.
    pin_number bigint,
    muted_until timestamp,
    -- Whether they have written something there, …
    has_written boolean not null,
    -- … and whether they have begun it.
    began boolean not null,
    -- Of a direct one: whether they have blocked the other, or the other them. Written with the row of `block`.
    blocks boolean not null,
    blocked boolean not null,
    create_time timestamp not null,
    primary key (conversation_id, account_id)
);
create index member_account on member (account_id, conversation_id);
create index member_place on member (conversation_id, create_time, account_id);

create table message (
    conversation_id bytea not null references conversation (id) on delete cascade,
    seq bigint not null,
    id bytea not null unique,
    -- Nobody's when the account is gone.
    sender_id bytea,
    client_message_id text not null,
    -- What was asked for with that id, so that something else under it is noticed.
    request_hash bytea not null,
    body text not null,
    -- A JSON object with attachments and mentions; empty where there are none.
    extras text not null,
    -- A JSON array with how many have reacted how, and the first ten of each; empty where nobody has.
    reactions text not null,
    reply_to_seq bigint not null,
    is_deleted boolean not null,
    -- Whether the search knows this state of it.
    is_indexed boolean not null,
    version bigint not null,
    send_time timestamp not null,
    edit_time timestamp,
    primary key (conversation_id, seq)
);
create unique index message_sender_id_client_message_id_key on message (sender_id, client_message_id) where sender_id is not null;
create index message_unindexed on message (id) where not is_indexed;
create index message_send_time on message (send_time);

create table mention (
    conversation_id bytea not null references conversation (id) on delete cascade,
    account_id bytea not null,
    seq bigint not null,
    primary key (conversation_id, account_id, seq)
);
create index mention_account on mention (account_id);

create table reaction (
    conversation_id bytea not null references conversation (id) on delete cascade,
    seq bigint not null,
    emoji text not null,
    account_id bytea not null,
    create_time timestamp not null,
    primary key (conversation_id, seq, emoji, account_id)
);
create index reaction_account on reaction (account_id);

-- What a message said before.
create table edit (
    conversation_id bytea not null references conversation (id) on delete cascade,
    seq bigint not null,
    version bigint not null,
    body text not null,
    replace_time timestamp not null,
    primary key (conversation_id, seq, version)
);

-- What has happened in a conversation, numbered without gaps.
create table change (
    conversation_id bytea not null references conversation (id) on delete cascade,
    number bigint not null,
    kind text not null,
    -- The message that it is about; 0 for none.
    seq bigint not null,
    -- Who did it.
    account_id bytea,
    -- The accounts that it is about, or a name; empty where a message says all.
    subject text not null,
    create_time timestamp not null,
    primary key (conversation_id, number)
);
create index change_account on change (account_id);
-- The others go with their messages.
create index change_create_time on change (create_time) where kind <> 'SENT';

-- The accounts that a change is about, so that their erasure finds it.
create table change_subject (
    conversation_id bytea not null,
    number bigint not null,
    account_id bytea not null,
    primary key (conversation_id, number, account_id),
    foreign key (conversation_id, number) references change (conversation_id, number) on delete cascade
);
create index change_subject_account on change_subject (account_id);

-- How many conversations an account takes part in that it has begun.
create table usage (
    account_id bytea not null primary key,
    conversation_count integer not null
);

-- From whom an account accepts nothing.
create table block (
    account_id bytea not null,
    blocked_id bytea not null,
    create_time timestamp not null,
    primary key (account_id, blocked_id)
);
create index block_blocked on block (blocked_id);

-- Who has left a group by themselves, and is not added again for a while.
create table departure (
    conversation_id bytea not null references conversation (id) on delete cascade,
    account_id bytea not null,
    leave_time timestamp not null,
    primary key (conversation_id, account_id)
);
create index departure_account on departure (account_id);
create index departure_leave_time on departure (leave_time);

-- Whom an account has named by which address.
create table addressed (
    account_id bytea not null,
    person_id bytea not null,
    email_key text not null,
    primary key (account_id, person_id)
);
create index addressed_person on addressed (person_id);

create table device (
    id bytea not null primary key,
    account_id bytea not null,
    session_id bytea not null,
    name text not null,
    kind text not null,
    -- Where pushes go, as JSON, sealed.
    target bytea not null,
    -- Names the target, so that it is registered once.
    target_tag bytea not null unique,
    create_time timestamp not null,
    push_time timestamp
);
create index device_account on device (account_id);
create index device_session on device (session_id);

-- What was asked for with a key, for a day.
create table request (
    account_id bytea not null,
    idempotency_key text not null,
    body_hash bytea not null,
    object_id bytea not null,
    create_time timestamp not null,
    primary key (account_id, idempotency_key)
);
create index request_create_time on request (create_time);

-- Pushes to send.
create table outbox (
    id bytea not null primary key,
    kind text not null,
    payload bytea not null,
    due_time timestamp not null,
    attempts integer not null,
    lease_time timestamp,
    create_time timestamp not null,
    done_time timestamp,
    account_id bytea
);
create index outbox_due_time on outbox (kind, due_time) where done_time is null;
create index outbox_account on outbox (account_id) where account_id is not null;

-- The words of a message that can be found. On SQLite a virtual table has them.
create table message_words (
    id bytea not null primary key references message (id) on delete cascade,
    words tsvector not null
);
create index message_words_words on message_words using gin (words);
