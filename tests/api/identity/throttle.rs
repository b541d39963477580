//! Who guesses passwords is stopped, and whose password is guessed gets in.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use futures_util::future::join_all;
use tonic::transport::Endpoint;
use tonic_types::StatusExt as _;

use crate::harness::prelude::*;
use crate::harness::{Clients, PATIENT, channel, rounds};

/// The limits as they are outside tests.
const REAL: [&str; 10] = [
    "--identity-failed-sign-ins",
    "5",
    "--identity-failed-sign-ins-per-minute",
    "3",
    "--identity-failed-sign-ins-per-account",
    "100",
    "--identity-failed-accounts-per-network",
    "15",
    PATIENT[0],
    PATIENT[1],
];
const WRONG: &str = "Wrong1!password";
const REACHED: (Code, &str) = (Code::Unauthenticated, "CREDENTIALS_INVALID");
const REFUSED: (Code, &str) = (Code::ResourceExhausted, "RATE_LIMITED");

/// Clients that come from an address of loopback.
fn from(world: &World, address: [u8; 4]) -> Clients {
    let endpoint = Endpoint::from_shared(format!("http://{}", world.gateway())).unwrap();
    let endpoint = endpoint.local_address(Some(IpAddr::V4(Ipv4Addr::from(address))));
    Clients::new(endpoint.connect_lazy(), None)
}

async fn sign_in(
    clients: &Clients,
    email: &str,
    password: &str,
    device_token: &str,
) -> Result<SignInResponse, tonic::Status> {
    let asked = SignInRequest {
        email: email.to_owned(),
        password: password.to_owned(),
        device_token: device_token.to_owned(),
        ..Default::default()
    };
    clients.sessions().sign_in(asked).await.map(tonic::Response::into_inner)
}

async fn guess(clients: &Clients, email: &str) -> Refusal {
    refusal(sign_in(clients, email, WRONG, "").await)
}

/// How many of the guesses had their password compared. The others must have been refused for their number.
fn reached(answers: &[Refusal]) -> usize {
    for answer in answers {
        assert!([REACHED, REFUSED].contains(&answer.is()), "{answer:?}");
    }
    answers.iter().filter(|answer| answer.is() == REACHED).count()
}

/// Signs in from a device that is new to the account by the mailed code.
async fn by_code(world: &World, email: &str, address: [u8; 4]) -> SignInWithCodeResponse {
    let clients = from(world, address);
    let asked = RequestSignInCodeRequest { email: email.to_owned() };
    clients.sessions().request_sign_in_code(asked).await.unwrap();
    let mail = eventually("the code", async || {
        world.mails(email).await.into_iter().rfind(|mail| mail.subject == "Sign in to your account")
    })
    .await;
    let proof = Some(sign_in_with_code_request::Proof::Code(crate::harness::mail::code(&mail)));
    let asked = SignInWithCodeRequest { email: email.to_owned(), proof, ..Default::default() };
    clients.sessions().sign_in_with_code(asked).await.unwrap().into_inner()
}

#[tokio::test]
async fn s06_an_attack_from_everywhere_reaches_a_hundred_hashes_and_the_owner_gets_in() {
    let world = World::with(&REAL).await;
    let ada = world.activated("ada").await;
    let home = from(&world, [127, 9, 0, 1]);
    let known = sign_in(&home, &ada.email, &ada.password, "").await.unwrap();
    // Two hundred addresses; in a long run each of them makes fifty guesses.
    let rounds = rounds(3, 50);
    let attackers: Vec<_> = (0..200).map(|number| from(&world, [127, 1, number, 1])).collect();
    let mut answers = Vec::new();
    for round in 0..rounds {
        answers.extend(join_all(attackers.iter().map(|clients| guess(clients, &ada.email))).await);
        if round == 1 {
            let answer = sign_in(&home, &ada.email, &ada.password, &known.device_token).await.expect("a known device");
            assert_eq!(answer.device_token, known.device_token);
            let elsewhere = from(&world, [127, 9, 1, 1]);
            sign_in(&elsewhere, &ada.email, &ada.password, &known.device_token).await.expect("and from elsewhere");
            let stranger = from(&world, [127, 9, 2, 1]);
            let refused = refusal(sign_in(&stranger, &ada.email, &ada.password, "").await);
            assert_eq!(refused.is(), REFUSED);
            assert!(refused.message.contains("mailed code"), "{}", refused.message);
            let new = by_code(&world, &ada.email, [127, 9, 3, 1]).await;
            sign_in(&stranger, &ada.email, &ada.password, &new.device_token).await.expect("it is known from now on");
        }
    }
    assert_eq!(answers.len(), 200 * rounds);
    assert_eq!(reached(&answers), 100, "guesses whose password was compared");
    let bob = world.activated("bob").await;
    sign_in(&home, &bob.email, &bob.password, "").await.expect("nobody else is held back");
}

#[tokio::test]
async fn s06_only_failed_sign_ins_count_and_the_one_too_many_says_when_to_come_back() {
    let world = World::with(&REAL).await;
    let ada = world.activated("ada").await;
    let home = from(&world, [127, 0, 0, 9]);
    for _ in 0..8 {
        sign_in(&home, &ada.email, &ada.password, "").await.unwrap();
    }
    for _ in 0..4 {
        assert_eq!(guess(&home, &ada.email).await.is(), REACHED);
    }
    sign_in(&home, &ada.email, &ada.password, "").await.expect("the fifth was the right one");
    assert_eq!(guess(&home, &ada.email).await.is(), REACHED);
    let refused = guess(&home, &ada.email).await;
    assert_eq!(refused.is(), REFUSED);
    let delay = refused.status.get_error_details().retry_info().and_then(|info| info.retry_delay).unwrap();
    assert!(delay > Duration::ZERO && delay <= Duration::from_secs(21), "{delay:?}");
    sign_in(&from(&world, [127, 0, 0, 10]), &ada.email, &ada.password, "").await.expect("another address");
    world.move_clock(delay).await;
    sign_in(&home, &ada.email, &ada.password, "").await.expect("come back in time");
}

#[tokio::test]
async fn s06_a_known_device_has_tries_of_its_own() {
    let world = World::with(&REAL).await;
    let ada = world.activated("ada").await;
    let home = from(&world, [127, 0, 0, 9]);
    let mut rounds = 0;
    let device = loop {
        let device = sign_in(&home, &ada.email, &ada.password, "").await.unwrap().device_token;
        let begin = Instant::now();
        for _ in 0..10 {
            assert_eq!(refusal(sign_in(&home, &ada.email, WRONG, &device).await).is(), REACHED);
        }
        let one_more = sign_in(&home, &ada.email, &ada.password, &device).await;
        rounds += 1;
        // One try comes back every six seconds: who took so long begins anew, with another device.
        if one_more.is_err() || begin.elapsed() < Duration::from_secs(6) || rounds == 5 {
            assert_eq!(refusal(one_more).is(), REFUSED);
            break device;
        }
    };
    sign_in(&home, &ada.email, &ada.password, "").await.expect("its failures are nobody else's");
    world.move_clock(Duration::from_secs(7)).await;
    sign_in(&home, &ada.email, &ada.password, &device).await.expect("some time later");
}

#[tokio::test]
async fn s06_a_hundred_failures_end_in_days_and_with_the_right_password() {
    let world = World::with(&[&PATIENT[..], &["--identity-failed-sign-ins-per-account", "4"]].concat()).await;
    let ada = world.activated("ada").await;
    for _ in 0..3 {
        assert_eq!(guess(&world.anonymous(), &ada.email).await.is(), REACHED);
    }
    world.sign_in(&ada.email, &ada.password).await;
    for _ in 0..4 {
        assert_eq!(guess(&world.anonymous(), &ada.email).await.is(), REACHED, "counted anew");
    }
    assert_eq!(refusal(world.try_sign_in(&ada.email, &ada.password).await).is(), REFUSED);
    world.move_clock(Duration::from_secs(6 * 3600 + 1)).await;
    world.sign_in(&ada.email, &ada.password).await;
}

#[tokio::test]
async fn s07_every_spelling_of_an_address_counts_as_the_same() {
    let world = World::with(&[&PATIENT[..], &["--identity-failed-sign-ins-per-account", "100"]].concat()).await;
    let number = world.address("n");
    let registered = format!("zo\u{e9}.{number}");
    let asked = RegisterRequest { email: registered.clone(), password: PASSWORD.to_owned() };
    world.accounts().register(asked).await.unwrap();
    let mut ends = Vec::new();
    for name in ["zo", "za"] {
        let plain = [format!("{name}\u{e9}.{number}"), format!("{name}e\u{301}.{number}")];
        let spellings: Vec<String> =
            plain.iter().flat_map(|plain| (0..10).map(move |step| raised(plain, step))).collect();
        assert_eq!(spellings.len(), 20);
        let mut answers = Vec::new();
        for _ in 0..6 {
            for spelling in &spellings {
                answers.push(guess(&world.anonymous(), spelling).await);
            }
        }
        let late = answers.iter().position(|answer| answer.is() != REACHED);
        assert_eq!(late, Some(100), "the hundred and first is refused: {:?}", late.map(|late| &answers[late]));
        assert!(answers[100..].iter().all(|answer| answer.is() == REFUSED), "and so are those after it");
        let last = answers.pop().unwrap();
        ends.push((last.message.clone(), last.metadata.clone()));
        for other in [format!("{registered}."), format!("{registered} "), format!(" {registered}")] {
            assert_eq!(guess(&world.anonymous(), &other).await.code, Code::InvalidArgument, "no other spelling");
        }
    }
    assert_eq!(ends[0], ends[1], "an address without an account counts like one with");
}

/// The text with one of its letters in upper case.
fn raised(text: &str, step: usize) -> String {
    let raise =
        |(place, c): (usize, char)| if place + 1 == step { c.to_uppercase().to_string() } else { c.to_string() };
    text.chars().enumerate().map(raise).collect()
}

#[tokio::test]
async fn s08_a_network_that_fails_at_sixteen_accounts_gets_to_no_more() {
    let world = World::with(&REAL).await;
    let (ada, bob) = (world.activated("ada").await, world.activated("bob").await);
    let inside = from(&world, [127, 0, 7, 99]);
    let known = sign_in(&inside, &ada.email, &ada.password, "").await.unwrap();
    // Bob mistypes, and fourteen others are guessed at.
    assert_eq!(guess(&inside, &bob.email).await.is(), REACHED);
    for number in 1..=14 {
        let clients = from(&world, [127, 0, 7, number]);
        assert_eq!(guess(&clients, &world.address("listed")).await.is(), REACHED);
    }
    let sixteenth = from(&world, [127, 0, 7, 16]);
    let unknown = guess(&sixteenth, &world.address("listed")).await;
    let carol = world.activated("carol").await;
    let real = guess(&sixteenth, &carol.email).await;
    assert_eq!((unknown.is(), real.is()), (REFUSED, REFUSED));
    assert_eq!((unknown.message, unknown.metadata), (real.message, real.metadata));

    // Who only says to come from elsewhere comes from here.
    let mut spoofed = Request::new(SignInRequest {
        email: carol.email.clone(),
        password: carol.password.clone(),
        ..Default::default()
    });
    for (name, value) in [("x-forwarded-for", "8.8.8.8"), ("forwarded", "for=8.8.8.8"), ("x-real-ip", "8.8.8.8")] {
        spoofed.metadata_mut().insert(name, value.parse().unwrap());
    }
    spoofed.metadata_mut().insert("quartet-client-address", "8.8.8.8".parse().unwrap());
    assert_eq!(refusal(sixteenth.sessions().sign_in(spoofed).await).is(), REFUSED);

    sign_in(&sixteenth, &ada.email, &ada.password, &known.device_token).await.expect("a known device");
    sign_in(&from(&world, [127, 0, 8, 1]), &carol.email, &carol.password, "").await.expect("the next network");
    by_code(&world, &carol.email, [127, 0, 7, 17]).await;
    sign_in(&inside, &bob.email, &bob.password, "").await.expect("who had only mistyped");
    sign_in(&sixteenth, &carol.email, &carol.password, "").await.expect("and so there is room again");
    assert_eq!(guess(&from(&world, [127, 0, 7, 18]), &world.address("listed")).await.is(), REACHED);
    assert_eq!(guess(&from(&world, [127, 0, 7, 19]), &world.address("listed")).await.is(), REFUSED);
    world.move_clock(Duration::from_secs(3 * 3600 + 1)).await;
    assert_eq!(guess(&from(&world, [127, 0, 7, 20]), &world.address("listed")).await.is(), REACHED);
}

#[tokio::test]
async fn s08_a_trusted_proxy_names_its_clients() {
    let flags = [&REAL[..], &["--gateway-trusted-proxies", "127.0.0.1/32"]].concat();
    let world = World::with(&flags).await;
    let guess_for = async |address: String| {
        let asked = SignInRequest { email: world.address("x"), password: WRONG.to_owned(), ..Default::default() };
        let mut asked = Request::new(asked);
        asked.metadata_mut().insert("x-forwarded-for", address.parse().unwrap());
        refusal(world.sessions().sign_in(asked).await)
    };
    for number in 1..=15 {
        assert_eq!(guess_for(format!("198.51.100.{number}")).await.is(), REACHED);
    }
    assert_eq!(guess_for("198.51.100.16".to_owned()).await.is(), REFUSED);
    assert_eq!(guess_for("203.0.113.16".to_owned()).await.is(), REACHED);
    // An IPv6 client has a whole /64.
    for number in 1..=15 {
        assert_eq!(guess_for(format!("2001:db8:{number}:1::1")).await.is(), REACHED, "one in each network");
    }
    for number in 1..=5 {
        assert_eq!(guess_for(format!("2001:db8:99:1::{number}")).await.is(), REACHED);
    }
    assert_eq!(guess_for("2001:db8:99:1:ffff::1".to_owned()).await.is(), REFUSED, "the sixth from one client");
}

#[tokio::test]
async fn s06_instances_count_together_and_each_alone_while_redis_is_away() {
    let world = World::with(&[&PATIENT[..], &["--identity-failed-sign-ins-per-account", "6"]].concat()).await;
    let Some(fleet) = world.fleet() else {
        // One process counts for itself: what the fleet does without Redis.
        let ada = world.activated("ada").await;
        let answers = join_all((0..20).map(|_| async { guess(&world.anonymous(), &ada.email).await })).await;
        assert_eq!(reached(&answers), 6);
        return;
    };
    let (ada, bob) = (world.activated("ada").await, world.activated("bob").await);
    let ports = world.direct("identity");
    let identities: Vec<_> = ports.iter().map(|port| Clients::new(channel(*port), None)).collect();
    let both = async |email: &str| {
        let guesses = (0..20).map(|number| guess(&identities[number % 2], email));
        reached(&join_all(guesses).await)
    };
    assert_eq!(both(&ada.email).await, 6, "counted together");
    let keys = fleet.grounds.redis.command("KEYS *throttle*").await.unwrap();
    assert!(keys.contains("throttle:"), "{keys}");
    for name in [&ada.email, &ada.account_id] {
        assert!(!keys.contains(name.as_str()), "{keys}");
    }

    fleet.grounds.redis.stop();
    assert_eq!(both(&bob.email).await, 12, "each for itself");
    let carol = world.activated("carol").await;
    sign_in(&identities[0], &carol.email, &carol.password, "").await.expect("sign-ins go on");
    fleet.grounds.redis.restart().await;
    let dora = world.activated("dora").await;
    eventually("counted together again", async || {
        let guesses = (0..20).map(|number| guess(&identities[number % 2], &dora.email));
        (reached(&join_all(guesses).await) <= 6).then_some(())
    })
    .await;
}

#[tokio::test]
async fn s06_redis_that_hangs_holds_nobody_up_for_long() {
    let world = World::with(&["--identity-failed-sign-ins-per-account", "6"]).await;
    let Some(fleet) = world.fleet() else { return };
    let ada = world.activated("ada").await;
    let home = world.anonymous();
    fleet.grounds.redis.freeze().await;
    for _ in 0..4 {
        sign_in(&home, &ada.email, &ada.password, "").await.expect("without Redis");
    }
    fleet.grounds.redis.thaw();
    sign_in(&home, &ada.email, &ada.password, "").await.expect("and with it");
}

#[tokio::test]
async fn s06_who_is_signed_in_guesses_the_password_no_better() {
    let world = World::with(&[&PATIENT[..], &["--identity-failed-sign-ins-per-account", "100"]].concat()).await;
    let ada = world.sign_up("ada").await;
    let update = async |current: &str| {
        let asked =
            UpdatePasswordRequest { current_password: current.to_owned(), new_password: "Another1!horse".to_owned() };
        refusal(ada.accounts(&world).update_password(asked).await)
    };
    for _ in 0..10 {
        assert_eq!(update(WRONG).await.reason, "CREDENTIALS_INVALID");
    }
    assert_eq!(update(WRONG).await.is(), REFUSED);
    assert_eq!(update(&ada.password).await.is(), REFUSED, "not even the right one");
    world.sign_in(&ada.email, &ada.password).await;
    world.move_clock(Duration::from_secs(6 * 60 + 1)).await;
    let session = world.try_refresh(&ada.refresh_token).await.unwrap();
    let asked =
        UpdatePasswordRequest { current_password: ada.password.clone(), new_password: "Another1!horse".to_owned() };
    world.as_token(&session.access_token).accounts().update_password(asked).await.expect("some time later");
}
