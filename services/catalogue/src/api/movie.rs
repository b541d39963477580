//! `MovieService`.

use quartet_chassis::clock::timestamp;
use quartet_chassis::etag;
use quartet_chassis::failure::Fields;
use quartet_chassis::page;
use quartet_chassis::parts::Parts;
use quartet_proto::catalogue::v1::movie_service_server::MovieService;
use quartet_proto::catalogue::v1::*;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::watch;
use crate::error::Error;
use crate::feed::Place;
use crate::filter;
use crate::given;
use crate::lists::Lists;
use crate::money;
use crate::order::{self, Order};
use crate::search::found::{self, Count};
use crate::search::place;
use crate::search::query::{LENGTH, Query};
use crate::searches::{self, Search, Searches};
use crate::store::Store;
use crate::store::movie::{MovieList, MovieRow, names};
use crate::store::write::Written;

pub struct MovieApi {
    store: Store,
    lists: Lists,
    searches: Searches,
    parts: Parts,
}

impl MovieApi {
    pub fn new(store: Store, parts: Parts) -> MovieApi {
        MovieApi { lists: Lists::new(store.clone()), searches: Searches::new(store.clone()), store, parts }
    }
}

#[tonic::async_trait]
impl MovieService for MovieApi {
    async fn get_movie(&self, request: Request<GetMovieRequest>) -> Result<Response<GetMovieResponse>, Status> {
        let GetMovieRequest { movie_id } = request.into_inner();
        let Ok(id) = movie_id.parse() else { return Err(Error::MovieNotFound(movie_id).into()) };
        let movie = self.store.movie(id).await.map_err(Error::from)?.ok_or(Error::MovieNotFound(movie_id))?;
        Ok(Response::new(GetMovieResponse { movie: Some(movie.into()) }))
    }

    async fn list_movies(&self, request: Request<ListMoviesRequest>) -> Result<Response<ListMoviesResponse>, Status> {
        let (list, start) = list(request.into_inner())?;
        let (filter, order, size) = (list.filter.clone(), list.order, list.size);
        let (page, total) = self.lists.page(list, start).await.map_err(Error::from)?;
        let last = page.movies.last().filter(|_| page.more);
        let next = last.map(|movie| order::encode(&filter, order, &movie.position(order), total));
        Ok(Response::new(ListMoviesResponse {
            movies: page.movies.into_iter().map(Movie::from).collect(),
            next_page_token: next.unwrap_or_default(),
            total_size: page::count(total),
            total_pages: page::count((total + size - 1) / size),
        }))
    }

    async fn create_movie(
        &self,
        request: Request<CreateMovieRequest>,
    ) -> Result<Response<CreateMovieResponse>, Status> {
        let mut fields = Fields::default();
        let given = request.into_inner().movie.unwrap_or_default();
        let new = given::new_movie(&given, self.store.now().date(), &mut fields);
        fields.finish()?;
        let written = self.store.create_movie(&new).await.map_err(Error::from)?;
        Ok(Response::new(CreateMovieResponse { movie: Some(movie(written, String::new())?) }))
    }

    async fn update_movie(
        &self,
        request: Request<UpdateMovieRequest>,
    ) -> Result<Response<UpdateMovieResponse>, Status> {
        let UpdateMovieRequest { movie: given, update_mask, etag } = request.into_inner();
        let (given, paths) = (given.unwrap_or_default(), update_mask.unwrap_or_default().paths);
        let mut fields = Fields::default();
        let patch = given::movie_patch(&given, &paths, self.store.now().date(), &mut fields);
        fields.finish()?;
        let Ok(id) = given.movie_id.parse() else { return Err(Error::MovieNotFound(given.movie_id).into()) };
        let written = self.store.update_movie(id, etag::version(&etag), &patch).await.map_err(Error::from)?;
        Ok(Response::new(UpdateMovieResponse { movie: Some(movie(written, given.movie_id)?) }))
    }

    async fn delete_movie(
        &self,
        request: Request<DeleteMovieRequest>,
    ) -> Result<Response<DeleteMovieResponse>, Status> {
        let DeleteMovieRequest { movie_id, etag } = request.into_inner();
        let Ok(id) = movie_id.parse() else { return Err(Error::MovieNotFound(movie_id).into()) };
        let written = self.store.delete_movie(id, etag::version(&etag)).await.map_err(Error::from)?;
        movie(written, movie_id)?;
        Ok(Response::new(DeleteMovieResponse {}))
    }

    async fn search_movies(
        &self,
        request: Request<SearchMoviesRequest>,
    ) -> Result<Response<SearchMoviesResponse>, Status> {
        let request = request.into_inner();
        if let Some(known) = self.searches.known(&request).await.map_err(Error::from)? {
            return Ok(Response::new(known));
        }
        let search = search(request.clone())?;
        let page = self.searches.page(&search).await.map_err(Error::from)?;
        let next = page.last.map(|last| place::encode(&search.query, &search.filter, &last));
        let answer = SearchMoviesResponse {
            movies: page.movies.into_iter().map(Movie::from).collect(),
            next_page_token: next.unwrap_or_default(),
            total_size: page::count(page.total),
            total_pages: page::count(page.total.div_ceil(search.size)),
            facets: request.with_facets.then(|| page.facets.into()),
        };
        if let Some(version) = page.version {
            self.searches.know(&request, version, &answer);
        }
        Ok(Response::new(answer))
    }

    type WatchMoviesStream = ReceiverStream<Result<WatchMoviesResponse, Status>>;

    async fn watch_movies(
        &self,
        request: Request<WatchMoviesRequest>,
    ) -> Result<Response<Self::WatchMoviesStream>, Status> {
        let mut fields = Fields::default();
        let cursor = fields.take("cursor", Place::parse(&request.into_inner().cursor));
        let Some(cursor) = cursor else { return Err(Error::from(fields).into()) };
        let state = self.store.state().await.map_err(Error::from)?;
        let place = cursor.unwrap_or_else(|| Place::first(&state));
        if !place.is_known(&state) {
            return Err(Error::CursorTooOld.into());
        }
        Ok(Response::new(watch::begin(&self.store, place, &self.parts)))
    }
}

/// What was written, or why nothing was.
fn movie(written: Written, id: String) -> Result<Movie, Error> {
    match written {
        Written::Done(row) => Ok((*row).into()),
        Written::NotFound => Err(Error::MovieNotFound(id)),
        Written::Stale => Err(Error::EtagStale),
        Written::Exists(other) => {
            let MovieRow { movie_id, name, release_date, .. } = *other;
            Err(Error::MovieExists { id: movie_id.to_string(), name, release_date })
        }
    }
}

fn list(request: ListMoviesRequest) -> Result<(MovieList, order::Start), Error> {
    let mut fields = Fields::default();
    let filter = filter::MovieFilter::parse(request.filter.unwrap_or_default(), &mut fields);
    let order = fields.take("order_by", Order::parse(&request.order_by));
    let size = fields.take("page_size", page::size(request.page_size));
    let number = page_number(request.page, &request.page_token, &mut fields);
    // A token can be held against a request that is right; of a wrong one it would only be said to belong to another.
    let (Some(order), Some(size), Some(number), true) = (order, size, number, fields.is_empty()) else {
        return Err(wrong(fields, &request.page_token));
    };
    let token = fields.take("page_token", order::decode(&request.page_token, &filter, order));
    let Some(token) = token else { return Err(fields.into()) };
    let start = token.unwrap_or(order::Start::Offset((number - 1) * size));
    Ok((MovieList { filter, order, size, after: None, skip: 0, known: None }, start))
}

fn search(request: SearchMoviesRequest) -> Result<Search, Error> {
    let mut fields = Fields::default();
    if request.query.len() > LENGTH {
        fields.refuse("query", format!("must not be longer than {LENGTH} bytes"));
    }
    let filter = filter::MovieFilter::parse(request.filter.unwrap_or_default(), &mut fields);
    let size = fields.take("page_size", page::size(request.page_size));
    let number = page_number(request.page, &request.page_token, &mut fields);
    let (Some(size), Some(number), true) = (size, number, fields.is_empty()) else {
        return Err(wrong(fields, &request.page_token));
    };
    let query = Query::parse(&request.query);
    let token = fields.take("page_token", place::decode(&request.page_token, &query, &filter));
    let Some(token) = token else { return Err(fields.into()) };
    let size = usize::try_from(size).unwrap_or_default();
    let offset = usize::try_from(number - 1).unwrap_or_default() * size;
    let start = token.map_or(searches::Start::Offset(offset), searches::Start::Behind);
    Ok(Search { query, filter, size, start })
}

/// The refusal of a request that is wrong, also of a token that is none.
fn wrong(mut fields: Fields, token: &str) -> Error {
    if page::decode::<serde_json::Value>(token).is_err() {
        fields.refuse("page_token", page::NOT_A_TOKEN);
    }
    fields.into()
}

fn page_number(page: i32, token: &str, fields: &mut Fields) -> Option<i64> {
    if page != 0 && !token.is_empty() {
        fields.refuse("page", "must not be set together with `page_token`");
    }
    let number = match page {
        0 => Ok(1),
        1..=1_000_000 => Ok(i64::from(page)),
        _ => Err("must be from 1 to 1000000"),
    };
    fields.take("page", number)
}

impl From<MovieRow> for Movie {
    fn from(row: MovieRow) -> Movie {
        let country = row.country_code.zip(row.country_name);
        Movie {
            movie_id: row.movie_id.to_string(),
            name: row.name,
            original_name: row.original_name,
            release_date: row.release_date,
            score: row.score,
            overview: row.overview,
            status: row.status,
            budget: money::format(row.budget_cents),
            revenue: money::format(row.revenue_cents),
            country: country.map(|(code, name)| Country { code, name }),
            genres: names(&row.genres),
            actors: names(&row.actors),
            languages: names(&row.languages),
            create_time: Some(timestamp(row.create_time)),
            update_time: Some(timestamp(row.update_time)),
            etag: format!("{:x}", row.change_number),
        }
    }
}

impl From<found::Facets> for MovieFacets {
    fn from(facets: found::Facets) -> MovieFacets {
        let counts = |counts: Vec<Count>| counts.into_iter().map(FacetCount::from).collect::<Vec<_>>();
        let mut statuses = counts(facets.statuses);
        for count in &mut statuses {
            let status = count.value.parse().ok().and_then(|number: i32| MovieStatus::try_from(number).ok());
            let status = status.unwrap_or_default();
            status.as_str_name().clone_into(&mut count.value);
            count.name = crate::movie::status_name(status).to_owned();
        }
        MovieFacets {
            genres: counts(facets.genres),
            countries: counts(facets.countries),
            languages: counts(facets.languages),
            decades: counts(facets.decades),
            statuses,
        }
    }
}

impl From<Count> for FacetCount {
    fn from(Count { value, name, movies }: Count) -> FacetCount {
        FacetCount { value, name, movies }
    }
}
