//! F-02, K2: a rename of a term that ends in the middle, with the process.

use prost_types::FieldMask;
use quartet_proto::control::v1::SetFaultRequest;
use quartet_proto::control::v1::control_service_client::ControlServiceClient;

use super::{HEADER, import};
use crate::harness::channel;
use crate::harness::prelude::*;

/// More than two steps' worth: a step writes a thousand movies anew.
const MOVIES: i32 = 2_100;
const RENAME: &str = "/quartet.catalogue.v1.TaxonomyService/UpdateTerm";

/// An installation whose catalogue ends and comes back.
struct Stage {
    world: World,
}

impl Stage {
    async fn set() -> Stage {
        // On PostgreSQL a lone process is identity.
        let fleet = World::shared().await.is_fleet();
        Stage { world: if fleet { World::own().await } else { World::lone(&[]).await } }
    }

    async fn aim(&self, fault: Fault, skip: i32) {
        let Some(fleet) = self.world.fleet() else {
            return self.world.process().aim(fault, RENAME, skip).await;
        };
        let asked = SetFaultRequest { fault: fault.into(), failing: true, rpc: RENAME.to_owned(), skip };
        ControlServiceClient::new(channel(fleet.catalogue.started.control)).set_fault(asked).await.unwrap();
    }

    async fn revive(&mut self) {
        if self.world.is_embedded() {
            return self.world.process().revive().await;
        }
        let catalogue = &mut self.world.fleet_mut().catalogue;
        catalogue.crashed().await;
        catalogue.restart().await;
    }

    async fn rename(&self, token: &str, id: &str, name: &str) -> Result<Term, tonic::Status> {
        let kind = TermKind::Actor.into();
        let term = Some(Term { kind, term_id: id.to_owned(), name: name.to_owned(), movies: 0 });
        let update_mask = Some(FieldMask { paths: vec!["name".to_owned()] });
        let asked = UpdateTermRequest { term, update_mask };
        Ok(self.world.as_token(token).taxonomy().update_term(asked).await?.into_inner().term.unwrap())
    }

    /// How many movies have an actor of this name, by the list and by the search; nothing while there is no answer.
    async fn counted(&self, name: &str) -> Option<(i32, i32)> {
        let filter = Some(MovieFilter { actors: vec![name.to_owned()], ..Default::default() });
        let listed = self.world.movies().list_movies(ListMoviesRequest { filter, ..Default::default() }).await.ok()?;
        let asked = SearchMoviesRequest { query: format!("\"{name}\""), ..Default::default() };
        let found = self.world.movies().search_movies(asked).await.ok()?;
        Some((listed.into_inner().total_size, found.into_inner().total_size))
    }
}

#[tokio::test]
async fn f02_k2_a_rename_that_a_crash_cuts_off_goes_on_by_itself_or_has_not_begun() {
    let mut stage = Stage::set().await;
    let mut file = format!("{HEADER},crew\n");
    for row in 0..MOVIES {
        file += &format!("Movie {row},2001-01-01,50,Drama,.,Title,Released,English,1,1,JP,\"Name0, B{row}\"\n");
    }
    import(&stage.world, file.as_bytes()).await;
    let admin = stage.world.admin().await;
    let asked = ListActorsRequest { name_prefix: "Name0".to_owned(), ..Default::default() };
    let actors = stage.world.taxonomy().list_actors(asked).await.unwrap().into_inner().actors;
    let id = actors[0].actor_id.clone();

    let crashes = [
        (Fault::CrashBeforeCommit, 0),
        (Fault::CrashAfterCommit, 0),
        (Fault::CrashBeforeCommit, 1),
        (Fault::CrashAfterCommit, 1),
        (Fault::CrashBeforeCommit, 2),
        (Fault::CrashAfterCommit, 2),
    ];
    for (number, (fault, skip)) in crashes.into_iter().enumerate() {
        let (old, new) = (format!("Name{number}"), format!("Name{}", number + 1));
        stage.aim(fault, skip).await;
        let lost = Refusal::from(stage.rename(&admin.access_token, &id, &new).await.unwrap_err());
        assert!(lost.reason.is_empty() || lost.code == Code::Unavailable, "{fault:?} {skip}: {lost:?}");
        stage.revive().await;
        let begun = fault == Fault::CrashAfterCommit || skip > 0;
        let kept = if begun { &new } else { &old };
        eventually("all movies have one name", async || (stage.counted(kept).await? == (MOVIES, MOVIES)).then_some(()))
            .await;
        assert_eq!(stage.counted(if begun { &old } else { &new }).await, Some((0, 0)), "{fault:?} {skip}");
        // Who was not answered asks again, and it has happened once.
        let renamed =
            eventually("the token counts again", async || match stage.rename(&admin.access_token, &id, &new).await {
                Err(status) if status.code() == Code::Unavailable => None,
                answer => Some(answer.unwrap()),
            })
            .await;
        assert_eq!((renamed.name, renamed.movies), (new.clone(), MOVIES));
        assert_eq!(stage.counted(&new).await, Some((MOVIES, MOVIES)));
    }
}
