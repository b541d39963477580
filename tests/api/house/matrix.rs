//! Who may call what. The matrix is made from the contracts: an rpc that nobody has added here fails the build.

use quartet_chassis::auth::access::Access;
use tonic::transport::Channel;

use super::{Rpc, rpcs};
use crate::harness::prelude::*;
use crate::harness::{channel, raw};

/// Every rpc, and who may call it.
const STATED: &str = "
/quartet.catalogue.v1.ContentBlockService/CreateBlock: account
/quartet.catalogue.v1.ContentBlockService/DeleteBlock: account
/quartet.catalogue.v1.ContentBlockService/GetBlock: account
/quartet.catalogue.v1.ContentBlockService/ListBlocks: account
/quartet.catalogue.v1.ContentBlockService/ReorderBlocks: account
/quartet.catalogue.v1.ContentBlockService/UpdateBlock: account
/quartet.catalogue.v1.CourseService/CreateCourse: teacher, admin
/quartet.catalogue.v1.CourseService/DeleteCourse: account
/quartet.catalogue.v1.CourseService/ExportCourse: account
/quartet.catalogue.v1.CourseService/GetCourse: optional
/quartet.catalogue.v1.CourseService/ImportCourse: teacher, admin
/quartet.catalogue.v1.CourseService/ListCourses: optional
/quartet.catalogue.v1.CourseService/SetCourseState: account
/quartet.catalogue.v1.CourseService/UpdateCourse: account
/quartet.catalogue.v1.CourseTeacherService/AddTeacher: account
/quartet.catalogue.v1.CourseTeacherService/ListTeachers: account
/quartet.catalogue.v1.CourseTeacherService/RemoveTeacher: account
/quartet.catalogue.v1.CourseTeacherService/TransferCourse: account
/quartet.catalogue.v1.EnrolmentService/Enrol: account
/quartet.catalogue.v1.EnrolmentService/GetProgress: account
/quartet.catalogue.v1.EnrolmentService/InviteStudents: account
/quartet.catalogue.v1.EnrolmentService/ListEnrolments: account
/quartet.catalogue.v1.EnrolmentService/ListInvitations: account
/quartet.catalogue.v1.EnrolmentService/RevokeInvitation: account
/quartet.catalogue.v1.EnrolmentService/Unenrol: account
/quartet.catalogue.v1.GradeService/ExportGradebook: account
/quartet.catalogue.v1.GradeService/GetGradebook: account
/quartet.catalogue.v1.GradeService/GradeSubmission: account
/quartet.catalogue.v1.GradeService/ListAssessments: account
/quartet.catalogue.v1.GradeService/OverrideCompletion: account
/quartet.catalogue.v1.ImportService/ImportMovieFile: moderator, admin
/quartet.catalogue.v1.ImportService/ImportMovies: moderator, admin
/quartet.catalogue.v1.MovieService/CreateMovie: moderator, admin
/quartet.catalogue.v1.MovieService/DeleteMovie: moderator, admin
/quartet.catalogue.v1.MovieService/GetMovie: public
/quartet.catalogue.v1.MovieService/ListMovies: public
/quartet.catalogue.v1.MovieService/SearchMovies: public
/quartet.catalogue.v1.MovieService/UpdateMovie: moderator, admin
/quartet.catalogue.v1.MovieService/WatchMovies: public
/quartet.catalogue.v1.ProgressService/CompleteBlock: account
/quartet.catalogue.v1.ProgressService/GetSubmission: account
/quartet.catalogue.v1.ProgressService/ListQuizAttempts: account
/quartet.catalogue.v1.ProgressService/ReopenBlock: account
/quartet.catalogue.v1.ProgressService/SubmitQuiz: account
/quartet.catalogue.v1.SectionService/CreateSection: account
/quartet.catalogue.v1.SectionService/DeleteSection: account
/quartet.catalogue.v1.SectionService/GetSection: account
/quartet.catalogue.v1.SectionService/ListSections: account
/quartet.catalogue.v1.SectionService/ReorderSections: account
/quartet.catalogue.v1.SectionService/UpdateSection: account
/quartet.catalogue.v1.TaxonomyService/CreateTerm: moderator, admin
/quartet.catalogue.v1.TaxonomyService/DeleteTerm: moderator, admin
/quartet.catalogue.v1.TaxonomyService/GetTerm: public
/quartet.catalogue.v1.TaxonomyService/ListActors: public
/quartet.catalogue.v1.TaxonomyService/ListCountries: public
/quartet.catalogue.v1.TaxonomyService/ListGenres: public
/quartet.catalogue.v1.TaxonomyService/ListLanguages: public
/quartet.catalogue.v1.TaxonomyService/MergeTerms: moderator, admin
/quartet.catalogue.v1.TaxonomyService/UpdateTerm: moderator, admin
/quartet.control.v1.ControlService/ListMails: public
/quartet.control.v1.ControlService/MoveClock: public
/quartet.control.v1.ControlService/SetFault: public
/quartet.identity.v1.AccountFeedService/WatchAccounts: service
/quartet.identity.v1.AccountImportService/ImportAccounts: operator
/quartet.identity.v1.AccountService/Activate: optional
/quartet.identity.v1.AccountService/CompletePasswordReset: public
/quartet.identity.v1.AccountService/Deactivate: account
/quartet.identity.v1.AccountService/DeleteAccount: account
/quartet.identity.v1.AccountService/GetMe: account
/quartet.identity.v1.AccountService/Reactivate: public
/quartet.identity.v1.AccountService/Register: public
/quartet.identity.v1.AccountService/RequestPasswordReset: public
/quartet.identity.v1.AccountService/ResendActivation: public
/quartet.identity.v1.AccountService/UpdatePassword: account
/quartet.identity.v1.AccountService/VerifyResetCode: public
/quartet.identity.v1.AdministrationService/CountWaitingMails: operator
/quartet.identity.v1.AdministrationService/CreateAdministrator: operator
/quartet.identity.v1.AuditService/ListAuditEvents: admin
/quartet.identity.v1.ClientService/CreateClient: operator
/quartet.identity.v1.ClientService/DeleteClient: operator
/quartet.identity.v1.ClientService/ListClients: operator
/quartet.identity.v1.DirectoryService/ListUsers: account
/quartet.identity.v1.EmailChangeService/ConfirmEmailChange: public
/quartet.identity.v1.EmailChangeService/RequestEmailChange: account
/quartet.identity.v1.ErasureService/GetErasure: public
/quartet.identity.v1.ErasureService/ReportErasure: service
/quartet.identity.v1.KeyService/GetJwks: public
/quartet.identity.v1.KeyService/RotateKeys: operator
/quartet.identity.v1.ProfileService/GetProfile: account
/quartet.identity.v1.ProfileService/SetAvatar: account
/quartet.identity.v1.ProfileService/UpdateProfile: account
/quartet.identity.v1.RevocationService/WatchRevocations: service
/quartet.identity.v1.RoleService/AssignRole: admin
/quartet.identity.v1.RoleService/GetAccount: admin
/quartet.identity.v1.RoleService/ListAccounts: admin
/quartet.identity.v1.RoleService/ListRoles: admin
/quartet.identity.v1.RoleService/RevokeRole: admin
/quartet.identity.v1.RoleService/SetAccountStatus: admin
/quartet.identity.v1.SessionService/CheckSessions: service
/quartet.identity.v1.SessionService/Introspect: service
/quartet.identity.v1.SessionService/IssueToken: optional
/quartet.identity.v1.SessionService/ListSessions: account
/quartet.identity.v1.SessionService/Refresh: public
/quartet.identity.v1.SessionService/RequestSignInCode: public
/quartet.identity.v1.SessionService/RevokeAllSessions: account
/quartet.identity.v1.SessionService/RevokeSession: account
/quartet.identity.v1.SessionService/SignIn: public
/quartet.identity.v1.SessionService/SignInWithCode: public
/quartet.identity.v1.SessionService/SignOut: account
/quartet.media.v1.MediaService/CreateDownloadUrl: account
/quartet.media.v1.MediaService/DeleteMedia: account
/quartet.media.v1.MediaService/Download: account
/quartet.media.v1.MediaService/DownloadByLink: public
/quartet.media.v1.MediaService/GetByKind: account
/quartet.media.v1.MediaService/GetMedia: account
/quartet.media.v1.MediaService/GetTranscript: account
/quartet.media.v1.MediaService/ListMedia: account
/quartet.media.v1.MediaService/UpdateMedia: account
/quartet.media.v1.MediaService/WatchMedia: account
/quartet.media.v1.ProjectMemberService/ListMembers: account
/quartet.media.v1.ProjectMemberService/RemoveMember: account
/quartet.media.v1.ProjectMemberService/SetMember: account
/quartet.media.v1.ProjectMemberService/TransferProject: account
/quartet.media.v1.ProjectService/CreateProject: account
/quartet.media.v1.ProjectService/DeleteProject: account
/quartet.media.v1.ProjectService/GetProject: account
/quartet.media.v1.ProjectService/GetUsage: account
/quartet.media.v1.ProjectService/ListProjects: account
/quartet.media.v1.ProjectService/UndeleteProject: account
/quartet.media.v1.ProjectService/UpdateProject: account
/quartet.media.v1.UploadService/AbortUpload: account
/quartet.media.v1.UploadService/CompleteUpload: account
/quartet.media.v1.UploadService/GetUpload: account
/quartet.media.v1.UploadService/ListUploads: account
/quartet.media.v1.UploadService/PutChunk: account
/quartet.media.v1.UploadService/StartUpload: account
/quartet.media.v1.UploadService/Upload: account
/quartet.messaging.v1.ConversationService/BlockAccount: account
/quartet.messaging.v1.ConversationService/ClearHistory: account
/quartet.messaging.v1.ConversationService/GetConversation: account
/quartet.messaging.v1.ConversationService/ListBlockedAccounts: account
/quartet.messaging.v1.ConversationService/ListContacts: account
/quartet.messaging.v1.ConversationService/ListConversations: account
/quartet.messaging.v1.ConversationService/SetFavorite: account
/quartet.messaging.v1.ConversationService/SetMuted: account
/quartet.messaging.v1.ConversationService/SetPinned: account
/quartet.messaging.v1.ConversationService/StartConversation: account
/quartet.messaging.v1.ConversationService/UnblockAccount: account
/quartet.messaging.v1.ConversationService/UpdateConversation: account
/quartet.messaging.v1.DeviceService/GetPushConfig: public
/quartet.messaging.v1.DeviceService/ListDevices: account
/quartet.messaging.v1.DeviceService/RegisterDevice: account
/quartet.messaging.v1.DeviceService/TestPush: account
/quartet.messaging.v1.DeviceService/UnregisterDevice: account
/quartet.messaging.v1.EventService/SetFocus: account
/quartet.messaging.v1.EventService/SetTyping: account
/quartet.messaging.v1.EventService/Subscribe: account
/quartet.messaging.v1.MessageService/Connect: account
/quartet.messaging.v1.MessageService/DeleteMessage: account
/quartet.messaging.v1.MessageService/EditMessage: account
/quartet.messaging.v1.MessageService/GetMessage: account
/quartet.messaging.v1.MessageService/ListEdits: account
/quartet.messaging.v1.MessageService/ListMessages: account
/quartet.messaging.v1.MessageService/SearchMessages: account
/quartet.messaging.v1.MessageService/SendMessage: account
/quartet.messaging.v1.MessageService/SetReaction: account
/quartet.messaging.v1.ParticipantService/AddParticipants: account
/quartet.messaging.v1.ParticipantService/LeaveConversation: account
/quartet.messaging.v1.ParticipantService/ListParticipants: account
/quartet.messaging.v1.ParticipantService/RemoveParticipant: account
/quartet.messaging.v1.ParticipantService/SetParticipantRole: account
/quartet.messaging.v1.ReceiptService/MarkDelivered: account
/quartet.messaging.v1.ReceiptService/MarkRead: account
";

#[test]
fn every_rpc_states_who_may_call_it() {
    let state = |rpc: &Rpc| match &rpc.rule.access {
        Access::Public => "public".to_owned(),
        Access::Optional => "optional".to_owned(),
        Access::Account => "account".to_owned(),
        Access::Roles(roles) => roles.join(", "),
        Access::Service => "service".to_owned(),
        Access::Operator => "operator".to_owned(),
    };
    let stated: Vec<String> = rpcs().iter().map(|rpc| format!("{}: {}", rpc.path, state(rpc))).collect();
    assert_eq!(stated, STATED.trim().lines().collect::<Vec<_>>());
}

/// Somebody who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Anonymous,
    Forged,
    /// With a token from before a change of roles.
    Stale,
    /// With a token from before the account was suspended.
    Suspended,
    User,
    Student,
    Teacher,
    Moderator,
    Admin,
    Service,
}

const KINDS: [Kind; 10] = [
    Kind::Anonymous,
    Kind::Forged,
    Kind::Stale,
    Kind::Suspended,
    Kind::User,
    Kind::Student,
    Kind::Teacher,
    Kind::Moderator,
    Kind::Admin,
    Kind::Service,
];

/// What is to come of a call, as far as the access rule goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The handler sees it, whatever it then makes of an empty message.
    Admitted,
    /// There is no token that counts.
    Unauthenticated,
    RoleMissing,
    /// Outside there is no such rpc.
    Unknown,
}

fn expected(rpc: &Rpc, kind: Kind, through_gateway: bool) -> Verdict {
    let has_account = matches!(kind, Kind::User | Kind::Student | Kind::Teacher | Kind::Moderator | Kind::Admin);
    match &rpc.rule.access {
        Access::Operator => Verdict::Unknown,
        Access::Service if through_gateway => Verdict::Unknown,
        Access::Service if kind == Kind::Service => Verdict::Admitted,
        Access::Service => Verdict::Unauthenticated,
        Access::Public => Verdict::Admitted,
        Access::Optional if has_account || kind == Kind::Anonymous => Verdict::Admitted,
        Access::Account if has_account => Verdict::Admitted,
        Access::Roles(roles) if has_account => {
            let has_role = roles.iter().any(|role| role.eq_ignore_ascii_case(&format!("{kind:?}")));
            if has_role { Verdict::Admitted } else { Verdict::RoleMissing }
        }
        _ => Verdict::Unauthenticated,
    }
}

fn verdict(result: Result<bytes::Bytes, tonic::Status>) -> Verdict {
    let Err(status) = result else { return Verdict::Admitted };
    let refused = Refusal::from(status);
    match refused.is() {
        (Code::Unauthenticated, "TOKEN_MISSING" | "TOKEN_INVALID" | "TOKEN_STALE" | "SESSION_REVOKED") => {
            Verdict::Unauthenticated
        }
        (Code::PermissionDenied, "ROLE_MISSING") => Verdict::RoleMissing,
        // A service that reports an erasure of another context's.
        (Code::PermissionDenied, "SCOPE_MISSING") => Verdict::Admitted,
        (Code::Unimplemented, "METHOD_UNKNOWN") => Verdict::Unknown,
        (Code::InvalidArgument | Code::NotFound, _) | (Code::Ok, _) => Verdict::Admitted,
        // Those who have an account and show no password of it, or no link.
        (Code::Unauthenticated, "CREDENTIALS_INVALID" | "SIGN_IN_STALE" | "LINK_INVALID") => Verdict::Admitted,
        (Code::ResourceExhausted, "RATE_LIMITED") => Verdict::Admitted,
        // What SignIn or Refresh say of an empty message would be INVALID_ARGUMENT; anything else is no answer to this question.
        other => panic!("{other:?}: {refused:?}"),
    }
}

/// Whether a process has heard that a token counts no more.
async fn refused(way: &Channel, token: &str) -> Option<()> {
    // Whichever of the contexts is asked, the others do not know the rpc.
    for path in [
        "/quartet.identity.v1.AccountService/GetMe",
        "/quartet.catalogue.v1.ImportService/ImportMovies",
        "/quartet.media.v1.ProjectService/GetUsage",
        "/quartet.messaging.v1.DeviceService/ListDevices",
    ] {
        match raw::call(way.clone(), path, Some(token), Vec::new()).await.map_err(|status| status.code()) {
            Err(Code::Unimplemented) => {}
            Err(Code::Unauthenticated) => return Some(()),
            _ => return None,
        }
    }
    None
}

struct People {
    world: World,
    user: Person,
    student: Person,
    teacher: Person,
    moderator: Person,
    admin: Person,
    stale: Person,
    suspended: Person,
}

impl People {
    async fn of(world: World) -> People {
        let admin = world.admin().await;
        let with = async |role: &str| {
            let mut person = world.sign_up(role).await;
            world.with_role_by(&admin, &person, role).await;
            person.renewed(world.try_refresh(&person.refresh_token).await.unwrap());
            person
        };
        let (student, teacher, moderator) = (with("student").await, with("teacher").await, with("moderator").await);
        let (user, stale, suspended) =
            (world.sign_up("user").await, world.sign_up("stale").await, world.sign_up("suspended").await);
        world.with_role_by(&admin, &stale, "student").await;
        let (account_id, reason) = (suspended.account_id.clone(), "a test".to_owned());
        let asked = SetAccountStatusRequest { account_id, state: AccountState::Suspended.into(), reason };
        admin.roles(&world).set_account_status(asked).await.unwrap();
        // Every process has heard of it, the one that hears of it last too.
        let ways = ["identity", "catalogue", "media", "messaging"]
            .into_iter()
            .flat_map(|role| world.direct(role))
            .map(channel);
        for way in ways.chain([world.channel()]) {
            for person in [&stale, &suspended] {
                eventually("the token is refused", async || refused(&way, &person.access_token).await).await;
            }
        }
        People { world, user, student, teacher, moderator, admin, stale, suspended }
    }

    /// A token; for an rpc that could end its session, one of a session of its own.
    async fn token(&self, kind: Kind, rpc: &Rpc) -> Option<String> {
        let person = match kind {
            Kind::Anonymous => return None,
            Kind::Forged => return Some(crate::identity::token::self_signed(&self.user.access_token)),
            Kind::Service => return Some(self.world.service_token(rpc.context())),
            Kind::Stale => return Some(self.stale.access_token.clone()),
            Kind::Suspended => return Some(self.suspended.access_token.clone()),
            Kind::User => &self.user,
            Kind::Student => &self.student,
            Kind::Teacher => &self.teacher,
            Kind::Moderator => &self.moderator,
            Kind::Admin => &self.admin,
        };
        // Only identity ends sessions, and an account has no more than a hundred.
        if rpc.rule.access != Access::Account || rpc.context() != "identity" {
            return Some(person.access_token.clone());
        }
        Some(self.world.sign_in(&person.email, &person.password).await.access_token)
    }
}

#[tokio::test]
async fn s20_s21_s32_every_rpc_admits_whom_its_contract_names_and_nobody_else() {
    let people = People::of(World::own().await).await;
    let mut wrong = Vec::new();
    let mut rpcs: Vec<Rpc> = rpcs().into_iter().filter(|rpc| rpc.context() != "control").collect();
    // What ends all sessions of somebody comes last.
    rpcs.sort_by_key(|rpc| rpc.context() == "identity");
    for rpc in rpcs {
        // A connection of its own: the server ends one that has left too many calls unread.
        let mut ways = vec![(channel(people.world.gateway()), true)];
        ways.extend(people.world.direct(rpc.context()).into_iter().map(|address| (channel(address), false)));
        for (way, through_gateway) in ways {
            for kind in KINDS {
                let token = people.token(kind, &rpc).await;
                let result = raw::call(way.clone(), &rpc.path, token.as_deref(), Vec::new()).await;
                let (found, expected) = (verdict(result), expected(&rpc, kind, through_gateway));
                if found != expected {
                    wrong.push(format!("{} {kind:?} gateway {through_gateway}: {found:?}, not {expected:?}", rpc.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
