create table account (
    id blob not null primary key,
    email text not null,
    email_key text not null unique,
    email_verified boolean not null,
    password_hash text not null,
    state text not null,
    epoch bigint not null,
    code_failures integer not null,
    code_failures_time timestamp not null,
    mails integer not null,
    mails_time timestamp not null,
    sign_in_time timestamp,
    create_time timestamp not null
);
create index account_state on account (state, create_time);

create table account_role (
    account_id blob not null references account (id) on delete cascade,
    role text not null,
    create_time timestamp not null,
    primary key (account_id, role)
);

create table challenge (
    id blob not null primary key,
    account_id blob not null references account (id) on delete cascade,
    purpose text not null,
    token_hash blob not null,
    code_hash blob not null,
    tries integer not null,
    grant_hash blob,
    grant_expire_time timestamp,
    create_time timestamp not null,
    expire_time timestamp not null,
    used_time timestamp,
    unique (account_id, purpose)
);
create index challenge_expire_time on challenge (expire_time);

create table session (
    id blob not null primary key,
    account_id blob not null references account (id) on delete cascade,
    generation bigint not null,
    rotate_time timestamp not null,
    idle_expire_time timestamp not null,
    expire_time timestamp not null,
    last_use_time timestamp not null,
    create_time timestamp not null,
    client_address text not null,
    user_agent text not null
);
create index session_account on session (account_id, id);
create index session_idle_expire_time on session (idle_expire_time);
create index session_expire_time on session (expire_time);

create table revocation (
    id blob not null primary key,
    target text not null,
    expire_time timestamp not null,
    create_time timestamp not null,
    published boolean not null
);
create index revocation_expire_time on revocation (expire_time);
create index revocation_create_time on revocation (create_time);
create index revocation_unpublished on revocation (published) where not published;

create table signing_key (
    id text not null primary key,
    public_key blob not null,
    sealed_seed blob not null,
    create_time timestamp not null,
    sign_time timestamp not null,
    retire_time timestamp
);

create table lease (
    name text not null primary key,
    holder blob not null,
    expire_time timestamp not null
);

create table outbox (
    id blob not null primary key,
    kind text not null,
    payload blob not null,
    due_time timestamp not null,
    attempts integer not null,
    lease_time timestamp,
    create_time timestamp not null,
    done_time timestamp
);
create index outbox_due_time on outbox (due_time) where done_time is null;
