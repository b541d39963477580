//! The students of a course with their work, part by part.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Binary, Bool, Text};
use diesel_async::RunQueryDsl;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::Store;
use super::course_right::{must_teach, right_in};
use super::enrolment::{EnrolmentRow, Student, students};
use super::work::{Column, columns};
use crate::class::ClassList;
use crate::error::Error;
use crate::right::Asker;
use crate::schema::enrolment;

/// A part of a class.
pub struct Class {
    pub columns: Vec<Column>,
    pub students: Vec<Student>,
    pub more: bool,
}

impl Class {
    /// The part behind this one, if there is one.
    pub fn next(&self, list: &ClassList) -> Option<ClassList> {
        let last = self.students.last().filter(|_| self.more);
        last.map(|last| list.behind(&last.row.name_key, last.row.student_id))
    }
}

impl Store {
    /// A part of a class, for a teacher: as many students as asked for, or fewer when there are many blocks. At one moment: who is renamed
    /// meanwhile stands where the name belongs that is shown.
    pub async fn class(&self, course: Id, asker: &Asker, list: &ClassList) -> Result<Class, Error> {
        self.db
            .long_snapshot(async |conn| {
                must_teach(right_in(conn, course, asker).await?, course)?;
                Ok::<_, Error>(part(conn, course, list).await?)
            })
            .await
    }

    /// The same, and how many students there are in all: those of the time when the first part was read.
    pub async fn counted_class(&self, course: Id, asker: &Asker, list: &ClassList) -> Result<(Class, i64), Error> {
        self.db
            .long_snapshot(async |conn| {
                must_teach(right_in(conn, course, asker).await?, course)?;
                let total = match list.total {
                    Some(total) => total,
                    None => count(conn, course).await?,
                };
                Ok::<_, Error>((part(conn, course, list).await?, total))
            })
            .await
    }
}

async fn part(conn: &mut Conn, course: Id, list: &ClassList) -> Result<Class, DbError> {
    let columns = columns(conn, course).await?;
    let size = list.rows(columns.len());
    let mut rows: Vec<EnrolmentRow> = on!(conn, |db| {
        let behind = sql::<Bool>("(enrolment.name_key, enrolment.student_id) > (").bind::<Text, _>(&list.name);
        let behind = behind.sql(", ").bind::<Binary, _>(list.id).sql(")");
        enrolment::table
            .filter(enrolment::course_id.eq(course))
            .filter(enrolment::active)
            .filter(behind)
            .order((enrolment::name_key, enrolment::student_id))
            .limit(size + 1)
            .select(EnrolmentRow::as_select())
            .load(db)
            .await
    })?;
    let size = usize::try_from(size).unwrap_or_default();
    let more = rows.len() > size;
    rows.truncate(size);
    let students = students(conn, course, rows, &columns).await?;
    Ok(Class { columns, students, more })
}

async fn count(conn: &mut Conn, course: Id) -> Result<i64, DbError> {
    let all = enrolment::table.filter(enrolment::course_id.eq(course)).filter(enrolment::active).count();
    on!(conn, |db| all.get_result(db).await)
}
