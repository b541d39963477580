//! How a call to identity fails. Each row's sentence is what clients have always read; they switch on the reason.

use quartet_chassis::crypt::SealBroken;
use quartet_chassis::db::DbError;
use quartet_chassis::failure::{Failure, Fields};
use quartet_chassis::outbox::OutboxError;
use quartet_proto::r#type::v1::ErrorReason;
use tonic::{Code, Status};

/// Why a call to identity fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the address is taken")]
    EmailTaken(String),
    #[error("the activation token or code is not good")]
    ActivationInvalid,
    #[error("the account is active already")]
    AccountAlreadyActive,
    #[error("the address and the password do not belong together")]
    CredentialsInvalid,
    #[error("the account is not activated")]
    AccountNotActivated,
    #[error("the account is disabled")]
    AccountDisabled,
    #[error("the refresh token is not one of ours")]
    RefreshTokenInvalid,
    #[error("the refresh token has expired")]
    RefreshTokenExpired,
    #[error("the refresh token's session has ended")]
    RefreshTokenNotFound,
    #[error("the refresh token was replaced moments ago")]
    RefreshTokenSuperseded,
    #[error("the refresh token was used again")]
    RefreshTokenReused,
    #[error("the account is gone")]
    AccountNotFound,
    #[error("the reset token, code or grant is not good")]
    ResetInvalid,
    #[error("the caller has no such session")]
    SessionNotFound,
    #[error("the sign-in code or link is not good")]
    SignInCodeInvalid,
    #[error("the sign-in is not fresh")]
    SignInStale,
    #[error("somebody else acts for the owner")]
    ActorRefused,
    #[error("nobody else could administrate")]
    LastAdministrator,
    #[error("the account is not deactivated")]
    AccountNotDeactivated,
    #[error("the reactivation token or code is not good")]
    ReactivationInvalid,
    #[error("the email change token or code is not good")]
    EmailChangeInvalid,
    #[error("the account is in a state that is not an administrator's to change")]
    AccountStateFixed,
    #[error("no client has this id and key")]
    ClientInvalid,
    #[error("there is no such erasure")]
    ErasureNotFound,
    #[error("the name has a client")]
    ClientExists,
    #[error("there is no such client")]
    ClientNotFound,
    #[error("the scope `{0}` is missing")]
    ScopeMissing(&'static str),
    #[error("too many passwords wait to be hashed")]
    Overloaded,
    #[error("too many failures")]
    RateLimited(std::time::Duration),
    #[error("the request breaks a rule")]
    Refused(Failure),
    #[error(transparent)]
    Db(#[from] DbError),
    /// A defect of ours, with the sentence of the call that it hindered.
    #[error("{cause}")]
    Defect { sentence: &'static str, cause: String },
}

/// What a defect is called where no call has a sentence of its own.
const DEFECT: &str = "an internal error occurred";

impl Error {
    pub fn defect(cause: impl ToString) -> Error {
        Error::Defect { sentence: DEFECT, cause: cause.to_string() }
    }

    /// Gives a defect the sentence of the call that it hindered.
    pub fn saying(self, sentence: &'static str) -> Error {
        match self {
            Error::Db(DbError::Failed(cause)) => Error::Defect { sentence, cause: cause.to_string() },
            Error::Db(DbError::Duplicate(what)) => Error::Defect { sentence, cause: format!("duplicate key: {what}") },
            Error::Defect { cause, .. } => Error::Defect { sentence, cause },
            other => other,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        use ErrorReason as R;
        let (code, reason, message) = match error {
            Error::EmailTaken(email) => {
                let message = format!("A user with this email {email} already exists.");
                return Failure::new(Code::AlreadyExists, R::EmailTaken, message).with("email", email);
            }
            Error::ActivationInvalid => {
                (Code::InvalidArgument, R::ActivationInvalid, "Invalid or expired activation token.")
            }
            Error::AccountAlreadyActive => {
                (Code::FailedPrecondition, R::AccountAlreadyActive, "User account is already active.")
            }
            Error::CredentialsInvalid => (Code::Unauthenticated, R::CredentialsInvalid, "Invalid email or password."),
            Error::AccountNotActivated => {
                (Code::PermissionDenied, R::AccountNotActivated, "User account is not activated.")
            }
            Error::AccountDisabled => (Code::PermissionDenied, R::AccountDisabled, "User account is disabled."),
            Error::RefreshTokenInvalid => (Code::InvalidArgument, R::RefreshTokenInvalid, "Invalid refresh token."),
            Error::RefreshTokenExpired => (Code::InvalidArgument, R::RefreshTokenInvalid, "Token has expired."),
            Error::RefreshTokenNotFound => (Code::Unauthenticated, R::RefreshTokenNotFound, "Refresh token not found."),
            Error::RefreshTokenSuperseded => {
                (Code::Unauthenticated, R::RefreshTokenSuperseded, "the refresh token was replaced: use its successor")
            }
            Error::RefreshTokenReused => {
                (Code::Unauthenticated, R::RefreshTokenReused, "the refresh token was used before: sign in again")
            }
            Error::AccountNotFound => (Code::NotFound, R::AccountNotFound, "User not found."),
            Error::ResetInvalid => (Code::InvalidArgument, R::ResetInvalid, "Invalid email or token."),
            Error::SessionNotFound => (Code::NotFound, R::SessionNotFound, "there is no such session"),
            Error::SignInCodeInvalid => {
                (Code::Unauthenticated, R::SignInCodeInvalid, "Invalid or expired sign-in code.")
            }
            Error::SignInStale => {
                (Code::Unauthenticated, R::SignInStale, "this needs the password or a fresh sign-in with a code")
            }
            Error::ActorRefused => {
                (Code::PermissionDenied, R::ActorRefused, "only the owner of the account may do this")
            }
            Error::LastAdministrator => {
                (Code::FailedPrecondition, R::LastAdministrator, "the last administrator must stay one")
            }
            Error::AccountNotDeactivated => {
                (Code::FailedPrecondition, R::AccountNotDeactivated, "User account is not deactivated.")
            }
            Error::ReactivationInvalid => {
                (Code::InvalidArgument, R::ReactivationInvalid, "Invalid or expired reactivation code.")
            }
            Error::EmailChangeInvalid => {
                (Code::InvalidArgument, R::EmailChangeInvalid, "Invalid or expired email change token.")
            }
            Error::AccountStateFixed => (
                Code::FailedPrecondition,
                R::AccountStateFixed,
                "an administrator can't change the state that the account is in",
            ),
            Error::ClientInvalid => (Code::Unauthenticated, R::ClientInvalid, "no client has this id and key"),
            Error::ErasureNotFound => (Code::NotFound, R::ErasureNotFound, "there is no such erasure"),
            Error::ClientExists => (Code::AlreadyExists, R::ClientExists, "there is a client with this name"),
            Error::ClientNotFound => (Code::NotFound, R::ClientNotFound, "there is no such client"),
            Error::ScopeMissing(scope) => {
                let message = format!("this call needs the scope {scope}");
                return Failure::new(Code::PermissionDenied, R::ScopeMissing, message).with("scope", scope);
            }
            Error::RateLimited(wait) => {
                let message = "too many tries have failed: try again later, or sign in with a mailed code";
                return Failure::new(Code::ResourceExhausted, R::RateLimited, message).retry_after(wait);
            }
            Error::Overloaded => {
                let message = "too many passwords wait to be checked: try again";
                let failure = Failure::new(Code::ResourceExhausted, R::Overloaded, message);
                return failure.retry_after(std::time::Duration::from_secs(1));
            }
            Error::Refused(failure) => return failure,
            Error::Db(error) => return error.into(),
            Error::Defect { sentence, cause } => return Failure::internal(sentence, cause),
        };
        Failure::new(code, reason, message)
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Status {
        Failure::from(error).into()
    }
}

impl From<Fields> for Error {
    fn from(fields: Fields) -> Error {
        Error::Refused(fields.into())
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error::Refused(failure)
    }
}

impl From<SealBroken> for Error {
    fn from(error: SealBroken) -> Error {
        Error::defect(error)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i26_every_error_has_its_code_reason_and_sentence() {
        let database = || DbError::Failed(diesel::result::Error::NotFound);
        let rows = [
            Error::EmailTaken("ada@example.com".to_owned()),
            Error::ActivationInvalid,
            Error::AccountAlreadyActive,
            Error::CredentialsInvalid,
            Error::AccountNotActivated,
            Error::AccountDisabled,
            Error::RefreshTokenInvalid,
            Error::RefreshTokenExpired,
            Error::RefreshTokenNotFound,
            Error::RefreshTokenSuperseded,
            Error::RefreshTokenReused,
            Error::AccountNotFound,
            Error::ResetInvalid,
            Error::SessionNotFound,
            Error::SignInCodeInvalid,
            Error::SignInStale,
            Error::ActorRefused,
            Error::LastAdministrator,
            Error::AccountNotDeactivated,
            Error::ReactivationInvalid,
            Error::EmailChangeInvalid,
            Error::AccountStateFixed,
            Error::ClientInvalid,
            Error::ErasureNotFound,
            Error::ClientExists,
            Error::ClientNotFound,
            Error::ScopeMissing("token.mint"),
            Error::RateLimited(std::time::Duration::from_secs(20)),
            Error::Overloaded,
            Error::Db(DbError::Unavailable("10.0.0.1:5432 refused".to_owned())),
            Error::Db(DbError::Full),
            Error::Db(database()),
            Error::Db(database()).saying("An error occurred during user creation."),
            Error::defect("a cause").saying("An error occurred while processing the request."),
        ];
        let table: Vec<String> = rows
            .map(|error| {
                let failure = Failure::from(error);
                let (code, reason) = (failure.code, quartet_chassis::failure::reason_name(failure.reason));
                format!("{code:?} {reason}: {}", Status::from(failure).message())
            })
            .to_vec();
        insta::assert_snapshot!(table.join("\n"), @r"
        AlreadyExists EMAIL_TAKEN: A user with this email ada@example.com already exists.
        InvalidArgument ACTIVATION_INVALID: Invalid or expired activation token.
        FailedPrecondition ACCOUNT_ALREADY_ACTIVE: User account is already active.
        Unauthenticated CREDENTIALS_INVALID: Invalid email or password.
        PermissionDenied ACCOUNT_NOT_ACTIVATED: User account is not activated.
        PermissionDenied ACCOUNT_DISABLED: User account is disabled.
        InvalidArgument REFRESH_TOKEN_INVALID: Invalid refresh token.
        InvalidArgument REFRESH_TOKEN_INVALID: Token has expired.
        Unauthenticated REFRESH_TOKEN_NOT_FOUND: Refresh token not found.
        Unauthenticated REFRESH_TOKEN_SUPERSEDED: the refresh token was replaced: use its successor
        Unauthenticated REFRESH_TOKEN_REUSED: the refresh token was used before: sign in again
        NotFound ACCOUNT_NOT_FOUND: User not found.
        InvalidArgument RESET_INVALID: Invalid email or token.
        NotFound SESSION_NOT_FOUND: there is no such session
        Unauthenticated SIGN_IN_CODE_INVALID: Invalid or expired sign-in code.
        Unauthenticated SIGN_IN_STALE: this needs the password or a fresh sign-in with a code
        PermissionDenied ACTOR_REFUSED: only the owner of the account may do this
        FailedPrecondition LAST_ADMINISTRATOR: the last administrator must stay one
        FailedPrecondition ACCOUNT_NOT_DEACTIVATED: User account is not deactivated.
        InvalidArgument REACTIVATION_INVALID: Invalid or expired reactivation code.
        InvalidArgument EMAIL_CHANGE_INVALID: Invalid or expired email change token.
        FailedPrecondition ACCOUNT_STATE_FIXED: an administrator can't change the state that the account is in
        Unauthenticated CLIENT_INVALID: no client has this id and key
        NotFound ERASURE_NOT_FOUND: there is no such erasure
        AlreadyExists CLIENT_EXISTS: there is a client with this name
        NotFound CLIENT_NOT_FOUND: there is no such client
        PermissionDenied SCOPE_MISSING: this call needs the scope token.mint
        ResourceExhausted RATE_LIMITED: too many tries have failed: try again later, or sign in with a mailed code
        ResourceExhausted OVERLOADED: too many passwords wait to be checked: try again
        Unavailable DEPENDENCY_UNAVAILABLE: the database can't be reached
        ResourceExhausted STORAGE_FULL: the store has no room left
        Internal INTERNAL: an internal error occurred
        Internal INTERNAL: An error occurred during user creation.
        Internal INTERNAL: An error occurred while processing the request.
        ");
    }
}
