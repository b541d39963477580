//! `MovieService`.

use quartet_chassis::clock::timestamp;
use quartet_chassis::failure::Fields;
use quartet_chassis::page;
use quartet_proto::catalogue::v1::movie_service_server::MovieService;
use quartet_proto::catalogue::v1::{
    Country, GetMovieRequest, GetMovieResponse, ListMoviesRequest, ListMoviesResponse, Movie,
};
use tonic::{Request, Response, Status};

use crate::error::Error;
use crate::filter::MovieFilter;
use crate::lists::Lists;
use crate::money;
use crate::order::{self, Order, Start};
use crate::store::Store;
use crate::store::movie::{MovieList, MovieRow};

pub struct MovieApi {
    store: Store,
    lists: Lists,
}

impl MovieApi {
    pub fn new(store: Store) -> MovieApi {
        MovieApi { lists: Lists::new(store.clone()), store }
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
            total_size: i32::try_from(total).unwrap_or(i32::MAX),
            total_pages: i32::try_from((total + size - 1) / size).unwrap_or(i32::MAX),
        }))
    }
}

fn list(request: ListMoviesRequest) -> Result<(MovieList, Start), Error> {
    let mut fields = Fields::default();
    let filter = MovieFilter::parse(request.filter.unwrap_or_default(), &mut fields);
    let order = fields.take("order_by", Order::parse(&request.order_by));
    let size = fields.take("page_size", page::size(request.page_size));
    let number = fields.take("page", page_number(request.page));
    if request.page != 0 && !request.page_token.is_empty() {
        fields.refuse("page", "must not be set together with `page_token`");
    }
    // A token can be held against a request that is right; of a wrong one it would only be said to belong to another.
    let (Some(order), Some(size), Some(number), true) = (order, size, number, fields.is_empty()) else {
        if page::decode::<serde_json::Value>(&request.page_token).is_err() {
            fields.refuse("page_token", page::NOT_A_TOKEN);
        }
        return Err(fields.into());
    };
    let token = fields.take("page_token", order::decode(&request.page_token, &filter, order));
    let Some(token) = token else { return Err(fields.into()) };
    let start = token.unwrap_or(Start::Offset((number - 1) * size));
    Ok((MovieList { filter, order, size, after: None, skip: 0, known: None }, start))
}

fn page_number(page: i32) -> Result<i64, &'static str> {
    match page {
        0 => Ok(1),
        1..=1_000_000 => Ok(i64::from(page)),
        _ => Err("must be from 1 to 1000000"),
    }
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
        }
    }
}

/// The names in a column. A row that was damaged by hand still has its movie.
fn names(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_else(|error| {
        tracing::error!(%error, "a movie's names can't be read");
        Vec::new()
    })
}
