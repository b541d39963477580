-- What is known here of accounts, from identity's feed. Nothing refers to it: it may lag.
create table account (
    id blob not null primary key,
    email text not null,
    first_name text not null,
    last_name text not null,
    avatar_url text not null,
    avatar_media_id text not null,
    state text not null
) without rowid;

-- The number of the last change that was taken over.
create table account_cursor (
    name text not null primary key,
    number bigint not null
);
insert into account_cursor (name, number) values ('account', 0);

-- What was removed for accounts that were deleted, until identity has been told.
create table erasure (
    id blob not null primary key,
    removed text not null,
    create_time timestamp not null
);
