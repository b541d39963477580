//! `GET /media/…`: what a browser's player, a download manager and a cache rely on.

use super::file::of_kind;
use super::member::{member, remove};
use super::{noise, project, uploaded, video};
use crate::harness::prelude::*;
use crate::harness::wire::{self, Answer};

/// The beginning of an MP4, with something behind it.
pub fn mp4(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom".to_vec();
    bytes.extend(noise(seed, length - bytes.len()));
    bytes
}

async fn get(world: &World, who: &Person, target: &str, more: &[(&str, &str)]) -> Answer {
    ask(world, "GET", Some(&who.access_token), target, more).await
}

async fn ask(world: &World, method: &str, token: Option<&str>, target: &str, more: &[(&str, &str)]) -> Answer {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
    headers.extend(more);
    wire::send(world.gateway(), method, target, &headers, b"").await
}

/// The reason in an answer that is none.
fn reason(answer: &Answer) -> String {
    let body: serde_json::Value = serde_json::from_slice(&answer.body).expect("no JSON");
    body["reason"].as_str().expect("no reason").to_owned()
}

/// A link to a file of this person's.
pub async fn link(world: &World, who: &Person, media: &Media) -> String {
    let asked = CreateDownloadUrlRequest { media_id: media.media_id.clone(), ..Default::default() };
    who.media(world).create_download_url(asked).await.expect("no link").into_inner().path
}

struct Filmed {
    world: World,
    ada: Person,
    project: Project,
    media: Media,
    bytes: Vec<u8>,
    path: String,
}

async fn filmed() -> Filmed {
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Films").await;
    let bytes = mp4(10, 700_000);
    let media = uploaded(&world, &ada, video(&project.project_id, "été \"1\".mp4", &bytes), &bytes).await;
    let path = format!("/media/{}", media.media_id);
    Filmed { world, ada, project, media, bytes, path }
}

#[tokio::test]
async fn m7_a_file_is_sent_whole_with_all_that_a_browser_must_know() {
    let Filmed { world, ada, media, bytes, path, .. } = filmed().await;
    let answer = get(&world, &ada, &path, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.body == bytes, "other bytes");
    let etag = format!("\"{}\"", hex::encode(&media.sha256));
    for (name, value) in [
        ("content-length", "700000"),
        ("content-type", "video/mp4"),
        ("accept-ranges", "bytes"),
        ("etag", etag.as_str()),
        ("cache-control", "private, no-cache"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "cross-origin"),
        ("content-disposition", "inline; filename=\"_t_ _1_.mp4\"; filename*=UTF-8''%C3%A9t%C3%A9%20%221%22.mp4"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    // Chromium plays no file that is opened alone in a place without an origin. Scripts it has none either way.
    let policy = "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; sandbox allow-same-origin";
    assert_eq!(answer.header("content-security-policy"), Some(policy));
    assert!(answer.header("last-modified").is_some() && answer.header("x-request-id").is_some());

    let named = get(&world, &ada, &format!("{path}/any%20name.mp4"), &[]).await;
    assert_eq!(named.status, 200);
    let head = ask(&world, "HEAD", Some(&ada.access_token), &path, &[("range", "bytes=0-9")]).await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("700000")));
    assert!(head.body.is_empty() && head.header("etag") == Some(etag.as_str()));
}

#[tokio::test]
async fn m7_ranges_are_sent_as_rfc_9110_has_them() {
    let Filmed { world, ada, bytes, path, .. } = filmed().await;
    for (range, start, end) in [
        ("bytes=0-", 0, 700_000),
        ("bytes=0-0", 0, 1),
        ("bytes=262143-262144", 262_143, 262_145),
        ("bytes=699999-", 699_999, 700_000),
        ("bytes=500000-9999999999", 500_000, 700_000),
        ("bytes=-5", 699_995, 700_000),
        ("bytes=-99999999999999999999999", 0, 700_000),
    ] {
        let answer = get(&world, &ada, &path, &[("range", range)]).await;
        let said = format!("bytes {start}-{}/700000", end - 1);
        assert_eq!((answer.status, answer.header("content-range")), (206, Some(said.as_str())), "{range}");
        assert_eq!(answer.header("content-length"), Some((end - start).to_string().as_str()), "{range}");
        assert!(answer.body == bytes[start..end], "other bytes of {range}");
    }
    for range in ["bytes=700000-", "bytes=99999999999999999999999-", "bytes=-0"] {
        let answer = get(&world, &ada, &path, &[("range", range)]).await;
        assert_eq!((answer.status, answer.header("content-range")), (416, Some("bytes */700000")), "{range}");
        assert_eq!(reason(&answer), "RANGE_UNSATISFIABLE");
    }
    for range in ["bytes=5-3", "bytes=x", "items=0-5", "bytes=0-1,5-6"] {
        let answer = get(&world, &ada, &path, &[("range", range)]).await;
        assert_eq!((answer.status, answer.body.len()), (200, 700_000), "{range}");
    }
}

#[tokio::test]
async fn m7_what_a_client_has_is_not_sent_again() {
    let Filmed { world, ada, path, .. } = filmed().await;
    let head = ask(&world, "HEAD", Some(&ada.access_token), &path, &[]).await;
    let (etag, date) = (head.header("etag").unwrap(), head.header("last-modified").unwrap());
    let status = async |more: &[(&str, &str)]| {
        let answer = get(&world, &ada, &path, more).await;
        (answer.status, answer.body.len())
    };
    assert_eq!(status(&[("if-none-match", etag)]).await, (304, 0));
    assert_eq!(status(&[("if-none-match", etag), ("range", "bytes=0-9")]).await, (304, 0));
    assert_eq!(status(&[("if-none-match", "\"x\"")]).await, (200, 700_000));
    assert_eq!(status(&[("if-modified-since", date)]).await, (304, 0));
    assert_eq!(status(&[("if-match", "\"x\"")]).await, (412, 0));
    assert_eq!(status(&[("if-range", etag), ("range", "bytes=0-9")]).await, (206, 10));
    assert_eq!(status(&[("if-range", date), ("range", "bytes=0-9")]).await, (206, 10));
    assert_eq!(status(&[("if-range", "\"x\""), ("range", "bytes=0-9")]).await, (200, 700_000));
    assert_eq!(status(&[("if-range", "\"x\""), ("range", "bytes=9999999-")]).await, (200, 700_000));
}

#[tokio::test]
async fn m7_a_link_stands_in_for_a_token_for_its_file_alone() {
    let Filmed { world, ada, project, media, bytes, .. } = filmed().await;
    let other = of_kind(&world, &ada, &project, MediaKind::Video, &noise(11, 50)).await;
    let path = link(&world, &ada, &media).await;
    let answer = ask(&world, "GET", None, &path, &[("range", "bytes=5-9")]).await;
    assert_eq!((answer.status, answer.body.as_slice()), (206, &bytes[5..10]));
    assert_eq!(ask(&world, "HEAD", None, &path, &[]).await.header("content-length"), Some("700000"));

    let swapped = path.replace(&media.media_id, &other.media_id);
    let bent = format!("{}x", path.trim_end_matches(|c: char| c != '.'));
    let (token, refresh) = (&ada.access_token, &ada.refresh_token);
    let with_token = format!("/media/{}?link={token}", media.media_id);
    let with_refresh = format!("/media/{}?link={refresh}", media.media_id);
    let empty = format!("/media/{}?link=", media.media_id);
    for wrong in [swapped, bent, with_token, with_refresh, empty] {
        let answer = ask(&world, "GET", None, &wrong, &[]).await;
        assert_eq!((answer.status, reason(&answer).as_str()), (401, "LINK_INVALID"), "{wrong}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert_eq!(answer.header("content-security-policy"), Some("default-src 'none'; sandbox"));
    }
    // S-21: a link is no token either.
    let text = path.split("link=").nth(1).unwrap();
    let error =
        refusal(world.as_token(text).media().get_media(GetMediaRequest { media_id: media.media_id.clone() }).await);
    assert_eq!((error.code, error.reason.as_str()), (Code::Unauthenticated, "TOKEN_INVALID"));

    let asked = CreateDownloadUrlRequest { media_id: media.media_id, attachment: true, ttl_seconds: 43_200 };
    let path = ada.media(&world).create_download_url(asked.clone()).await.unwrap().into_inner().path;
    let answer = ask(&world, "HEAD", None, &path, &[]).await;
    assert!(answer.header("content-disposition").unwrap().starts_with("attachment; "), "{:?}", answer.headers);
    assert_eq!(answer.header("content-type"), Some("video/mp4"));
    assert_eq!(answer.header("content-security-policy"), Some("default-src 'none'; sandbox"));
    let long = CreateDownloadUrlRequest { ttl_seconds: 43_201, ..asked };
    assert_eq!(refusal(ada.media(&world).create_download_url(long).await).fields, ["ttl_seconds"]);
}

#[tokio::test]
async fn m7_a_link_ends_when_it_says_and_says_where_it_leads() {
    let world = World::with(&["--media-public-url", "https://api.example.com/"]).await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Films").await;
    let media = of_kind(&world, &ada, &project, MediaKind::Video, &noise(12, 50)).await;
    let asked = CreateDownloadUrlRequest { media_id: media.media_id, ttl_seconds: 60, ..Default::default() };
    let made = ada.media(&world).create_download_url(asked).await.unwrap().into_inner();
    assert_eq!(made.url, format!("https://api.example.com{}", made.path));
    assert!(made.expire_time.is_some());
    assert_eq!(ask(&world, "GET", None, &made.path, &[]).await.status, 200);
    world.move_clock(Duration::from_secs(61)).await;
    let answer = ask(&world, "GET", None, &made.path, &[]).await;
    assert_eq!((answer.status, reason(&answer).as_str()), (401, "LINK_INVALID"));
}

#[tokio::test]
async fn m7_a_transcript_is_sent_in_its_forms() {
    let Filmed { world, ada, project, media, .. } = filmed().await;
    let srt = b"1\n00:00:01,000 --> 00:00:02,000\nHello\n";
    let transcript = of_kind(&world, &ada, &project, MediaKind::Transcript, srt).await;
    let path = link(&world, &ada, &transcript).await;
    let answer = ask(&world, "GET", None, &format!("{path}&format=vtt"), &[]).await;
    assert_eq!(answer.text(), "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nHello\n");
    assert_eq!(answer.header("content-type"), Some("text/vtt; charset=utf-8"));
    let vtt = answer.header("etag").unwrap().to_owned();
    let answer = ask(&world, "GET", None, &format!("{path}&format=text"), &[("range", "bytes=0-2")]).await;
    assert_eq!(
        (answer.status, answer.text().as_str(), answer.header("content-range")),
        (206, "Hel", Some("bytes 0-2/6"))
    );
    let plain = ask(&world, "GET", None, &path, &[]).await;
    assert_eq!(plain.body, srt);
    assert_eq!(plain.header("content-security-policy"), Some("default-src 'none'; sandbox"));
    assert!(plain.header("etag") != Some(&vtt) && answer.header("etag") != Some(&vtt));
    let wrong = format!("{}&format=vtt", link(&world, &ada, &media).await);
    let answer = ask(&world, "GET", None, &wrong, &[]).await;
    assert_eq!((answer.status, reason(&answer).as_str()), (400, "TRANSCRIPT_UNREADABLE"));
    assert_eq!(ask(&world, "GET", None, &format!("{path}&format=html"), &[]).await.status, 404);
}

#[tokio::test]
async fn s56_pages_of_other_origins_read_files_as_the_settings_have_it() {
    let world = World::with(&["--gateway-cors-origins", "https://app.example.com"]).await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Films").await;
    let media = of_kind(&world, &ada, &project, MediaKind::Video, &noise(13, 50)).await;
    let path = link(&world, &ada, &media).await;
    let answer = ask(&world, "GET", None, &path, &[("origin", "https://app.example.com")]).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example.com"));
    let exposed = answer.header("access-control-expose-headers").unwrap().to_lowercase();
    assert!(["content-range", "etag", "content-disposition"].iter().all(|name| exposed.contains(name)), "{exposed}");
    assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    let answer = ask(&world, "GET", None, &path, &[("origin", "https://evil.example.com")]).await;
    assert_eq!(answer.header("access-control-allow-origin"), None);

    let question = [
        ("origin", "https://app.example.com"),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "authorization,range,if-range"),
    ];
    let answer = ask(&world, "OPTIONS", None, &path, &question).await;
    let allowed = answer.header("access-control-allow-headers").unwrap().to_lowercase();
    assert!(["authorization", "range", "if-range"].iter().all(|name| allowed.contains(name)), "{allowed}");
}

#[tokio::test]
async fn s32_over_http_only_members_find_a_file() {
    let Filmed { world, ada, project, media, path, .. } = filmed().await;
    let (bob, eve) = (world.sign_up("bob").await, world.sign_up("eve").await);
    member(&world, &ada, &project.project_id, &bob, ProjectRole::Viewer).await;
    let admin = world.admin().await;
    let nowhere = "/media/00000000-0000-7000-8000-000000000000".to_owned();
    let members_alone = [&path, &format!("{path}/x"), &format!("{path}?format=vtt"), &nowhere];
    for target in members_alone {
        for method in ["GET", "HEAD"] {
            for range in [&[][..], &[("range", "bytes=0-0")]] {
                let nobody = ask(&world, method, None, target, range).await;
                assert_eq!(nobody.status, 401, "{method} {target}");
                for stranger in [&eve, &admin] {
                    let answer = ask(&world, method, Some(&stranger.access_token), target, range).await;
                    assert_eq!(answer.status, 404, "{method} {target}");
                }
            }
        }
    }
    assert_eq!(get(&world, &bob, &path, &[]).await.status, 200);
    assert_eq!(get(&world, &bob, &nowhere, &[]).await.status, 404);
    for (method, target) in [("PUT", &path), ("DELETE", &path)] {
        let answer = ask(&world, method, Some(&ada.access_token), target, &[]).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")));
    }
    for target in ["/media/", "/media", "/media/x", "/media/../healthz", &format!("/media/{}/", media.media_id)] {
        let answer = get(&world, &ada, target, &[]).await;
        assert_eq!(answer.status, 404, "{target}");
    }
}

#[tokio::test]
async fn s54_access_ends_with_membership_with_the_file_and_with_the_session() {
    let Filmed { world, ada, project, media, path, .. } = filmed().await;
    let bob = world.sign_up("bob").await;
    member(&world, &ada, &project.project_id, &bob, ProjectRole::Viewer).await;
    let (bobs, adas) = (link(&world, &bob, &media).await, link(&world, &ada, &media).await);
    assert_eq!(ask(&world, "GET", None, &bobs, &[]).await.status, 200);
    remove(&world, &ada, &project.project_id, &bob.account_id).await.unwrap();
    for answer in [ask(&world, "GET", None, &bobs, &[]).await, get(&world, &bob, &path, &[]).await] {
        assert_eq!((answer.status, reason(&answer).as_str()), (404, "MEDIA_NOT_FOUND"));
    }

    let again = world.sign_in(&ada.email, &ada.password).await;
    let dying = link(&world, &again, &media).await;
    again.sessions(&world).sign_out(SignOutRequest::default()).await.unwrap();
    // To other processes the news comes a moment later.
    let answer = eventually("the link has died with its session", async || {
        let answer = ask(&world, "GET", None, &dying, &[]).await;
        (![200, 503].contains(&answer.status)).then_some(answer)
    })
    .await;
    assert_eq!((answer.status, reason(&answer).as_str()), (401, "SESSION_REVOKED"));
    assert_eq!(ask(&world, "GET", None, &adas, &[]).await.status, 200, "another session's link lives");

    ada.media(&world).delete_media(DeleteMediaRequest { media_id: media.media_id }).await.unwrap();
    assert_eq!(ask(&world, "GET", None, &adas, &[]).await.status, 404);
    assert_eq!(get(&world, &ada, &path, &[]).await.status, 404);
}
