//! What is removed from courses when somebody's account is erased.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use quartet_chassis::clock::Time;
use quartet_chassis::db::{Conn, DbError};
use quartet_chassis::id::Id;
use quartet_chassis::on;

use super::account::Removed;
use crate::schema::{
    assessment, course, course_request, course_teacher, enrolment, invitation, quiz_attempt, submission,
};

/// Removes whatever courses keep of somebody, and counts it by kind. What they have made for others stays without their name: courses
/// with a co-teacher, and what they have said of others' work.
pub async fn erase(conn: &mut Conn, id: Id, email_key: &str, now: Time, removed: &mut Removed) -> Result<(), DbError> {
    let courses = leave_courses(conn, id, now).await?;
    let said = assessment::table.filter(assessment::teacher_id.eq(id));
    on!(conn, |db| diesel::update(said).set(assessment::teacher_id.eq(None::<Id>)).execute(db).await)?;
    let decided = enrolment::table.filter(enrolment::override_teacher_id.eq(id));
    on!(conn, |db| diesel::update(decided).set(enrolment::override_teacher_id.eq(None::<Id>)).execute(db).await)?;

    let asked = course_request::table.filter(course_request::account_id.eq(id));
    let requests = on!(conn, |db| diesel::delete(asked).execute(db).await)?;
    let taught = course_teacher::table.filter(course_teacher::account_id.eq(id));
    let teachers = on!(conn, |db| diesel::delete(taught).execute(db).await)?;
    let meant = invitation::table.filter(invitation::account_id.eq(id));
    let mut invitations = on!(conn, |db| diesel::delete(meant).execute(db).await)?;
    let meant = invitation::table.filter(invitation::email_key.eq(email_key));
    invitations += on!(conn, |db| diesel::delete(meant).execute(db).await)?;
    // First the enrolments, which whoever hands something in holds: nothing comes behind what is deleted after them.
    let own = enrolment::table.filter(enrolment::student_id.eq(id));
    let enrolments = on!(conn, |db| diesel::delete(own).execute(db).await)?;
    let own = assessment::table.filter(assessment::student_id.eq(id));
    let assessments = on!(conn, |db| diesel::delete(own).execute(db).await)?;
    let own = quiz_attempt::table.filter(quiz_attempt::student_id.eq(id));
    let attempts = on!(conn, |db| diesel::delete(own).execute(db).await)?;
    let own = submission::table.filter(submission::student_id.eq(id));
    let submissions = on!(conn, |db| diesel::delete(own).execute(db).await)?;

    for (kind, count) in [
        ("assessment", assessments),
        ("course", courses),
        ("course_request", requests),
        ("course_teacher", teachers),
        ("enrolment", enrolments),
        ("invitation", invitations),
        ("quiz_attempt", attempts),
        ("submission", submissions),
    ] {
        if count > 0 {
            removed.insert(kind.to_owned(), i32::try_from(count).unwrap_or(i32::MAX));
        }
    }
    Ok(())
}

/// Gives somebody's courses to whoever has taught them with them for the longest, deletes those that nobody has, and answers how many
/// those were.
async fn leave_courses(conn: &mut Conn, id: Id, now: Time) -> Result<usize, DbError> {
    let owned = course::table.filter(course::owner_id.eq(id)).order(course::id).select(course::id);
    let owned: Vec<Id> = on!(conn, |db| owned.load(db).await)?;
    let mut deleted = 0;
    for own in owned {
        // First the course, as everybody does who changes who teaches it.
        let still = course::table.find(own).filter(course::owner_id.eq(id));
        let lock = diesel::update(still).set(course::version.eq(course::version + 1));
        if on!(conn, |db| lock.execute(db).await)? == 0 {
            // It has been given to somebody else meanwhile.
            continue;
        }
        let heir = course_teacher::table
            .filter(course_teacher::course_id.eq(own))
            .filter(course_teacher::account_id.ne(id))
            .order((course_teacher::create_time, course_teacher::account_id))
            .select(course_teacher::account_id);
        let heir: Option<Id> = on!(conn, |db| heir.first(db).await.optional())?;
        match heir {
            Some(heir) => pass(conn, own, heir, now).await?,
            None => deleted += delete(conn, own).await?,
        }
    }
    Ok(deleted)
}

async fn pass(conn: &mut Conn, own: Id, heir: Id, now: Time) -> Result<(), DbError> {
    let theirs = (course::owner_id.eq(heir), course::update_time.eq(now));
    on!(conn, |db| diesel::update(course::table.find(own)).set(theirs).execute(db).await)?;
    on!(conn, |db| diesel::delete(course_teacher::table.find((own, heir))).execute(db).await).map(drop)
}

/// Deletes a course with all that is in it.
async fn delete(conn: &mut Conn, own: Id) -> Result<usize, DbError> {
    let asked = course_request::table.filter(course_request::course_id.eq(own));
    on!(conn, |db| diesel::delete(asked).execute(db).await)?;
    on!(conn, |db| diesel::delete(course::table.find(own)).execute(db).await)
}
