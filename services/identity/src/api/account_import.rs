//! `AccountImportService`.

use quartet_chassis::caller::Client;
use quartet_chassis::failure::{Failure, Fields};
use quartet_chassis::page;
use quartet_proto::identity::v1::account_import_service_server::AccountImportService;
use quartet_proto::identity::v1::*;
use quartet_proto::r#type::v1::ErrorReason;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::account_file::{AccountFile, HeaderInvalid};
use crate::error::Error;
use crate::security::{Event, OPERATOR, Outcome, note_act};
use crate::store::Store;
use crate::store::account::State;

/// How many accounts are stored at once. More are faster, but hold the store's one writer for longer.
const BATCH: usize = 1000;
/// How much of a file is read at once.
const PIECE: usize = 64 * 1024;
/// The most bytes of a message's content.
const CONTENT: usize = 1024 * 1024;
/// From how many new accounts on the planner's statistics are brought up to date.
const MANY: i32 = 1000;

/// The rpcs of the import.
pub struct AccountImportApi {
    pub store: Store,
    /// What an account is whose address is not confirmed.
    pub unverified: State,
}

#[tonic::async_trait]
impl AccountImportService for AccountImportApi {
    /// The next message is taken only when what came before it is read and stored: a fast client waits.
    async fn import_accounts(
        &self,
        request: Request<Streaming<ImportAccountsRequest>>,
    ) -> Result<Response<ImportAccountsResponse>, Status> {
        let client = Client::of(&request);
        let mut messages = request.into_inner();
        let mut next = messages.message().await?;
        let mut import =
            self.begin(next.as_ref().map_or(AccountFileFormat::Unspecified, |first| first.format()), client)?;
        // Registrations that were never activated make room, as they do for anybody.
        self.store.sweep_accounts().await.map_err(Error::from)?;
        while let Some(message) = next {
            if message.content.len() > CONTENT {
                return Err(refused("content", "must have at most 1 MiB").into());
            }
            for piece in message.content.chunks(PIECE) {
                import.feed(piece).await?;
            }
            next = messages.message().await?;
        }
        Ok(Response::new(import.finish().await?))
    }
}

impl AccountImportApi {
    fn begin(&self, format: AccountFileFormat, client: Client) -> Result<Import, Error> {
        let file = AccountFile::new(format, self.store.now()).ok_or_else(|| refused("format", "must be given"))?;
        let (store, unverified) = (self.store.clone(), self.unverified);
        Ok(Import { store, unverified, client, file, created: 0, unchanged: 0 })
    }
}

/// A file that is being read and stored. Dropped in the middle, it leaves what was stored until then.
struct Import {
    store: Store,
    unverified: State,
    client: Client,
    file: AccountFile,
    created: i32,
    unchanged: i32,
}

impl Import {
    /// Takes the next bytes of the file and stores what makes a batch.
    async fn feed(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.file.feed(piece)?;
        while self.file.waiting() >= BATCH {
            self.store_batch().await?;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<ImportAccountsResponse, Error> {
        self.file.finish()?;
        while self.file.waiting() > 0 {
            self.store_batch().await?;
        }
        let found = self.file.findings();
        let (created, unchanged, refused) = (self.created, self.unchanged, found.refused);
        if created > 0 {
            let counts = [("created", created), ("unchanged", unchanged), ("refused", refused)];
            self.store.record_import(&self.client, &counts).await?;
        }
        if created >= MANY {
            self.store.analyze_accounts().await?;
        }
        note_act(Event::AccountsImported, Outcome::Done, OPERATOR, None, &self.client);
        tracing::info!(created, unchanged, refused, "accounts were imported");
        Ok(ImportAccountsResponse {
            row_count: found.rows,
            created_count: created,
            unchanged_count: unchanged,
            refused_count: refused,
            problems: found.problems,
        })
    }

    async fn store_batch(&mut self) -> Result<(), Error> {
        let accounts = self.file.take(BATCH);
        let begins = (self.created == 0).then_some(&self.client);
        let created = self.store.insert_accounts(&accounts, self.unverified, begins).await?;
        self.created = self.created.saturating_add(page::count(created));
        self.unchanged = self.unchanged.saturating_add(page::count(accounts.len() - created));
        Ok(())
    }
}

fn refused(field: &str, rule: &str) -> Error {
    let mut fields = Fields::default();
    fields.refuse(field, rule);
    fields.into()
}

impl From<HeaderInvalid> for Error {
    fn from(invalid: HeaderInvalid) -> Error {
        let failure = |message: String| Failure::new(Code::InvalidArgument, ErrorReason::ImportHeaderInvalid, message);
        Error::Refused(match invalid {
            HeaderInvalid::Missing => {
                failure("the file's first line lacks the column `email`".to_owned()).with("missing", "email")
            }
            HeaderInvalid::Twice(column) => {
                failure(format!("the file's first line names the column `{column}` twice")).with("twice", column)
            }
        })
    }
}
