create table movie (
    movie_id blob not null primary key,
    name text not null,
    name_key text not null,
    original_name text not null,
    release_date text not null,
    score double not null,
    overview text not null,
    status integer not null,
    budget_cents bigint not null,
    revenue_cents bigint not null,
    country_code text,
    country_name text,
    genres text not null,
    actors text not null,
    languages text not null,
    create_time timestamp not null,
    update_time timestamp not null,
    unique (name, release_date)
);
-- One index per order; equal ones come the newest id first, whichever way the order goes. Equal names and dates are few and are
-- sorted as they come, equal scores are many: hence the second index on the score.
create index movie_by_name on movie (name_key, movie_id desc);
create index movie_by_release_date on movie (release_date, movie_id);
create index movie_by_score on movie (score, movie_id);
create index movie_by_least_score on movie (score, movie_id desc);
create index movie_by_country on movie (country_code, movie_id);

create table genre (
    genre_id blob not null primary key,
    name text not null,
    name_key text not null,
    unique (name)
) without rowid;
create index genre_by_name on genre (name_key, genre_id);

create table actor (
    actor_id blob not null primary key,
    name text not null,
    name_key text not null,
    unique (name)
) without rowid;
create index actor_by_name on actor (name_key, actor_id);

create table language (
    language_id blob not null primary key,
    name text not null,
    name_key text not null,
    unique (name)
) without rowid;
create index language_by_name on language (name_key, language_id);

create table country (
    country_code text not null primary key,
    name text not null,
    name_key text not null
) without rowid;

create table movie_genre (
    genre_id blob not null,
    movie_id blob not null,
    primary key (genre_id, movie_id)
) without rowid;

create table movie_actor (
    actor_id blob not null,
    movie_id blob not null,
    primary key (actor_id, movie_id)
) without rowid;

create table movie_language (
    language_id blob not null,
    movie_id blob not null,
    primary key (language_id, movie_id)
) without rowid;

create table movie_state (
    state_id integer not null primary key,
    version bigint not null
);
insert into movie_state (state_id, version) values (1, 0);
