//! `TaxonomyService`.

use quartet_chassis::failure::Fields;
use quartet_chassis::id::Id;
use quartet_chassis::names::NameList;
use quartet_chassis::page::{count, cut};
use quartet_proto::catalogue::v1::taxonomy_service_server::TaxonomyService;
use quartet_proto::catalogue::v1::*;
use tonic::{Request, Response, Status};

use super::term;
use crate::error::Error;
use crate::store::Store;

pub struct TaxonomyApi {
    pub store: Store,
}

#[tonic::async_trait]
impl TaxonomyService for TaxonomyApi {
    async fn list_genres(&self, request: Request<ListGenresRequest>) -> Result<Response<ListGenresResponse>, Status> {
        let request = request.into_inner();
        let list = NameList::parse(&request.name_prefix, request.page_size, &request.page_token, Id::NIL)?;
        let rows = self.store.genres(&list).await.map_err(Error::from)?;
        let (rows, next_page_token) = page(&list, rows);
        let genres = rows.into_iter().map(|(id, name, _)| Genre { genre_id: id.to_string(), name }).collect();
        Ok(Response::new(ListGenresResponse { genres, next_page_token }))
    }

    async fn list_actors(&self, request: Request<ListActorsRequest>) -> Result<Response<ListActorsResponse>, Status> {
        let request = request.into_inner();
        let list = NameList::parse(&request.name_prefix, request.page_size, &request.page_token, Id::NIL)?;
        let rows = self.store.actors(&list).await.map_err(Error::from)?;
        let (rows, next_page_token) = page(&list, rows);
        let actors = rows.into_iter().map(|(id, name, _)| Actor { actor_id: id.to_string(), name }).collect();
        Ok(Response::new(ListActorsResponse { actors, next_page_token }))
    }

    async fn list_languages(
        &self,
        request: Request<ListLanguagesRequest>,
    ) -> Result<Response<ListLanguagesResponse>, Status> {
        let request = request.into_inner();
        let list = NameList::parse(&request.name_prefix, request.page_size, &request.page_token, Id::NIL)?;
        let rows = self.store.languages(&list).await.map_err(Error::from)?;
        let (rows, next_page_token) = page(&list, rows);
        let languages = rows.into_iter().map(|(id, name, _)| Language { language_id: id.to_string(), name }).collect();
        Ok(Response::new(ListLanguagesResponse { languages, next_page_token }))
    }

    async fn list_countries(
        &self,
        request: Request<ListCountriesRequest>,
    ) -> Result<Response<ListCountriesResponse>, Status> {
        let request = request.into_inner();
        let list = NameList::parse(&request.name_prefix, request.page_size, &request.page_token, String::new())?;
        let rows = self.store.countries(&list).await.map_err(Error::from)?;
        let (rows, next_page_token) = page(&list, rows);
        let countries = rows.into_iter().map(|(code, name, _)| Country { code, name }).collect();
        Ok(Response::new(ListCountriesResponse { countries, next_page_token }))
    }

    async fn get_term(&self, request: Request<GetTermRequest>) -> Result<Response<GetTermResponse>, Status> {
        let GetTermRequest { kind, term_id } = request.into_inner();
        let term = term::known(kind, &term_id)?;
        let term = term::get(&self.store, term, term_id).await?;
        Ok(Response::new(GetTermResponse { term: Some(term) }))
    }

    async fn create_term(&self, request: Request<CreateTermRequest>) -> Result<Response<CreateTermResponse>, Status> {
        let given = request.into_inner().term.unwrap_or_default();
        let (term, name) = term::new(&given, &self.store)?;
        term::outcome(self.store.create_term(term, &name).await, &name)?;
        let term = term::get(&self.store, term, given.term_id).await?;
        Ok(Response::new(CreateTermResponse { term: Some(term) }))
    }

    async fn update_term(&self, request: Request<UpdateTermRequest>) -> Result<Response<UpdateTermResponse>, Status> {
        let request = request.into_inner();
        let given = request.term.unwrap_or_default();
        let (term, name) = term::changed(&given, &request.update_mask.unwrap_or_default().paths)?;
        term::outcome(self.store.rename_term(term, &name).await, &name)?;
        let term = term::get(&self.store, term, given.term_id).await?;
        Ok(Response::new(UpdateTermResponse { term: Some(term) }))
    }

    async fn delete_term(&self, request: Request<DeleteTermRequest>) -> Result<Response<DeleteTermResponse>, Status> {
        let DeleteTermRequest { kind, term_id } = request.into_inner();
        let term = term::known(kind, &term_id)?;
        term::outcome(self.store.delete_term(term).await, "")?;
        Ok(Response::new(DeleteTermResponse {}))
    }

    async fn merge_terms(&self, request: Request<MergeTermsRequest>) -> Result<Response<MergeTermsResponse>, Status> {
        let MergeTermsRequest { kind, from_term_id, into_term_id } = request.into_inner();
        let from = term::known(kind, &from_term_id)?;
        let into = term::known(kind, &into_term_id)?;
        if from == into {
            let mut fields = Fields::default();
            fields.refuse("into_term_id", "must be another term than `from_term_id`");
            return Err(Error::from(fields).into());
        }
        let changed = term::outcome(self.store.merge_terms(from, into).await, "")?;
        let term = term::get(&self.store, into, into_term_id).await?;
        let movies_changed = count(changed);
        Ok(Response::new(MergeTermsResponse { term: Some(term), movies_changed }))
    }
}

/// Cuts the rows, of which there is one more than asked for when others follow, to a page and its token.
fn page<T: std::str::FromStr + std::fmt::Display>(
    list: &NameList<T>,
    mut rows: Vec<(T, String, String)>,
) -> (Vec<(T, String, String)>, String) {
    let token = cut(&mut rows, list.size, |(id, _, key)| list.token(key, id));
    (rows, token)
}
