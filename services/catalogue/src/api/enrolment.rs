//! `EnrolmentService`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use quartet_chassis::accounts::address::address;
use quartet_chassis::caller::Caller;
use quartet_chassis::clock::timestamp;
use quartet_chassis::crypt::{Tagger, equal};
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::page;
use quartet_chassis::parts::Parts;
use quartet_chassis::throttle::{Bucket, Quota, Throttle};
use quartet_proto::catalogue::v1::enrolment_service_server::EnrolmentService;
use quartet_proto::catalogue::v1::*;
use tonic::{Request, Response, Status};

use super::ask::{course, whose};
use crate::class::ClassList;
use crate::error::Error;
use crate::progress::{self, Work, Works};
use crate::right::Asker;
use crate::store::Store;
use crate::store::enrolment::Student;
use crate::store::invitation::{InvitationRow, Invited};
use crate::store::work::Column;

/// How many wrong codes somebody may try for a course, and how soon another one.
const CODES: Quota = Quota { burst: 10, refill_every: TimeDelta::minutes(6) };
/// The longest code.
const CODE_LENGTH: usize = 64;
/// How many people are invited at once.
const INVITED: usize = 100;

pub struct EnrolmentApi {
    store: Store,
    throttle: Throttle,
    tagger: Tagger,
}

impl EnrolmentApi {
    pub fn new(store: Store, parts: &Parts) -> EnrolmentApi {
        EnrolmentApi { store, throttle: parts.throttle.clone(), tagger: parts.master.tagger("enrolment codes") }
    }

    /// The bucket of the codes that somebody tries for a course.
    fn bucket(&self, student: Id, course: Id) -> Bucket {
        let tag = self.tagger.tag(&[b"tries", student.as_bytes(), course.as_bytes()]);
        Bucket { key: URL_SAFE_NO_PAD.encode(tag), quota: CODES }
    }

    /// Whether a code is the course's, in a time that tells nothing of it. No code is none's.
    fn is_code(&self, given: &str, code: &str) -> bool {
        let tag = |code: &str| self.tagger.tag(&[b"code", code.as_bytes()]);
        !code.is_empty() && equal(&tag(given), &tag(code))
    }

    /// Enrols with a code. Only wrong ones count.
    async fn enrol_with_code(&self, course: Id, caller: &Caller, code: &str) -> Result<Student, Error> {
        let (student, asker) = (caller.account_id, Asker::from(caller));
        let bucket = self.bucket(student, course);
        self.throttle.take(&bucket).await.map_err(Error::CodesRateLimited)?;
        let enrolled = self.store.enrol(course, student, &asker, &|own| self.is_code(code, own)).await;
        if !matches!(enrolled, Err(Error::EnrolmentCodeWrong)) {
            self.throttle.give_back(&[bucket]).await;
        }
        enrolled
    }
}

#[tonic::async_trait]
impl EnrolmentService for EnrolmentApi {
    async fn enrol(&self, request: Request<EnrolRequest>) -> Result<Response<EnrolResponse>, Status> {
        let caller = Caller::of(&request)?;
        let EnrolRequest { course_id, code } = request.into_inner();
        let mut fields = Fields::default();
        let code = code.trim();
        if code.chars().count() > CODE_LENGTH {
            fields.refuse("code", "must have at most 64 characters");
        }
        fields.finish()?;
        let course = course(&course_id)?;
        let enrolled = if code.is_empty() {
            self.store.enrol(course, caller.account_id, &Asker::from(&caller), &|_| false).await
        } else {
            self.enrol_with_code(course, &caller, code).await
        };
        Ok(Response::new(EnrolResponse { enrolment: Some(enrolment(course, enrolled?)) }))
    }

    async fn unenrol(&self, request: Request<UnenrolRequest>) -> Result<Response<UnenrolResponse>, Status> {
        let caller = Caller::of(&request)?;
        let UnenrolRequest { course_id, account_id } = request.into_inner();
        let student = whose(&account_id, &caller)?;
        self.store.unenrol(course(&course_id)?, student, &Asker::from(&caller)).await?;
        Ok(Response::new(UnenrolResponse {}))
    }

    async fn list_enrolments(
        &self,
        request: Request<ListEnrolmentsRequest>,
    ) -> Result<Response<ListEnrolmentsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let ListEnrolmentsRequest { course_id, page_size, page_token } = request.into_inner();
        let mut list = ClassList::parse(&course_id, page_size, &page_token).map_err(Error::from)?;
        let course = course(&course_id)?;
        let (class, total) = self.store.counted_class(course, &Asker::from(&caller), &list).await?;
        list.total = Some(total);
        let next_page_token = class.next(&list).map(|next| next.token()).unwrap_or_default();
        Ok(Response::new(ListEnrolmentsResponse {
            enrolments: class.students.into_iter().map(|student| enrolment(course, student)).collect(),
            next_page_token,
            total_size: page::count(total),
        }))
    }

    async fn get_progress(
        &self,
        request: Request<GetProgressRequest>,
    ) -> Result<Response<GetProgressResponse>, Status> {
        let caller = Caller::of(&request)?;
        let GetProgressRequest { course_id, account_id } = request.into_inner();
        let student = whose(&account_id, &caller)?;
        let (found, columns) = self.store.progress(course(&course_id)?, student, &Asker::from(&caller)).await?;
        let blocks = block_progress(&columns, &found.works);
        Ok(Response::new(GetProgressResponse { progress: Some(found.progress.into()), blocks }))
    }

    async fn invite_students(
        &self,
        request: Request<InviteStudentsRequest>,
    ) -> Result<Response<InviteStudentsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let InviteStudentsRequest { course_id, account_ids, emails } = request.into_inner();
        let mut fields = Fields::default();
        let people = invited(&account_ids, &emails, &mut fields);
        fields.finish()?;
        let count = self.store.invite(course(&course_id)?, &Asker::from(&caller), &people).await?;
        Ok(Response::new(InviteStudentsResponse { invited_count: page::count(count) }))
    }

    async fn list_invitations(
        &self,
        request: Request<ListInvitationsRequest>,
    ) -> Result<Response<ListInvitationsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let ListInvitationsRequest { course_id, page_size, page_token } = request.into_inner();
        let mut fields = Fields::default();
        let size = fields.take("page_size", page::size(page_size));
        let before = fields.take("page_token", id_token(&page_token));
        let (Some(size), Some(before)) = (size, before) else { return Err(Error::from(fields).into()) };
        let course = course(&course_id)?;
        let mut rows = self.store.invitations(course, &Asker::from(&caller), before, size).await?;
        let next_page_token = page::cut(&mut rows, size, |row| page::encode(&row.id.to_string()));
        let invitations = rows.into_iter().map(Invitation::from).collect();
        Ok(Response::new(ListInvitationsResponse { invitations, next_page_token }))
    }

    async fn revoke_invitation(
        &self,
        request: Request<RevokeInvitationRequest>,
    ) -> Result<Response<RevokeInvitationResponse>, Status> {
        let caller = Caller::of(&request)?;
        let RevokeInvitationRequest { course_id, email, account_id } = request.into_inner();
        let mut fields = Fields::default();
        let person = match (email.is_empty(), account_id.is_empty()) {
            (false, true) => fields.take("email", address(&email)).map(Invited::Address),
            (true, false) => fields.take("account_id", account_id.parse().map(Invited::Account)),
            _ => {
                fields.refuse("email", "must be set, or `account_id` instead");
                None
            }
        };
        let Some(person) = person else { return Err(Error::from(fields).into()) };
        self.store.revoke_invitation(course(&course_id)?, &Asker::from(&caller), &person).await?;
        Ok(Response::new(RevokeInvitationResponse {}))
    }
}

fn invited(account_ids: &[String], emails: &[String], fields: &mut Fields) -> Vec<Invited> {
    let count = account_ids.len() + emails.len();
    if count == 0 || count > INVITED {
        fields.refuse("account_ids", "must be 1 to 100 together with `emails`");
        return Vec::new();
    }
    let mut people = Vec::with_capacity(count);
    for (at, id) in account_ids.iter().enumerate() {
        people.extend(fields.take(&format!("account_ids[{at}]"), id.parse().map(Invited::Account)));
    }
    for (at, email) in emails.iter().enumerate() {
        people.extend(fields.take(&format!("emails[{at}]"), address(email).map(Invited::Address)));
    }
    people
}

/// A page token that is an id.
fn id_token(token: &str) -> Result<Option<Id>, &'static str> {
    let id: Option<String> = page::decode(token)?;
    id.map(|id| id.parse().map_err(|_| page::NOT_A_TOKEN)).transpose()
}

fn enrolment(course: Id, student: Student) -> Enrolment {
    Enrolment {
        course_id: course.to_string(),
        account_id: student.row.student_id.to_string(),
        first_name: student.name.first_name,
        last_name: student.name.last_name,
        email: student.name.email,
        create_time: Some(timestamp(student.row.create_time)),
        progress: Some(student.progress.into()),
    }
}

/// How far somebody is in each of these blocks.
pub fn block_progress(columns: &[Column], works: &Works) -> Vec<BlockProgress> {
    let nothing = Work::default();
    let of_block = |column: &Column| {
        let work = works.get(&column.id).unwrap_or(&nothing);
        let time = work.complete_time();
        BlockProgress {
            block_id: column.id.to_string(),
            completed: time.is_some(),
            complete_time: time.map(timestamp),
            grade: work.grade(),
        }
    };
    columns.iter().map(of_block).collect()
}

impl From<progress::Progress> for Progress {
    fn from(far: progress::Progress) -> Progress {
        Progress {
            completed_blocks: page::count(far.completed_blocks),
            total_blocks: page::count(far.total_blocks),
            completed: far.completed,
            r#override: far.said.map(CompletionOverride::from),
            average_grade: far.average_grade,
        }
    }
}

impl From<progress::Override> for CompletionOverride {
    fn from(said: progress::Override) -> CompletionOverride {
        CompletionOverride {
            completed: said.completed,
            reason: said.reason,
            teacher_account_id: said.teacher_id.map(|id| id.to_string()).unwrap_or_default(),
            create_time: Some(timestamp(said.time)),
        }
    }
}

impl From<InvitationRow> for Invitation {
    fn from(row: InvitationRow) -> Invitation {
        Invitation {
            email: row.email,
            account_id: row.account_id.map(|id| id.to_string()).unwrap_or_default(),
            create_time: Some(timestamp(row.create_time)),
        }
    }
}
