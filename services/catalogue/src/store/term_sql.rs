//! The texts of the statements about terms, for each kind.

use super::filing::Kind;
use crate::term::Term;

/// Texts that values are put behind, or between.
pub struct Sql {
    pub find: &'static str,
    pub count: &'static str,
    pub movies: &'static str,
    pub named: &'static str,
    pub insert: &'static str,
    pub rename: &'static str,
    pub settle: &'static str,
    pub which: &'static str,
    pub delete: &'static str,
    pub being_renamed: &'static str,
    /// Copies what is filed under one term to another, but not what is there already, and removes it.
    pub moves: [[&'static str; 2]; 3],
}

pub fn sql(term: Term) -> &'static Sql {
    match term {
        Term::Filed(Kind::Genre, _) => &GENRE,
        Term::Filed(Kind::Actor, _) => &ACTOR,
        Term::Filed(Kind::Language, _) => &LANGUAGE,
        Term::Country(_) => &COUNTRY,
    }
}

const GENRE: Sql = Sql {
    find: "select name, old_name from genre where genre_id = ",
    count: "select count(*) from movie_genre where genre_id = ",
    movies: "select movie_id from movie_genre where genre_id = ",
    named: "select count(*) from genre where name = ",
    insert: "insert into genre (genre_id, name, name_key) values (",
    rename: "update genre set old_name = name, name = ",
    settle: "update genre set old_name = null",
    which: " where genre_id = ",
    delete: "delete from genre where genre_id = ",
    being_renamed: "select genre_id from genre where old_name is not null",
    moves: [
        ["insert into movie_genre (genre_id, movie_id) select ", ", f.movie_id from movie_genre f where f.genre_id = "],
        [" and not exists (select 1 from movie_genre g where g.genre_id = ", " and g.movie_id = f.movie_id)"],
        ["delete from movie_genre where genre_id = ", " and movie_id <= "],
    ],
};

const ACTOR: Sql = Sql {
    find: "select name, old_name from actor where actor_id = ",
    count: "select count(*) from movie_actor where actor_id = ",
    movies: "select movie_id from movie_actor where actor_id = ",
    named: "select count(*) from actor where name = ",
    insert: "insert into actor (actor_id, name, name_key) values (",
    rename: "update actor set old_name = name, name = ",
    settle: "update actor set old_name = null",
    which: " where actor_id = ",
    delete: "delete from actor where actor_id = ",
    being_renamed: "select actor_id from actor where old_name is not null",
    moves: [
        ["insert into movie_actor (actor_id, movie_id) select ", ", f.movie_id from movie_actor f where f.actor_id = "],
        [" and not exists (select 1 from movie_actor g where g.actor_id = ", " and g.movie_id = f.movie_id)"],
        ["delete from movie_actor where actor_id = ", " and movie_id <= "],
    ],
};

const LANGUAGE: Sql = Sql {
    find: "select name, old_name from language where language_id = ",
    count: "select count(*) from movie_language where language_id = ",
    movies: "select movie_id from movie_language where language_id = ",
    named: "select count(*) from language where name = ",
    insert: "insert into language (language_id, name, name_key) values (",
    rename: "update language set old_name = name, name = ",
    settle: "update language set old_name = null",
    which: " where language_id = ",
    delete: "delete from language where language_id = ",
    being_renamed: "select language_id from language where old_name is not null",
    moves: [
        [
            "insert into movie_language (language_id, movie_id) select ",
            ", f.movie_id from movie_language f where f.language_id = ",
        ],
        [" and not exists (select 1 from movie_language g where g.language_id = ", " and g.movie_id = f.movie_id)"],
        ["delete from movie_language where language_id = ", " and movie_id <= "],
    ],
};

pub const COUNTRY: Sql = Sql {
    find: "select name, old_name from country where country_code = ",
    count: "select count(*) from movie where country_code = ",
    movies: "select movie_id from movie where country_code = ",
    named: "select count(*) from country where name = ",
    insert: "insert into country (country_code, name, name_key) values (",
    rename: "update country set old_name = name, name = ",
    settle: "update country set old_name = null",
    which: " where country_code = ",
    delete: "delete from country where country_code = ",
    being_renamed: "select country_code from country where old_name is not null",
    moves: [[""; 2]; 3],
};
