//! F-11: the line is slow, breaks, or hangs: who listens goes on where they were, who sends asks again, and all of it is there once.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::listener::{Listener, positions};
use super::talk::{direct, say, text};
use crate::harness::prelude::*;
use crate::harness::{Clients, channel};

/// How long everything is on its way, there and back.
const LATENCY: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    /// The line breaks.
    Cut,
    /// It stays, and nothing comes through.
    Hang,
}

/// A long line to a port. It ends when this is dropped.
struct Far {
    address: SocketAddr,
    trouble: watch::Sender<Trouble>,
}

impl Far {
    async fn from(to: SocketAddr) -> Far {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (trouble, watched) = watch::channel(Trouble::None);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, to, watched.clone()));
            }
        });
        Far { address, trouble }
    }

    fn clients(&self, person: &Person) -> Clients {
        Clients::new(channel(self.address), Some(&person.access_token))
    }
}

async fn carry(near: TcpStream, to: SocketAddr, mut trouble: watch::Receiver<Trouble>) {
    trouble.borrow_and_update();
    let Ok(far) = TcpStream::connect(to).await else { return };
    let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
    let both = async { tokio::join!(pipe(from_near, to_far), pipe(from_far, to_near)) };
    tokio::pin!(both);
    loop {
        tokio::select! {
            _ = &mut both => return,
            changed = trouble.changed() => match (changed.is_ok(), *trouble.borrow_and_update()) {
                (true, Trouble::None) => {}
                (true, Trouble::Hang) => break,
                _ => return,
            },
        }
    }
    // Nothing is read and nothing is written until the far end of this is dropped.
    while trouble.changed().await.is_ok() {}
}

async fn pipe(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        tokio::time::sleep(LATENCY / 2).await;
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

/// Listens over lines that end in trouble, again and again, and checks that all that is said is heard once and in order.
async fn listens(world: &World, to: SocketAddr) {
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(world, &ada, &bob).await;
    let (mut last, mut said) = (0, 0);
    for (round, trouble) in [Trouble::Cut, Trouble::Hang, Trouble::Cut, Trouble::Hang].into_iter().enumerate() {
        let far = Far::from(to).await;
        let mut listener = Listener::begin(&far.clients(&ada), positions(&[(&id, last)])).await;
        for number in 0..6 {
            if number == 3 {
                listener.change(&id, said).await;
            }
            say(world, &bob, &id, &format!("{round} {number}")).await;
            said += 1;
        }
        far.trouble.send(trouble).unwrap();
        if trouble == Trouble::Cut {
            while let Ok(Some(_)) = listener.next().await {}
        }
        let heard = listener.changes(&id);
        assert_eq!(heard.first().map(|change| change.change_seq), Some(last + 1));
        last = heard.last().map_or(last, |change| change.change_seq);
    }
    let mut rest = Listener::with(world, &ada, positions(&[(&id, last)])).await;
    say(world, &bob, &id, "the end").await;
    let (change, _) = rest.message("the end").await;
    assert_eq!(change.change_seq, said + 1);
    assert_eq!(rest.changes(&id).first().map(|change| change.change_seq), Some(last + 1));
}

#[tokio::test]
async fn f11_over_a_line_that_breaks_and_hangs_all_is_heard_once_and_in_order() {
    let world = World::shared().await;
    listens(&world, world.gateway()).await;
}

#[tokio::test]
async fn f11_the_same_holds_for_the_line_to_messaging_itself() {
    let world = World::shared().await;
    let Some(messaging) = world.direct("messaging").first().copied() else { return };
    listens(&world, messaging).await;
}

#[tokio::test]
async fn f11_what_is_sent_over_a_line_that_breaks_is_there_once() {
    let world = World::shared().await;
    let (ada, bob) = (world.sign_up("ada").await, world.sign_up("bob").await);
    let id = direct(&world, &ada, &bob).await;
    for round in 0..6 {
        let asked = text(&id, &format!("round {round}"));
        let far = Far::from(world.gateway()).await;
        let clients = far.clients(&ada);
        clients
            .messages()
            .list_messages(ListMessagesRequest { conversation_id: id.clone(), ..Default::default() })
            .await
            .unwrap();
        let broken = async {
            // In the first rounds before it has arrived, in others behind that.
            tokio::time::sleep(LATENCY * round / 3).await;
            far.trouble.send(Trouble::Cut).unwrap();
        };
        let mut messages = clients.messages();
        let (first, ()) = tokio::join!(messages.send_message(asked.clone()), broken);
        let again = eventually("it is answered", async || {
            clients.messages().send_message(asked.clone()).await.ok()?.into_inner().message
        })
        .await;
        if let Ok(first) = first {
            assert_eq!(first.into_inner().message.unwrap().message_id, again.message_id);
        }
        assert_eq!(again.seq, i64::from(round) + 1, "it is one, whichever of the two was heard");
    }
}
