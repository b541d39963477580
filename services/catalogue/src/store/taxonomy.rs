//! Genres, actors, languages and countries.

use diesel::dsl::exists;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::db::DbError;
use quartet_chassis::id::Id;
use quartet_chassis::names::NameList;
use quartet_chassis::on;

use super::Store;
use crate::schema::{actor, country, genre, language, movie};

/// A genre, an actor or a language: its id, its name, and the name as it is sorted.
pub type NameRow = (Id, String, String);
/// A country: its code, its name, and the name as it is sorted.
pub type CountryRow = (String, String, String);

impl Store {
    pub async fn genres(&self, list: &NameList<Id>) -> Result<Vec<NameRow>, DbError> {
        let conn = &mut self.db.read().await?;
        on!(conn, |db| genre::table
            .filter(genre::name_key.ge(&list.from).and(genre::name_key.lt(&list.before)))
            .filter(genre::name_key.gt(&list.from).or(genre::genre_id.gt(list.id)))
            .order((genre::name_key, genre::genre_id))
            .select((genre::genre_id, genre::name, genre::name_key))
            .limit(list.size + 1)
            .load(db)
            .await)
    }

    pub async fn actors(&self, list: &NameList<Id>) -> Result<Vec<NameRow>, DbError> {
        let conn = &mut self.db.read().await?;
        on!(conn, |db| actor::table
            .filter(actor::name_key.ge(&list.from).and(actor::name_key.lt(&list.before)))
            .filter(actor::name_key.gt(&list.from).or(actor::actor_id.gt(list.id)))
            .order((actor::name_key, actor::actor_id))
            .select((actor::actor_id, actor::name, actor::name_key))
            .limit(list.size + 1)
            .load(db)
            .await)
    }

    pub async fn languages(&self, list: &NameList<Id>) -> Result<Vec<NameRow>, DbError> {
        let conn = &mut self.db.read().await?;
        on!(conn, |db| language::table
            .filter(language::name_key.ge(&list.from).and(language::name_key.lt(&list.before)))
            .filter(language::name_key.gt(&list.from).or(language::language_id.gt(list.id)))
            .order((language::name_key, language::language_id))
            .select((language::language_id, language::name, language::name_key))
            .limit(list.size + 1)
            .load(db)
            .await)
    }

    /// The countries that have movies.
    pub async fn countries(&self, list: &NameList<String>) -> Result<Vec<CountryRow>, DbError> {
        let conn = &mut self.db.read().await?;
        on!(conn, |db| country::table
            .filter(country::name_key.ge(&list.from).and(country::name_key.lt(&list.before)))
            .filter(country::name_key.gt(&list.from).or(country::country_code.gt(&list.id)))
            .filter(exists(movie::table.filter(movie::country_code.eq(country::country_code.nullable()))))
            .order((country::name_key, country::country_code))
            .select((country::country_code, country::name, country::name_key))
            .limit(list.size + 1)
            .load(db)
            .await)
    }
}
