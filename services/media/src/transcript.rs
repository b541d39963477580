//! Transcripts: WebVTT, SubRip and bare text, read and written in the form that is wanted. Whatever stands in a file, what is written is
//! well-formed: cues hold text, never markup of their own.

use std::borrow::Cow;

/// The longest file that is read, and the longest text that is written.
pub const LENGTH: usize = 3_500_000;

/// What is said, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cue {
    start: u64,
    end: u64,
    lines: Vec<String>,
}

/// A transcript as it was uploaded.
#[derive(Debug, PartialEq, Eq)]
enum Transcript {
    Timed(Vec<Cue>),
    Bare(String),
}

const NOT_TEXT: &str = "the file is not a text in UTF-8";
const NO_TIMES: &str = "the transcript has no times, which WebVTT needs";
/// The answer to what is too long to be read at once.
pub const TOO_LONG: &str = "the transcript is too long to be read at once: download the file as it is";

/// The transcript as WebVTT.
pub fn webvtt(file: &[u8]) -> Result<String, &'static str> {
    let Transcript::Timed(cues) = read(file)? else { return Err(NO_TIMES) };
    let mut vtt = String::from("WEBVTT\n");
    for cue in cues {
        vtt.push_str(&format!("\n{} --> {}\n", time(cue.start), time(cue.end)));
        for line in &cue.lines {
            vtt.push_str(&escaped(line));
            vtt.push('\n');
        }
    }
    fitting(vtt)
}

/// What is said, a line for each cue.
pub fn text(file: &[u8]) -> Result<String, &'static str> {
    let mut text = String::new();
    match read(file)? {
        Transcript::Bare(bare) => text = bare,
        Transcript::Timed(cues) => cues.iter().for_each(|cue| {
            text.push_str(&cue.lines.join(" "));
            text.push('\n');
        }),
    }
    fitting(text)
}

fn fitting(text: String) -> Result<String, &'static str> {
    if text.len() <= LENGTH { Ok(text) } else { Err(TOO_LONG) }
}

fn read(file: &[u8]) -> Result<Transcript, &'static str> {
    let text = std::str::from_utf8(file).map_err(|_| NOT_TEXT)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.contains('\0') {
        return Err(NOT_TEXT);
    }
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let is_vtt = text.strip_prefix("WEBVTT").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\n']));
    let cues = cues(&text);
    if is_vtt || !cues.is_empty() { Ok(Transcript::Timed(cues)) } else { Ok(Transcript::Bare(text)) }
}

/// The cues of a text in blocks, of which only those with a line of times are any: headers, notes, styles and regions have none.
fn cues(text: &str) -> Vec<Cue> {
    let mut cues = Vec::new();
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        let Some((start, end)) = times(line) else { continue };
        let mut cue = Cue { start, end, lines: Vec::new() };
        // A line of times that follows without an empty one begins the next cue all the same.
        while let Some(said) = lines.next_if(|line| !line.trim().is_empty() && times(line).is_none()) {
            // A line without anything would end the cue.
            cue.lines.extend(Some(plain(said)).filter(|said| !said.trim().is_empty()));
        }
        if cue.start <= cue.end {
            cues.push(cue);
        }
    }
    cues
}

/// `00:01:02.500 --> 00:01:04.000`, with what may stand behind it; SubRip has a comma before the milliseconds.
fn times(line: &str) -> Option<(u64, u64)> {
    let (start, rest) = line.split_once("-->")?;
    let end = rest.split_whitespace().next()?;
    Some((milliseconds(start.trim())?, milliseconds(end)?))
}

fn milliseconds(text: &str) -> Option<u64> {
    let (clock, fraction) = text.split_once(['.', ','])?;
    let number = |text: &str, most: usize| {
        let digits = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten()
    };
    let millis = number(fraction, 3).filter(|_| fraction.len() == 3)?;
    let parts: Vec<&str> = clock.split(':').collect();
    let (hours, minutes, seconds) = match parts[..] {
        [minutes, seconds] => (0, number(minutes, 2)?, number(seconds, 2)?),
        [hours, minutes, seconds] => (number(hours, 6)?, number(minutes, 2)?, number(seconds, 2)?),
        _ => return None,
    };
    (minutes < 60 && seconds < 60).then_some(((hours * 60 + minutes) * 60 + seconds) * 1000 + millis)
}

fn time(milliseconds: u64) -> String {
    let (seconds, millis) = (milliseconds / 1000, milliseconds % 1000);
    format!("{:02}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// A line of a cue without its tags (`<v Ada>`, `<i>`, `<00:01.000>`), its escapes resolved.
fn plain(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find('<') {
        plain.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        let begins = behind.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/');
        rest = match behind.find('>').filter(|_| begins) {
            Some(end) => &behind[end + 1..],
            None => {
                plain.push('<');
                behind
            }
        };
    }
    plain.push_str(rest);
    resolved(&plain)
}

const ESCAPES: [(&str, &str); 5] = [("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", "\u{a0}"), ("&lrm;", ""), ("&rlm;", "")];

fn resolved(text: &str) -> String {
    let mut text = Cow::Borrowed(text.trim());
    for (escape, character) in ESCAPES {
        if text.contains(escape) {
            text = Cow::Owned(text.replace(escape, character));
        }
    }
    // The last, so that nothing is resolved twice.
    text.replace("&amp;", "&")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "what a test stands on must be there")]
mod tests {
    use super::*;

    const VTT: &str = "\u{feff}WEBVTT - a talk\r\n\r\nNOTE made by hand\r\n\r\nSTYLE\r\n::cue { color: red }\r\n\r\n1\r\n00:01.000 --> 00:02.500 align:start\r\n<v Ada>Hello, <i>all</i> of you &amp; them.\r\nA < B\r\n\r\n100:00:03.000 --> 100:00:04.000\r\nBye.\r\n";
    const SRT: &str = "1\n00:00:01,000 --> 00:00:02,500\n<i>Hello</i> --> there\n<script>alert(1)</script>\n\n2\n00:00:03,000 --> 00:00:04,000\nBye.\n";

    #[test]
    fn m7_webvtt_is_read_and_written_plain() {
        insta::assert_snapshot!(webvtt(VTT.as_bytes()).expect("WebVTT"), @r"
        WEBVTT

        00:00:01.000 --> 00:00:02.500
        Hello, all of you &amp; them.
        A &lt; B

        100:00:03.000 --> 100:00:04.000
        Bye.
        ");
        assert_eq!(text(VTT.as_bytes()).expect("text"), "Hello, all of you & them. A < B\nBye.\n");
    }

    #[test]
    fn m7_subrip_becomes_webvtt() {
        insta::assert_snapshot!(webvtt(SRT.as_bytes()).expect("WebVTT"), @r"
        WEBVTT

        00:00:01.000 --> 00:00:02.500
        Hello --&gt; there
        alert(1)

        00:00:03.000 --> 00:00:04.000
        Bye.
        ");
    }

    #[test]
    fn m7_a_bare_text_has_no_times() {
        assert_eq!(webvtt(b"Just words.\r\nMore."), Err(NO_TIMES));
        assert_eq!(text(b"Just words.\r\nMore.").expect("text"), "Just words.\nMore.");
        assert_eq!(webvtt(b"WEBVTT").expect("an empty one"), "WEBVTT\n");
        assert_eq!(text(b"WEBVTT").expect("an empty one"), "");
    }

    #[test]
    fn m7_what_is_no_text_is_refused() {
        assert_eq!(text(&[0xff, 0xfe, b'a']), Err(NOT_TEXT));
        assert_eq!(text(b"a\0b"), Err(NOT_TEXT));
    }

    #[test]
    fn m7_foolish_times_are_no_cues() {
        for wrong in
            ["1:2", "--> 00:01.000", "00:61.000 --> 01:00.000", "00:01.00 --> 00:02.000", "-1:00.000 --> 00:01.000"]
        {
            assert_eq!(webvtt(format!("{wrong}\nx").as_bytes()), Err(NO_TIMES), "{wrong}");
        }
        assert_eq!(webvtt(b"WEBVTT\n\n00:05.000 --> 00:01.000\nx").expect("no cue"), "WEBVTT\n");
    }

    #[test]
    fn m7_what_was_written_is_read_the_same() {
        let once = webvtt(VTT.as_bytes()).expect("WebVTT");
        assert_eq!(webvtt(once.as_bytes()).expect("WebVTT"), once);
        let once = webvtt(b"00:01.000 --> 00:02.000\n&amp;lt;b&amp;gt; <c>&lt;i&gt;</c>").expect("WebVTT");
        assert_eq!(webvtt(once.as_bytes()).expect("WebVTT"), once);
    }
}
