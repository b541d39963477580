-- What logs and the audit log call an account: nothing leads back once its row is gone.
alter table account add column pseudonym blob not null default x'';
update account set pseudonym = randomblob(16);
create unique index account_pseudonym on account (pseudonym);

-- The number of the account's newest change in the feed; none before it is first used.
alter table account add column change_number bigint;
update account set change_number = numbered.number
from (select id, row_number() over (order by id) as number from account where state <> 'PENDING') numbered
where numbered.id = account.id;
create unique index account_change_number on account (change_number);

create table feed (
    name text not null primary key,
    number bigint not null
);
insert into feed (name, number) select 'account', coalesce(max(change_number), 0) from account;

create table profile (
    account_id blob not null primary key references account (id) on delete cascade,
    first_name text not null,
    last_name text not null,
    gender text not null,
    date_of_birth text not null,
    info text not null,
    avatar_url text not null,
    avatar_media_id text not null,
    sort_key text not null,
    listed boolean not null,
    update_time timestamp not null
);
insert into profile
select id, '', '', '', '', '', '', '', char(1114111), state = 'ACTIVE', create_time from account;
create index profile_listed on profile (sort_key, account_id) where listed;

create table device (
    id blob not null primary key,
    account_id blob not null references account (id) on delete cascade,
    user_agent text not null,
    create_time timestamp not null,
    last_use_time timestamp not null
);
create index device_account on device (account_id, last_use_time);

alter table session add column device_id blob;
alter table session add column device_name text not null default '';
alter table session add column amr text not null default 'pwd';
alter table session add column actor text not null default '';
create index session_actor on session (actor) where actor <> '';

alter table challenge add column new_email text;
alter table challenge add column new_email_key text;
alter table challenge add column session_id blob;
create index challenge_new_email_key on challenge (new_email_key) where new_email_key is not null;

-- A second factor or a passkey; room for them, nothing fills it yet.
create table factor (
    id blob not null primary key,
    account_id blob not null references account (id) on delete cascade,
    kind text not null,
    label text not null,
    sealed_secret blob not null,
    create_time timestamp not null,
    confirm_time timestamp,
    last_use_time timestamp
);
create index factor_account on factor (account_id);

create table audit_event (
    id blob not null primary key,
    create_time timestamp not null,
    action text not null,
    actor text not null,
    actor_pseudonym blob,
    subject_pseudonym blob,
    client_address text not null,
    user_agent text not null,
    request_id text not null,
    details text not null
);
create index audit_event_actor on audit_event (actor_pseudonym, id);
create index audit_event_subject on audit_event (subject_pseudonym, id);
create index audit_event_action on audit_event (action, id);

create table erasure (
    id blob not null primary key,
    account_id blob unique,
    secret_hash blob not null,
    create_time timestamp not null,
    complete_time timestamp
);
create index erasure_complete_time on erasure (complete_time);

create table erasure_context (
    erasure_id blob not null references erasure (id) on delete cascade,
    context text not null,
    removed text not null,
    done_time timestamp,
    primary key (erasure_id, context)
);

create table client (
    id blob not null primary key,
    name text not null unique,
    key_hash blob not null,
    scopes text not null,
    create_time timestamp not null,
    last_use_time timestamp
);

-- Whom a job is about: it goes with the account.
alter table outbox add column account_id blob;
create index outbox_account on outbox (account_id) where account_id is not null;

-- Mails are counted for each purpose: what strangers ask for uses up nobody's mails for anything else.
create table mail_budget (
    account_id blob not null references account (id) on delete cascade,
    purpose text not null,
    count integer not null,
    begin_time timestamp not null,
    primary key (account_id, purpose)
);
alter table account drop column mails;
alter table account drop column mails_time;

-- What an account was reached by before: an erasure forgets the mails to it.
create table former_address (
    account_id blob not null references account (id) on delete cascade,
    email text not null,
    primary key (account_id, email)
);
