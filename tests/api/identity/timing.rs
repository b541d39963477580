//! How long answers take. Only on a quiet machine: `tests/run long` runs these by themselves.

use std::time::Instant;

use crate::harness::prelude::*;
use crate::harness::{Clients, channel, is_quiet};

/// How many calls of either class are measured.
const SAMPLES: usize = 2_000;
/// How many before that, uncounted.
const WARM: usize = 100;
/// Beyond this the two classes differ (Welch).
const T: f64 = 4.5;
const GAP: f64 = 1e-3;

type Asked<'a> = std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// A flow that must not tell who has an account.
struct Flow {
    name: &'static str,
    ask: for<'a> fn(&'a Clients, String) -> Asked<'a>,
    /// Whether those who have an account have activated it.
    activated: bool,
}

const FLOWS: [Flow; 4] = [
    Flow { name: "sign-in", ask: |clients, email| Box::pin(sign_in(clients, email)), activated: true },
    Flow { name: "reset", ask: |clients, email| Box::pin(reset(clients, email)), activated: true },
    Flow { name: "resend", ask: |clients, email| Box::pin(resend(clients, email)), activated: false },
    Flow { name: "sign-in code", ask: |clients, email| Box::pin(code(clients, email)), activated: true },
];

async fn sign_in(clients: &Clients, email: String) {
    let asked = SignInRequest { email, password: "Wrong1!battery".into(), ..Default::default() };
    let refused = clients.sessions().sign_in(asked).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused:?}");
}

async fn reset(clients: &Clients, email: String) {
    clients.accounts().request_password_reset(RequestPasswordResetRequest { email }).await.unwrap();
}

async fn resend(clients: &Clients, email: String) {
    clients.accounts().resend_activation(ResendActivationRequest { email }).await.unwrap();
}

async fn code(clients: &Clients, email: String) {
    clients.sessions().request_sign_in_code(RequestSignInCodeRequest { email }).await.unwrap();
}

async fn register(clients: &Clients, email: String) {
    let asked = RegisterRequest { email, password: PASSWORD.into() };
    clients.accounts().register(asked).await.unwrap();
}

async fn change(clients: &Clients, new_email: String) {
    let asked = RequestEmailChangeRequest { new_email, password: PASSWORD.into() };
    clients.email_changes().request_email_change(asked).await.unwrap();
}

/// Addresses, the one half with accounts, the other without, alike in everything else.
struct Addresses {
    known: Vec<String>,
    unknown: Vec<String>,
}

impl Addresses {
    async fn make(world: &World, activated: bool, count: usize) -> Addresses {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for number in 0..count {
            let one = if activated { world.activated("known").await } else { world.register("known").await };
            // As many letters.
            unknown.push(one.email.replace("known", "never"));
            known.push(one.email);
            if number % 100 == 99 {
                world.mails("nobody@example.com").await;
            }
        }
        Addresses { known, unknown }
    }
}

/// Asks about either kind, in an order that follows nothing, so that neither comes behind the other more often than behind itself, and
/// answers how long each took, in seconds.
async fn measure(
    world: &World,
    addresses: &Addresses,
    mut ask: impl AsyncFnMut(&Clients, String),
    clients: &Clients,
) -> [Vec<f64>; 2] {
    let mut times = [Vec::new(), Vec::new()];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut calls = 0;
    while times.iter().any(|times| times.len() < SAMPLES + WARM) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let class = (state >> 40) as usize % 2;
        let list = if class == 0 { &addresses.known } else { &addresses.unknown };
        let email = list[times[class].len() % list.len()].clone();
        let began = Instant::now();
        ask(clients, email).await;
        times[class].push(began.elapsed().as_secs_f64());
        calls += 1;
        if calls % 32 == 0 {
            // What comes behind the answers does not pile up.
            world.mails("nobody@example.com").await;
        }
    }
    times.map(|times| times[WARM..WARM + SAMPLES].to_vec())
}

fn trimmed(times: &[f64]) -> Vec<f64> {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    let cut = times.len() / 100;
    times[..times.len() - cut].to_vec()
}

fn mean_and_variance(times: &[f64]) -> (f64, f64) {
    let count = times.len() as f64;
    let mean = times.iter().sum::<f64>() / count;
    let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, variance)
}

/// Welch's t, and the distance of the medians in seconds.
fn compare(times: &[Vec<f64>; 2]) -> (f64, f64) {
    let [known, unknown] = [trimmed(&times[0]), trimmed(&times[1])];
    let ((one, one_variance), (other, other_variance)) = (mean_and_variance(&known), mean_and_variance(&unknown));
    let error = (one_variance / known.len() as f64 + other_variance / unknown.len() as f64).sqrt();
    ((one - other) / error, known[known.len() / 2] - unknown[unknown.len() / 2])
}

/// What two looks say that are worth one each: a difference that is there is there twice.
async fn differs(name: &str, mut look: impl AsyncFnMut() -> [Vec<f64>; 2]) -> bool {
    for turn in 0..2 {
        let (t, gap) = compare(&look().await);
        eprintln!("{name}, look {turn}: t {t:.2}, the medians {:.1} µs apart", gap * 1e6);
        if t.abs() < T && gap.abs() < GAP {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn s10_how_long_an_answer_takes_tells_nothing_about_an_address() {
    if !is_quiet() {
        return;
    }
    let world = World::own().await;
    let clients = world.anonymous();
    let mut telling = Vec::new();
    for activated in [true, false] {
        let addresses = Addresses::make(&world, activated, 200).await;
        for flow in FLOWS.iter().filter(|flow| flow.activated == activated) {
            let look = async || {
                measure(&world, &addresses, async |clients, email| (flow.ask)(clients, email).await, &clients).await
            };
            if differs(flow.name, look).await {
                telling.push(flow.name);
            }
        }
    }
    let addresses = Addresses::make(&world, true, 200).await;
    let ada = world.sign_up("ada").await;
    let own = world.as_token(&ada.access_token);
    let look = async || measure(&world, &addresses, async |clients, email| change(clients, email).await, &own).await;
    if differs("email change", look).await {
        telling.push("email change");
    }
    assert!(telling.is_empty(), "{telling:?}");
}

#[tokio::test]
async fn s10_a_silent_registration_takes_as_long_for_a_known_address() {
    if !is_quiet() {
        return;
    }
    let world = World::with(&["--identity-silent-registration", "true"]).await;
    let mut known = Vec::new();
    for _ in 0..200 {
        known.push(world.activated("known").await.email);
    }
    let clients = world.anonymous();
    let look = async || {
        // Nobody registers twice what was unknown.
        let unknown = (0..2 * SAMPLES).map(|_| world.address("never")).collect();
        let addresses = Addresses { known: known.clone(), unknown };
        measure(&world, &addresses, async |clients, email| register(clients, email).await, &clients).await
    };
    assert!(!differs("silent registration", look).await);
}

#[tokio::test]
async fn s10_a_hash_that_is_left_out_is_noticed() {
    if !is_quiet() {
        return;
    }
    let world = World::own().await;
    world.fault(Fault::NoDummyHash, true).await;
    let addresses = Addresses::make(&world, true, 50).await;
    let clients = world.anonymous();
    let look =
        async || measure(&world, &addresses, async |clients, email| sign_in(clients, email).await, &clients).await;
    assert!(differs("sign-in without a hash for nobody", look).await, "the measurement is blind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s03_sixty_four_sign_ins_at_a_time_hold_up_no_other_call() {
    if !is_quiet() {
        return;
    }
    let world = World::with(&["--identity-bcrypt-cost", "12"]).await;
    let ada = world.sign_up("ada").await;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let answered = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let mut guests = Vec::new();
    for _ in 0..64 {
        let (clients, email, stop) = (Clients::new(channel(world.gateway()), None), ada.email.clone(), stop.clone());
        let answered = answered.clone();
        guests.push(tokio::spawn(async move {
            let mut is_first = true;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let asked = SignInRequest { email: email.clone(), password: PASSWORD.into(), ..Default::default() };
                // The queue has an end: who comes too late is told so.
                if let Err(status) = clients.sessions().sign_in(asked).await {
                    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
                }
                if std::mem::take(&mut is_first) {
                    answered.add_permits(1);
                }
            }
        }));
    }
    // Who was answered once asks again: from then on as many wait as there are.
    let all = tokio::time::timeout(Duration::from_secs(60), answered.acquire_many(64)).await;
    all.expect("all sixty-four are answered").unwrap().forget();
    let mut times = Vec::new();
    for _ in 0..500 {
        let began = Instant::now();
        world.movies().list_movies(ListMoviesRequest::default()).await.unwrap();
        times.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    times.sort_unstable();
    let p99 = times[times.len() * 99 / 100];
    eprintln!("ListMovies while 64 sign in: p50 {:?}, p99 {p99:?}", times[times.len() / 2]);
    assert!(p99 < Duration::from_millis(50), "{p99:?}");
    for guest in guests {
        guest.await.unwrap();
    }
}
