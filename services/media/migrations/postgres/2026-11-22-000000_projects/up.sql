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

create table project (
    id bytea not null primary key,
    owner_id bytea not null,
    name text not null,
    media_count integer not null,
    -- What its files have, with what uploads under way have stored.
    size_bytes bigint not null,
    -- The number of the last event in it.
    last_event bigint not null,
    version bigint not null,
    create_time timestamp not null,
    update_time timestamp not null,
    delete_time timestamp,
    purge_time timestamp
);
create index project_owner on project (owner_id, id);
create index project_purge on project (purge_time) where purge_time is not null;

create table member (
    project_id bytea not null references project (id) on delete cascade,
    account_id bytea not null,
    role text not null,
    -- Whether the owner has offered them the project.
    offered boolean not null default false,
    create_time timestamp not null,
    primary key (project_id, account_id)
);
create index member_account on member (account_id, project_id);

-- What an account's projects take together.
create table usage (
    account_id bytea not null primary key,
    projects integer not null,
    size_bytes bigint not null,
    open_uploads integer not null
);

-- Bytes that are stored, once per owner.
create table blob (
    id bytea not null primary key,
    -- Nobody's when the project was handed over: then it is not looked for again.
    owner_id bytea,
    sha256 bytea not null,
    size_bytes bigint not null,
    object_key text not null unique,
    create_time timestamp not null,
    -- When it was last known to be whole, or somebody began to look.
    check_time timestamp not null,
    -- Since when it is known to be damaged.
    damage_time timestamp
);
create index blob_check on blob (check_time, id);
create unique index blob_owner_sha256 on blob (owner_id, sha256) where owner_id is not null;

create table media (
    id bytea not null primary key,
    project_id bytea not null references project (id) on delete cascade,
    blob_id bytea not null references blob (id),
    name text not null,
    kind text not null,
    content_type text not null,
    -- The type under which a browser may show it; empty: none.
    inline_type text not null,
    uploader_id bytea,
    version bigint not null,
    create_time timestamp not null,
    update_time timestamp not null
);
create index media_project on media (project_id, kind, id);
create index media_blob on media (blob_id);
create index media_uploader on media (uploader_id);

create table upload (
    id bytea not null primary key,
    project_id bytea not null references project (id) on delete cascade,
    account_id bytea not null,
    name text not null,
    kind text not null,
    content_type text not null,
    size_bytes bigint,
    sha256 bytea,
    offset_bytes bigint not null,
    part_size_bytes integer not null,
    state text not null,
    failure text not null,
    object_key text not null,
    -- The store's own name for the upload, where it has one.
    store_id text not null,
    -- The running digest.
    digest bytea not null,
    -- Who writes, and until when.
    lease_id bytea,
    lease_time timestamp,
    media_id bytea,
    create_time timestamp not null,
    expire_time timestamp not null,
    end_time timestamp
);
create index upload_project on upload (project_id, id);
create index upload_account on upload (account_id);
create index upload_expire on upload (expire_time) where end_time is null;
create index upload_end on upload (end_time) where end_time is not null;

create table upload_part (
    upload_id bytea not null references upload (id) on delete cascade,
    number integer not null,
    size_bytes integer not null,
    -- The running digest behind the part.
    digest bytea not null,
    -- The store's own name for the part.
    content_id text not null,
    primary key (upload_id, number)
);

-- Objects, finished or not, that nothing refers to any more.
create table garbage (
    id bytea not null primary key,
    object_key text not null,
    store_id text not null,
    -- Whose bytes they were. The erasure of their account waits for it.
    account_id bytea,
    due_time timestamp not null,
    attempts integer not null,
    create_time timestamp not null
);
create index garbage_due on garbage (due_time);
create index garbage_account on garbage (account_id) where account_id is not null;

create table event (
    project_id bytea not null references project (id) on delete cascade,
    number bigint not null,
    kind text not null,
    upload_id bytea,
    media_id bytea,
    create_time timestamp not null,
    primary key (project_id, number)
);
create index event_create_time on event (create_time);

-- What was asked for with a key, for a day.
create table request (
    account_id bytea not null,
    idempotency_key text not null,
    body_hash bytea not null,
    -- The project or the upload that was made.
    object_id bytea not null,
    create_time timestamp not null,
    primary key (account_id, idempotency_key)
);
create index request_create_time on request (create_time);
