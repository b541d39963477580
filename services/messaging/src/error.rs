//! What can fail, and as what it is answered.

use std::time::Duration;

use quartet_chassis::crypt::SealBroken;
use quartet_chassis::db::DbError;
use quartet_chassis::failure::{Failure, Fields};
use quartet_chassis::outbox::OutboxError;
use quartet_proto::r#type::v1::ErrorReason;
use tonic::{Code, Status};

/// A call that fails.
#[derive(Debug)]
pub enum Error {
    /// Fields of the request break a rule.
    Fields(Failure),
    ConversationNotFound(String),
    MessageNotFound(i64),
    ParticipantNotFound(String),
    /// None of these ids and addresses is an active account's.
    PersonNotFound(Vec<String>),
    /// These do not accept anything from the caller; how they were named, if they were.
    PersonUnreachable(Vec<String>),
    /// The caller has blocked these.
    AccountBlocked(Vec<String>),
    /// These have left the group by themselves, lately.
    ParticipantLeft(Vec<String>),
    DeviceNotFound(String),
    StreamNotFound,
    /// The caller takes part and may not do this.
    RightMissing,
    DirectNeedsTwo,
    IsDirect,
    PeerGone,
    ConversationLimit(i32),
    ParticipantLimit(i32),
    PinLimit(i32),
    ReactionLimit(i32),
    /// Of one account.
    OwnReactionLimit(i32),
    DeviceLimit(i32),
    /// Somebody acts for the account, or the token is for less than all.
    ActorRefused,
    BlockLimit(i32),
    LastOwner,
    MessageDeleted,
    EditTooLate,
    EtagStale,
    PushNotConfigured,
    /// Too much waits to be written: into one conversation, or by one account.
    Busy,
    /// Too much of something: so long until the next.
    RateLimited(Duration),
    Db(DbError),
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        failure(error).into()
    }
}

fn failure(error: Error) -> Failure {
    use ErrorReason as Reason;
    let of = |code, reason, message: &str| Failure::new(code, reason, message);
    let not_found = |reason, message: &str| of(Code::NotFound, reason, message);
    let precondition = |reason, message: &str| of(Code::FailedPrecondition, reason, message);
    match error {
        Error::Fields(failure) => failure,
        Error::ConversationNotFound(id) => {
            not_found(Reason::ConversationNotFound, "there is no such conversation").with("conversation_id", id)
        }
        Error::MessageNotFound(seq) => not_found(Reason::MessageNotFound, "there is no such message").with("seq", seq),
        Error::ParticipantNotFound(id) => {
            not_found(Reason::ParticipantNotFound, "this account takes no part in it").with("account_id", id)
        }
        Error::PersonNotFound(persons) => {
            let message = format!("there is no account of {}", persons.join(", "));
            about(not_found(Reason::PersonNotFound, &message), &persons)
        }
        Error::PersonUnreachable(persons) => {
            let message = "somebody does not accept messages from you";
            about(precondition(Reason::PersonUnreachable, message), &persons)
        }
        Error::AccountBlocked(persons) => {
            let message = "you have blocked somebody whom this is to reach: unblock them first";
            about(precondition(Reason::AccountBlocked, message), &persons)
        }
        Error::ParticipantLeft(persons) => {
            let message = "who has left a group is not added again for seven days";
            about(precondition(Reason::ParticipantLeft, message), &persons)
        }
        Error::DeviceNotFound(id) => not_found(Reason::DeviceNotFound, "there is no such device").with("device_id", id),
        Error::StreamNotFound => not_found(Reason::StreamNotFound, "there is no such stream"),
        Error::RightMissing => {
            of(Code::PermissionDenied, Reason::ConversationRightMissing, "this is for others in the conversation")
        }
        Error::DirectNeedsTwo => {
            let message = "a direct conversation is between you and exactly one other person";
            of(Code::InvalidArgument, Reason::DirectNeedsTwo, message)
        }
        Error::IsDirect => precondition(Reason::ConversationIsDirect, "this is for groups"),
        Error::PeerGone => precondition(Reason::PeerGone, "the account at the other end is gone"),
        Error::ConversationLimit(limit) => {
            limited(Reason::ConversationLimitReached, "conversations an account has begun and takes part in", limit)
        }
        Error::ParticipantLimit(limit) => limited(Reason::ParticipantLimitReached, "participants a group has", limit),
        Error::PinLimit(limit) => limited(Reason::PinLimitReached, "conversations that are pinned", limit),
        Error::ReactionLimit(limit) => limited(Reason::ReactionLimitReached, "different reactions to a message", limit),
        Error::OwnReactionLimit(limit) => {
            limited(Reason::ReactionLimitReached, "different reactions of one account to a message", limit)
        }
        Error::ActorRefused => {
            let message = "only the owner of the account may do this, with a token of their own";
            of(Code::PermissionDenied, Reason::ActorRefused, message)
        }
        Error::DeviceLimit(limit) => limited(Reason::DeviceLimitReached, "devices an account has", limit),
        Error::BlockLimit(limit) => limited(Reason::BlockLimitReached, "accounts that an account blocks", limit),
        Error::LastOwner => precondition(Reason::LastOwner, "a group keeps an owner: make somebody else one first"),
        Error::MessageDeleted => precondition(Reason::MessageDeleted, "the message was deleted"),
        Error::EditTooLate => precondition(Reason::EditTooLate, "the time in which it could be edited is over"),
        Error::EtagStale => of(Code::Aborted, Reason::EtagStale, "it was changed since: get it again"),
        Error::PushNotConfigured => {
            precondition(Reason::PushNotConfigured, "the installation sends no pushes of this kind")
        }
        Error::Busy => of(Code::ResourceExhausted, Reason::Overloaded, "too much waits to be written: try again"),
        Error::RateLimited(wait) => {
            of(Code::ResourceExhausted, Reason::RateLimited, "too much at once: try again later").retry_after(wait)
        }
        Error::Db(error) => error.into(),
    }
}

/// With how they were named, if they were.
fn about(failure: Failure, persons: &[String]) -> Failure {
    if persons.is_empty() { failure } else { failure.with("persons", persons.join(",")) }
}

fn limited(reason: ErrorReason, what: &str, limit: i32) -> Failure {
    let message = format!("there are at most {limit} {what}");
    Failure::new(Code::ResourceExhausted, reason, message).with("limit", limit)
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error::Fields(failure)
    }
}

impl From<Fields> for Error {
    fn from(fields: Fields) -> Error {
        Error::Fields(fields.into())
    }
}

impl From<SealBroken> for Error {
    fn from(error: SealBroken) -> Error {
        Error::Fields(Failure::internal("a device's target can't be sealed or opened", error))
    }
}

impl From<OutboxError> for Error {
    fn from(error: OutboxError) -> Error {
        match error {
            OutboxError::Db(error) => error.into(),
            OutboxError::Seal(error) => error.into(),
        }
    }
}

impl From<DbError> for Error {
    fn from(error: DbError) -> Error {
        Error::Db(error)
    }
}
