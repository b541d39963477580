//! Rooms and their streams, with a list in place of the database.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::DateTime;
use prost::Message as _;
use quartet_chassis::clock::Clock;
use quartet_chassis::id::Id;
use quartet_proto::messaging::v1::SubscribeResponse;
use quartet_proto::messaging::v1::subscribe_response::Event;

use super::frame::{Frames, Kind};
use super::item::{Item, Left};
use super::room::{Levelled, Room};
use super::stream::Stream;
use super::view::View;
use crate::store::change::{ChangeRow, kind};
use crate::store::live::Far;
use crate::store::member::MemberRow;
use crate::store::message_view::{MessageRow, MessageView};
use crate::store::told::{Subject, Told};

pub(super) const CONVERSATION: Id = Id::MAX;

pub(super) fn account(number: u8) -> Id {
    Id::from_bytes([number; 16])
}

pub(super) fn stream(account: Id) -> Arc<Stream> {
    Arc::new(Stream::new(Id::new(&Clock::System), account, Kind::Subscribe))
}

pub(super) fn row(number: i64, kind: &str, seq: i64) -> ChangeRow {
    ChangeRow {
        conversation_id: CONVERSATION,
        number,
        kind: kind.to_owned(),
        seq,
        account_id: None,
        subject: String::new(),
        create_time: DateTime::UNIX_EPOCH.naive_utc(),
    }
}

/// A message, whose number is the change's.
pub(super) fn sent(number: i64, sender: Id) -> Told {
    let message = MessageRow {
        conversation_id: CONVERSATION,
        seq: number,
        id: Id::MAX,
        sender_id: Some(sender),
        client_message_id: format!("mine {number}"),
        request_hash: Vec::new(),
        body: format!("text {number}"),
        extras: String::new(),
        reactions: String::new(),
        reply_to_seq: 0,
        is_deleted: false,
        is_indexed: false,
        version: 1,
        send_time: DateTime::UNIX_EPOCH.naive_utc(),
        edit_time: None,
    };
    Told::of(row(number, kind::SENT, number), MessageView::shared(message))
}

pub(super) fn left(number: i64, who: Id) -> Told {
    let subject = Subject { account_id: who, account: None, role: String::new(), member: None };
    Told { row: row(number, kind::LEFT, 0), message: None, reactions: None, subjects: vec![subject] }
}

/// Somebody who takes part and has read so far.
pub(super) fn member(who: Id, far: i64) -> MemberRow {
    MemberRow {
        conversation_id: CONVERSATION,
        account_id: who,
        role: "MEMBER".to_owned(),
        joined_seq: 0,
        joined_change: 0,
        cleared_seq: 0,
        delivered_seq: far,
        read_seq: far,
        favorite: false,
        pin_number: None,
        muted_until: None,
        has_written: false,
        began: false,
        blocks: false,
        blocked: false,
        create_time: DateTime::UNIX_EPOCH.naive_utc(),
    }
}

pub(super) fn item(told: Told) -> Item {
    Item::new(told, Left::default())
}

pub(super) fn view(last_change: i64, marks: &[Far]) -> View {
    View {
        id: CONVERSATION,
        frames: Frames::of_event(Event::Conversation(super::pb::Conversation { last_change, ..Default::default() })),
        last_change,
        last_seq: i64::MAX,
        first_change: 1,
        joined_change: 0,
        hidden_seq: 0,
        people: 3,
        marks: marks.to_vec(),
        peer: None,
        stranger: None,
    }
}

/// What a stream was told.
pub(super) fn told(stream: &Stream) -> Vec<Event> {
    let (mut events, all) = (Vec::new(), stream.take_all());
    let mut rest = all.as_slice();
    while let Some((prefix, more)) = rest.split_at_checked(5) {
        let length = prefix[1..].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        events.extend(SubscribeResponse::decode(&more[..length]).ok().and_then(|message| message.event));
        rest = &more[length..];
    }
    events
}

pub(super) fn numbers(events: &[Event]) -> Vec<i64> {
    let number = |event: &Event| if let Event::Change(change) = event { Some(change.change_seq) } else { None };
    events.iter().filter_map(number).collect()
}

pub(super) fn joined(room: &Room, stream: &Arc<Stream>, at: i64) {
    room.sit(stream);
    assert_eq!(room.level(stream, at, Some(&view(at, &[]))), Levelled::Level);
}

#[test]
fn g4_a_sender_hears_what_the_others_hear_and_what_they_called_it() {
    let room = Room::new(CONVERSATION);
    let (ada, bob) = (stream(account(1)), stream(account(2)));
    joined(&room, &ada, 0);
    joined(&room, &bob, 0);
    room.put([item(sent(2, account(2))), item(sent(1, account(1)))].into_iter());
    room.pump();
    let named = |events: Vec<Event>| {
        let name = |event: Event| match event {
            Event::Change(change) => match change.what? {
                super::pb::change::What::Sent(message) => Some(message.client_message_id),
                _ => None,
            },
            _ => None,
        };
        events.into_iter().filter_map(name).collect::<Vec<_>>()
    };
    assert_eq!(named(told(&ada)), ["mine 1", ""]);
    assert_eq!(named(told(&bob)), ["", "mine 2"]);
}

#[test]
fn g4_who_reads_while_something_happens_hears_it_once() {
    let room = Room::new(CONVERSATION);
    let (ada, bob, eve) = (stream(account(1)), stream(account(2)), stream(account(3)));
    // Both sit down in an empty room; the first who has read says where it begins.
    room.sit(&ada);
    room.sit(&bob);
    assert_eq!(room.level(&ada, 5, Some(&view(5, &[]))), Levelled::Level);
    // What the second has read is older: it reads again, behind that.
    assert_eq!(room.level(&bob, 4, Some(&view(4, &[]))), Levelled::Behind);
    assert_eq!(room.level(&bob, 5, None), Levelled::Level);
    // The third has read what the room has not had yet.
    room.sit(&eve);
    room.put([item(sent(6, account(1)))].into_iter());
    room.pump();
    assert_eq!(room.level(&eve, 8, Some(&view(8, &[]))), Levelled::Level);
    room.put([7, 8, 9].into_iter().map(|number| item(sent(number, account(1)))));
    room.pump();
    assert_eq!(numbers(&told(&ada)), [6, 7, 8, 9]);
    assert_eq!(numbers(&told(&bob)), [6, 7, 8, 9]);
    assert_eq!(numbers(&told(&eve)), [9]);
}

#[test]
fn g4_a_conversation_that_is_read_once_more_is_not_older_than_what_was_told() {
    let room = Room::new(CONVERSATION);
    let ada = stream(account(1));
    joined(&room, &ada, 0);
    let happens = |number: i64| {
        room.put(std::iter::once(item(sent(number, account(2)))));
        room.pump();
        room.receipt(account(3), (number, number));
    };
    happens(1);
    room.hold(&ada);
    // It is read here; what happens behind that waits until it is told.
    happens(2);
    happens(3);
    assert_eq!(numbers(&told(&ada)), [1]);
    assert_eq!(room.level(&ada, 2, Some(&view(2, &[(account(3), (2, 2))]))), Levelled::Level);
    let events = told(&ada);
    assert!(matches!(events.first(), Some(Event::Conversation(_))), "{events:?}");
    assert_eq!(numbers(&events), [2, 3]);
    let receipts = events.iter().filter(|event| matches!(event, Event::Receipt(receipt) if receipt.read_seq == 3));
    assert_eq!(receipts.count(), 1);
    happens(4);
    assert_eq!(numbers(&told(&ada)), [4]);
}

#[test]
fn g4_a_stream_on_which_nothing_happens_beats_each_half_minute() {
    let (ada, beat) = (stream(account(1)), Frames::of_event(Event::Beat(super::pb::Beat {})));
    let seconds = |count: u32| {
        (0..count).for_each(|_| ada.tick(&beat));
        told(&ada).iter().filter(|event| matches!(event, Event::Beat(_))).count()
    };
    assert_eq!((seconds(29), seconds(1), seconds(29), seconds(1), seconds(300)), (0, 1, 0, 1, 10));
    seconds(20);
    ada.tell(Event::CaughtUp(super::pb::CaughtUp {}));
    assert_eq!((seconds(29), seconds(1)), (0, 1));
}

#[test]
fn s44_too_much_is_not_waited_with_and_then_what_was_read_does_not_count() {
    let room = Room::new(CONVERSATION);
    let ada = stream(account(1));
    joined(&room, &ada, 0);
    told(&ada);
    room.hold(&ada);
    room.receipt(account(3), (1, 1));
    for number in 1..=600 {
        room.put(std::iter::once(item(sent(number, account(2)))));
        room.pump();
    }
    let all: Vec<i64> = (1..=600).collect();
    assert_eq!(numbers(&told(&ada)), all);
    // It was read at the first of them.
    assert_eq!(room.level(&ada, 1, Some(&view(1, &[(account(3), (0, 0))]))), Levelled::Ahead);
    assert!(told(&ada).is_empty());
    room.hold(&ada);
    assert_eq!(room.level(&ada, 600, Some(&view(600, &[(account(3), (0, 0))]))), Levelled::Level);
    let events = told(&ada);
    assert!(matches!(events.as_slice(), [Event::Conversation(_), Event::Receipt(_)]), "{events:?}");
}

#[test]
fn g6_in_a_large_group_too_nobody_is_told_less_than_before_when_it_is_read_once_more() {
    let room = Room::new(CONVERSATION);
    let ada = stream(account(1));
    joined(&room, &ada, 0);
    room.lock().people = 1000;
    room.put(std::iter::once(item(sent(1, account(1)))));
    room.pump();
    told(&ada);
    room.hold(&ada);
    // It is read here.
    let mut read = view(1, &[(account(3), (0, 0))]);
    read.people = 1000;
    room.receipt(account(3), (1, 1));
    room.tell_late();
    assert!(told(&ada).is_empty());
    assert_eq!(room.level(&ada, 1, Some(&read)), Levelled::Level);
    let events = told(&ada);
    assert!(matches!(events.as_slice(), [Event::Conversation(_), Event::Receipt(_)]), "{events:?}");
}

#[test]
fn s32_nothing_comes_behind_a_removal() {
    let room = Room::new(CONVERSATION);
    let (ada, bob) = (stream(account(1)), stream(account(2)));
    joined(&room, &ada, 0);
    joined(&room, &bob, 0);
    // It comes late; what follows it was there before.
    room.put([item(sent(3, account(1))), item(sent(1, account(1)))].into_iter());
    room.pump();
    room.put([item(left(2, account(2)))].into_iter());
    room.pump();
    assert_eq!(numbers(&told(&ada)), [1, 2, 3]);
    let events = told(&bob);
    assert_eq!(numbers(&events), [1, 2]);
    assert!(matches!(events.last(), Some(Event::Gone(_))));
    assert_eq!((room.len(), room.receipt(account(1), (3, 3))), (1, false));
    assert!(told(&bob).is_empty());
}

#[test]
fn s32_what_is_read_when_somebody_has_gone_is_not_told_to_them() {
    let room = Room::new(CONVERSATION);
    let (ada, bob) = (stream(account(1)), stream(account(2)));
    joined(&room, &ada, 0);
    joined(&room, &bob, 0);
    // Bob left by the third change. The first message is read as it is by now.
    let gone: Left = Arc::new(HashMap::from([(account(2), 3)]));
    let all = [sent(1, account(1)), sent(2, account(1)), left(3, account(2)), sent(4, account(1))];
    room.put(all.into_iter().map(|told| Item::new(told, gone.clone())));
    room.pump();
    assert_eq!(numbers(&told(&ada)), [1, 2, 3, 4]);
    let events = told(&bob);
    assert_eq!(numbers(&events), [1, 2, 3]);
    assert!(!format!("{events:?}").contains("text"), "{events:?}");
    assert!(matches!(events.last(), Some(Event::Gone(_))));
}

#[test]
fn g4_receipts_wait_for_the_conversation_and_only_rise() {
    let room = Room::new(CONVERSATION);
    let (ada, bob) = (stream(account(1)), stream(account(2)));
    joined(&room, &ada, 0);
    room.sit(&bob);
    for mark in [(3, 2), (2, 1), (3, 3), (1, 0)] {
        room.receipt(account(1), mark);
    }
    room.receipt(account(3), (1, 1));
    assert!(told(&bob).is_empty());
    room.level(&bob, 0, Some(&view(0, &[(account(1), (3, 3))])));
    let marks = |events: Vec<Event>| {
        let mark = |event| match event {
            Event::Receipt(receipt) => Some((receipt.account_id, receipt.delivered_seq, receipt.read_seq)),
            _ => None,
        };
        events.into_iter().filter_map(mark).collect::<Vec<_>>()
    };
    let [one, other] = [1, 3].map(|number| account(number).to_string());
    assert_eq!(marks(told(&ada)), [(one.clone(), 3, 2), (one, 3, 3), (other.clone(), 1, 1)]);
    // The view has told the first one.
    assert_eq!(marks(told(&bob)), [(other, 1, 1)]);
}

/// A stream with the number behind which it hears, what it has read so far, and what it heard.
type Heard = (Arc<Stream>, i64, Option<i64>, Vec<i64>);

/// Commits, publications that overtake each other or get lost, readings of gaps, and streams that come and go, in any order.
#[test]
fn g4_in_any_order_every_stream_hears_every_number_once() {
    for seed in 1..=40u64 {
        let mut state = seed;
        let mut random = move |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let room = Room::new(CONVERSATION);
        let (mut last, mut published) = (0i64, Vec::new());
        let mut streams: Vec<Heard> = Vec::new();
        for _ in 0..400 {
            match random(8) {
                0..3 => {
                    last += 1;
                    published.push(last);
                }
                3..5 if !published.is_empty() => {
                    let number = published.swap_remove(random(published.len() as u64) as usize);
                    match random(6) {
                        0 => {}
                        1 => room.know(number),
                        _ => room.put(std::iter::once(item(sent(number, account(1))))),
                    }
                    room.pump();
                }
                5 => {
                    let stream = stream(account(2 + (random(5) as u8)));
                    room.sit(&stream);
                    // It reads the state now, and uses it some time later.
                    streams.push((stream, last, Some(last), Vec::new()));
                }
                6 => {
                    let Some(behind) = room.missing() else { continue };
                    room.put((behind + 1..=last).map(|number| item(sent(number, account(1)))));
                    room.pump();
                }
                _ => {
                    for (stream, start, read, heard) in streams.iter_mut().filter(|_| random(2) == 0) {
                        let Some(number) = *read else { continue };
                        let at = if heard.is_empty() && number == *start { Some(view(number, &[])) } else { None };
                        if room.level(stream, number, at.as_ref()) == Levelled::Level {
                            room.know(number);
                            *read = None;
                            continue;
                        }
                        // It is behind: it reads what there is by now.
                        heard.extend(number + 1..=last);
                        *read = Some(last);
                    }
                }
            }
        }
        for (stream, _, read, heard) in &mut streams {
            while let Some(number) = *read {
                if room.level(stream, number, None) == Levelled::Level {
                    *read = None;
                } else {
                    heard.extend(number + 1..=last);
                    *read = Some(last);
                }
            }
        }
        room.know(last);
        while let Some(behind) = room.missing() {
            room.put((behind + 1..=last).map(|number| item(sent(number, account(1)))));
            room.pump();
        }
        for (stream, start, _, mut heard) in streams {
            heard.extend(numbers(&told(&stream)));
            assert_eq!(heard, (start + 1..=last).collect::<Vec<_>>(), "seed {seed}");
        }
    }
}

#[test]
fn s44_in_a_room_that_was_given_up_nobody_stays_and_nobody_sits_down() {
    let room = Room::new(CONVERSATION);
    let (ada, bob) = (stream(account(1)), stream(account(2)));
    joined(&room, &ada, 0);
    room.know(300);
    assert!(room.begin_reading());
    // What is missing is not kept any more.
    let streams: Vec<Id> = room.shut().iter().map(|stream| stream.id).collect();
    assert_eq!((streams, room.len(), room.close_if_empty()), (vec![ada.id], 0, true));
    assert!(!room.sit(&bob));
    let next = Room::new(CONVERSATION);
    joined(&next, &bob, 300);
    next.put(std::iter::once(item(sent(301, account(1)))));
    next.pump();
    assert_eq!((numbers(&told(&bob)), next.missing()), (vec![301], None));
}

#[test]
fn s44_what_was_missing_does_not_cut_off_who_has_something_waiting() {
    let room = Room::new(CONVERSATION);
    let ada = stream(account(1));
    joined(&room, &ada, 0);
    told(&ada);
    let long = |number: i64| {
        let mut told = sent(number, account(2));
        told.message.iter_mut().for_each(|view| view.row.body = "x".repeat(10_000));
        item(told)
    };
    room.put((2..=60).map(long));
    room.pump();
    assert!(told(&ada).is_empty());
    ada.tell(Event::CaughtUp(super::pb::CaughtUp {}));
    room.put(std::iter::once(long(1)));
    room.pump();
    let events = told(&ada);
    assert_eq!(numbers(&events), (1..=60).collect::<Vec<i64>>());
    assert!(!events.iter().any(|event| matches!(event, Event::Resume(_))));
}
