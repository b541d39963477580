//! The rpcs of projects and their members.

use super::membership;
use crate::fault::stage::{Case, Stage};
use crate::harness::prelude::*;
use crate::media::{uploaded, video};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case { name: "ProjectService/CreateProject", run: |stage| Box::pin(create(stage)) },
        Case { name: "ProjectService/UpdateProject", run: |stage| Box::pin(rename(stage)) },
        Case { name: "ProjectService/DeleteProject", run: |stage| Box::pin(delete(stage)) },
        Case { name: "ProjectService/UndeleteProject", run: |stage| Box::pin(undelete(stage)) },
        Case { name: "ProjectMemberService/SetMember", run: |stage| Box::pin(set_member(stage)) },
        Case { name: "ProjectMemberService/RemoveMember", run: |stage| Box::pin(remove_member(stage)) },
        Case { name: "ProjectMemberService/TransferProject", run: |stage| Box::pin(transfer(stage)) },
    ]
}

impl Stage {
    async fn names(&self, person: &Person, deleted: bool) -> Vec<String> {
        let asked = ListProjectsRequest { deleted, ..Default::default() };
        let listed = person.projects(&self.world).list_projects(asked).await.unwrap().into_inner();
        listed.projects.into_iter().map(|project| project.name).collect()
    }

    async fn members(&self, person: &Person, project: &Project) -> Vec<(String, ProjectRole)> {
        let asked = ListMembersRequest { project_id: project.project_id.clone(), ..Default::default() };
        let listed = person.members(&self.world).list_members(asked).await.unwrap().into_inner();
        listed.members.into_iter().map(|member| (member.account_id.clone(), member.role())).collect()
    }
}

async fn create(stage: &mut Stage) {
    let ada = stage.world.sign_up("ada").await;
    let asked = CreateProjectRequest { name: "New".into(), idempotency_key: "k".into() };
    let outcome = stage
        .call("ProjectService/CreateProject", &ada, async |clients| {
            clients.projects().create_project(asked.clone()).await
        })
        .await;
    assert_eq!(outcome.unwrap().project.unwrap().name, "New");
    assert_eq!(stage.names(&ada, false).await, ["New"]);
}

async fn rename(stage: &mut Stage) {
    let (ada, project) = stage.owner().await;
    let update_mask = Some(prost_types::FieldMask { paths: vec!["name".into()] });
    let renamed = Project { project_id: project.project_id, name: "Renamed".into(), ..Default::default() };
    let asked = UpdateProjectRequest { project: Some(renamed), update_mask };
    let outcome = stage
        .call("ProjectService/UpdateProject", &ada, async |clients| {
            clients.projects().update_project(asked.clone()).await
        })
        .await;
    assert_eq!(outcome.unwrap().project.unwrap().name, "Renamed");
    assert_eq!(stage.names(&ada, false).await, ["Renamed"]);
}

async fn delete(stage: &mut Stage) {
    let (ada, project) = stage.owner().await;
    let asked = DeleteProjectRequest { project_id: project.project_id.clone() };
    let outcome = stage
        .call("ProjectService/DeleteProject", &ada, async |clients| {
            clients.projects().delete_project(asked.clone()).await
        })
        .await;
    stage.done(outcome, "PROJECT_NOT_FOUND");
    assert!(stage.names(&ada, false).await.is_empty());
    assert_eq!(stage.names(&ada, true).await, ["Project"]);
}

async fn undelete(stage: &mut Stage) {
    let (ada, project) = stage.owner().await;
    let media = uploaded(&stage.world, &ada, video(&project.project_id, "a.mp4", b"abc"), b"abc").await;
    let deleted = DeleteProjectRequest { project_id: project.project_id.clone() };
    ada.projects(&stage.world).delete_project(deleted).await.unwrap();
    let asked = UndeleteProjectRequest { project_id: project.project_id.clone() };
    let outcome = stage
        .call("ProjectService/UndeleteProject", &ada, async |clients| {
            clients.projects().undelete_project(asked.clone()).await
        })
        .await;
    assert_eq!(outcome.unwrap().project.unwrap().delete_time, None);
    stage.has_one(&ada, &project, &media.media_id, b"abc").await;
}

async fn set_member(stage: &mut Stage) {
    let (ada, project) = stage.owner().await;
    let editor = stage.editor(&ada, &project).await;
    let asked = membership(&project, &editor, ProjectRole::Viewer);
    let outcome = stage
        .call("ProjectMemberService/SetMember", &ada, async |clients| clients.members().set_member(asked.clone()).await)
        .await;
    assert_eq!(outcome.unwrap().member.unwrap().role(), ProjectRole::Viewer);
    let members = [(ada.account_id.clone(), ProjectRole::Owner), (editor.account_id.clone(), ProjectRole::Viewer)];
    assert_eq!(stage.members(&ada, &project).await, members);
}

async fn remove_member(stage: &mut Stage) {
    let (ada, project) = stage.owner().await;
    let editor = stage.editor(&ada, &project).await;
    let asked = RemoveMemberRequest { project_id: project.project_id.clone(), account_id: editor.account_id.clone() };
    let outcome = stage
        .call("ProjectMemberService/RemoveMember", &ada, async |clients| {
            clients.members().remove_member(asked.clone()).await
        })
        .await;
    stage.done(outcome, "MEMBER_NOT_FOUND");
    assert_eq!(stage.members(&ada, &project).await, [(ada.account_id.clone(), ProjectRole::Owner)]);
}

async fn transfer(stage: &mut Stage) {
    let (ada, project) = stage.owner().await;
    let media = uploaded(&stage.world, &ada, video(&project.project_id, "a.mp4", b"abc"), b"abc").await;
    let editor = stage.editor(&ada, &project).await;
    let asked =
        TransferProjectRequest { project_id: project.project_id.clone(), account_id: editor.account_id.clone() };
    ada.members(&stage.world).transfer_project(asked.clone()).await.expect("not offered");
    let outcome = stage
        .call("ProjectMemberService/TransferProject", &editor, async |clients| {
            clients.members().transfer_project(asked.clone()).await
        })
        .await;
    // Whose it is by now is answered the same.
    let taken = outcome.expect("not taken").project.unwrap();
    assert_eq!(taken.owner_account_id, editor.account_id);
    stage.has_one(&editor, &project, &media.media_id, b"abc").await;
    assert_eq!(stage.used(&ada).await, 0);
}
