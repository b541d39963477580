//! `SectionService`.

use quartet_chassis::caller::Caller;
use quartet_chassis::clock::timestamp;
use quartet_chassis::etag;
use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::page;
use quartet_proto::catalogue::v1::section_service_server::SectionService;
use quartet_proto::catalogue::v1::*;
use serde::{Deserialize, Serialize};
use tonic::{Request, Response, Status};

use super::ask;
use crate::course::SECTIONS;
use crate::course_given;
use crate::error::Error;
use crate::right::Asker;
use crate::store::Store;
use crate::store::section::SectionRow;

/// About how many bytes a section has beside its texts.
const ROW: usize = 200;

/// The rpcs of sections.
pub struct SectionApi {
    pub store: Store,
}

#[tonic::async_trait]
impl SectionService for SectionApi {
    async fn create_section(
        &self,
        request: Request<CreateSectionRequest>,
    ) -> Result<Response<CreateSectionResponse>, Status> {
        let asker = Asker::from(&Caller::of(&request)?);
        let given = request.into_inner().section.unwrap_or_default();
        let mut fields = Fields::default();
        let new = course_given::new_section(&given, &mut fields);
        let (Some(new), true) = (new, fields.is_empty()) else { return Err(Error::from(fields).into()) };
        let course = ask::course(&given.course_id)?;
        let made = self.store.create_section(course, given.position, &new, &asker).await?;
        Ok(Response::new(CreateSectionResponse { section: Some(made.into()) }))
    }

    async fn get_section(&self, request: Request<GetSectionRequest>) -> Result<Response<GetSectionResponse>, Status> {
        let asker = Asker::from(&Caller::of(&request)?);
        let GetSectionRequest { section_id } = request.into_inner();
        let found = self.store.section(ask::section(&section_id)?, &asker).await.map_err(Error::from)?;
        let found = found.ok_or(Error::SectionNotFound(section_id))?;
        Ok(Response::new(GetSectionResponse { section: Some(found.into()) }))
    }

    async fn list_sections(
        &self,
        request: Request<ListSectionsRequest>,
    ) -> Result<Response<ListSectionsResponse>, Status> {
        let asker = Asker::from(&Caller::of(&request)?);
        let ListSectionsRequest { course_id, page_size, page_token } = request.into_inner();
        let mut fields = Fields::default();
        let size = fields.take("page_size", page::size(page_size));
        let after = fields.take("page_token", position(&page_token, &course_id));
        let (Some(size), Some(after)) = (size, after) else { return Err(Error::from(fields).into()) };
        let mut rows = self.store.sections(ask::course(&course_id)?, after, size, &asker).await?;
        let length = |row: &SectionRow| row.title.len() + row.description.len() + ROW;
        let next_page_token = page::cut_long(&mut rows, size, length, |row| token(&course_id, row.position));
        let sections = rows.into_iter().map(Section::from).collect();
        Ok(Response::new(ListSectionsResponse { sections, next_page_token }))
    }

    async fn update_section(
        &self,
        request: Request<UpdateSectionRequest>,
    ) -> Result<Response<UpdateSectionResponse>, Status> {
        let asker = Asker::from(&Caller::of(&request)?);
        let UpdateSectionRequest { section, update_mask } = request.into_inner();
        let given = section.unwrap_or_default();
        let mut fields = Fields::default();
        let patch = course_given::section_patch(&given, &update_mask.unwrap_or_default().paths, &mut fields);
        fields.finish()?;
        let id = ask::section(&given.section_id)?;
        let changed = self.store.update_section(id, etag::version(&given.etag), &patch, &asker).await?;
        Ok(Response::new(UpdateSectionResponse { section: Some(changed.into()) }))
    }

    async fn delete_section(
        &self,
        request: Request<DeleteSectionRequest>,
    ) -> Result<Response<DeleteSectionResponse>, Status> {
        let asker = Asker::from(&Caller::of(&request)?);
        let DeleteSectionRequest { section_id, etag } = request.into_inner();
        self.store.delete_section(ask::section(&section_id)?, etag::version(&etag), &asker).await?;
        Ok(Response::new(DeleteSectionResponse {}))
    }

    async fn reorder_sections(
        &self,
        request: Request<ReorderSectionsRequest>,
    ) -> Result<Response<ReorderSectionsResponse>, Status> {
        let asker = Asker::from(&Caller::of(&request)?);
        let ReorderSectionsRequest { course_id, section_ids } = request.into_inner();
        let mut fields = Fields::default();
        let order = fields.take("section_ids", ids(&section_ids, SECTIONS));
        let course = ask::course(&course_id)?;
        let Some(order) = order else { return Err(Error::from(fields).into()) };
        self.store.reorder_sections(course, &order, &asker).await?;
        Ok(Response::new(ReorderSectionsResponse {}))
    }
}

/// The ids of a list that has no more than `most`.
pub fn ids(texts: &[String], most: usize) -> Result<Vec<Id>, String> {
    if texts.len() > most {
        return Err(format!("must be at most {most}"));
    }
    let ids: Result<Vec<Id>, _> = texts.iter().map(|text| text.parse()).collect();
    ids.map_err(|_| "must be ids".to_owned())
}

/// Behind which place of what a page begins.
#[derive(Serialize, Deserialize)]
struct Token {
    of: String,
    after: i32,
}

pub fn token(of: &str, after: i32) -> String {
    page::encode(&Token { of: of.to_owned(), after })
}

/// The place that a token names; 0, in front of all, without one.
pub fn position(token: &str, of: &str) -> Result<i32, &'static str> {
    match page::decode::<Token>(token)? {
        None => Ok(0),
        Some(token) if token.of == of => Ok(token.after),
        Some(_) => Err(page::NOT_A_TOKEN),
    }
}

impl From<SectionRow> for Section {
    fn from(row: SectionRow) -> Section {
        Section {
            section_id: row.id.to_string(),
            course_id: row.course_id.to_string(),
            state: row.state().into(),
            title: row.title,
            description: row.description,
            position: row.position,
            etag: etag::of(row.version),
            create_time: Some(timestamp(row.create_time)),
            update_time: Some(timestamp(row.update_time)),
        }
    }
}
