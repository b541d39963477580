//! What one instance of the catalogue has remembered the others know, too.

use super::school::School;
use crate::harness::prelude::*;
use crate::harness::{Clients, Process, channel};

#[tokio::test]
async fn k4_f04_every_instance_answers_a_key_with_the_same_course() {
    let world = World::own().await;
    let Some(fleet) = world.fleet() else { return };
    // As operators start them: the master key is identity's alone.
    let identities: Vec<_> = world.direct("identity").iter().map(ToString::to_string).collect();
    let mut command = fleet.grounds.role("catalogue", &["--identity-address", &identities.join(",")]);
    let key = command.iter().position(|word| word == "--master-key").expect("no master key");
    command.drain(key..key + 2);
    let instances = [Process::start(&command).await, Process::start(&command).await];
    let school = School::of(world).await;
    let mut made = Vec::new();
    for instance in &instances {
        let token = &school.teacher.person.access_token;
        let clients = Clients::new(channel(instance.started.listen), Some(token));
        let course = Some(Course { title: "Algebra".to_owned(), ..Default::default() });
        let asked = CreateCourseRequest { course, idempotency_key: "one".to_owned() };
        // An instance takes a moment until it knows what is revoked.
        let answer = eventually("it answers", async || match clients.courses().create_course(asked.clone()).await {
            Err(status) if status.code() == Code::Unavailable => None,
            answer => Some(answer),
        })
        .await;
        made.push(answer.unwrap().into_inner().course.unwrap().course_id);
    }
    assert_eq!(made[0], made[1]);
}
