create table movie (
    movie_id bytea primary key,
    name text collate "C" not null,
    name_key text collate "C" not null,
    original_name text not null,
    release_date text collate "C" not null,
    score double precision not null,
    overview text not null,
    status integer not null,
    budget_cents bigint not null,
    revenue_cents bigint not null,
    country_code text collate "C",
    country_name text,
    genres text not null,
    actors text not null,
    languages text not null,
    create_time timestamp not null,
    update_time timestamp not null,
    constraint movie_name_release_date_key unique (name, release_date)
);
-- One index per order; equal ones come the newest id first, whichever way the order goes. Equal names and dates are few and are
-- sorted as they come, equal scores are many: hence the second index on the score.
create index movie_by_name on movie (name_key, movie_id desc);
create index movie_by_release_date on movie (release_date, movie_id);
create index movie_by_score on movie (score, movie_id);
create index movie_by_least_score on movie (score, movie_id desc);
create index movie_by_country on movie (country_code, movie_id);

create table genre (
    genre_id bytea primary key,
    name text collate "C" not null,
    name_key text collate "C" not null,
    constraint genre_name_key unique (name)
);
create index genre_by_name on genre (name_key, genre_id);

create table actor (
    actor_id bytea primary key,
    name text collate "C" not null,
    name_key text collate "C" not null,
    constraint actor_name_key unique (name)
);
create index actor_by_name on actor (name_key, actor_id);

create table language (
    language_id bytea primary key,
    name text collate "C" not null,
    name_key text collate "C" not null,
    constraint language_name_key unique (name)
);
create index language_by_name on language (name_key, language_id);

create table country (
    country_code text collate "C" primary key,
    name text collate "C" not null,
    name_key text collate "C" not null
);

create table movie_genre (
    genre_id bytea not null,
    movie_id bytea not null,
    primary key (genre_id, movie_id)
);

create table movie_actor (
    actor_id bytea not null,
    movie_id bytea not null,
    primary key (actor_id, movie_id)
);

create table movie_language (
    language_id bytea not null,
    movie_id bytea not null,
    primary key (language_id, movie_id)
);

create table movie_state (
    state_id integer primary key,
    version bigint not null
);
insert into movie_state (state_id, version) values (1, 0);
