-- The number of a movie's last change. Movies from before have 0, until the catalogue fills the search index with them.
alter table movie add column change_number bigint not null default 0;
create index movie_by_change on movie (change_number, movie_id);

-- Up to which number deletions are forgotten, and with which version of its rules the search index is complete.
alter table movie_state add column forgotten bigint not null default 0;
alter table movie_state add column search_version integer not null default 0;

create table movie_gone (
    movie_id bytea primary key,
    change_number bigint not null,
    delete_time timestamp not null
);
create index movie_gone_by_change on movie_gone (change_number, movie_id);

-- While a name is being changed in the movies' rows: the name that some of them still have.
alter table genre add column old_name text collate "C";
alter table actor add column old_name text collate "C";
alter table language add column old_name text collate "C";
alter table country add column old_name text collate "C";
create index genre_being_renamed on genre (old_name) where old_name is not null;
create index actor_being_renamed on actor (old_name) where old_name is not null;
create index language_being_renamed on language (old_name) where old_name is not null;
create index country_being_renamed on country (old_name) where old_name is not null;

-- What a search reads of each movie that it finds.
create table movie_search (
    movie_id bytea primary key,
    words tsvector not null,
    titles text not null,
    genres text not null,
    languages text not null,
    country_code text collate "C",
    release_year integer not null,
    status integer not null,
    score double precision not null
);
create index movie_search_by_words on movie_search using gin (words);
