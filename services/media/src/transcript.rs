//! Transcripts: WebVTT, SubRip and bare text, read and written in the form that is wanted. Whatever stands in a file, what is written is
//! well-formed: cues hold text, never markup of their own.

/// The longest file that is read, and the longest text that is written.
pub const LENGTH: usize = 3_500_000;

const NOT_TEXT: &str = "the file is not a text in UTF-8";
const NO_TIMES: &str = "the transcript has no times, which WebVTT needs";
/// The answer to what is too long to be read at once.
pub const TOO_LONG: &str = "the transcript is too long to be read at once: download the file as it is";

/// What it takes to read a file of so many bytes: the file, its longest line twice, and what is written.
pub fn memory(size: usize) -> usize {
    3 * size + written(size)
}

/// How long that may become: of any character at most five are made.
fn written(size: usize) -> usize {
    (5 * size + 64).min(LENGTH)
}

/// The transcript as WebVTT.
pub fn webvtt(file: &[u8]) -> Result<String, &'static str> {
    let text = read(file)?;
    let mut vtt = Written::of(file);
    vtt.put("WEBVTT\n")?;
    let has_cues = cues(text, |said| match said {
        Said::Times(start, end) => vtt.put(&format!("\n{} --> {}\n", time(start), time(end))),
        Said::Line(line) => {
            vtt.put_escaped(line)?;
            vtt.put("\n")
        }
        Said::End => Ok(()),
    })?;
    if has_cues || is_vtt(text) { Ok(vtt.done()) } else { Err(NO_TIMES) }
}

/// What is said, a line for each cue.
pub fn text(file: &[u8]) -> Result<String, &'static str> {
    let text = read(file)?;
    let (mut bare, mut first) = (Written::of(file), true);
    let has_cues = cues(text, |said| match said {
        Said::Times(..) => {
            first = true;
            Ok(())
        }
        Said::Line(line) => {
            bare.put(if std::mem::take(&mut first) { "" } else { " " })?;
            bare.put(line)
        }
        Said::End => bare.put("\n"),
    })?;
    if !has_cues && !is_vtt(text) {
        for (number, line) in Lines(Some(text)).enumerate() {
            bare.put(if number == 0 { "" } else { "\n" })?;
            bare.put(line)?;
        }
    }
    Ok(bare.done())
}

/// A text that is written, as long as it is not too long.
struct Written(String);

impl Written {
    fn of(file: &[u8]) -> Written {
        Written(String::with_capacity(written(file.len())))
    }

    fn put(&mut self, text: &str) -> Result<(), &'static str> {
        if self.0.len() + text.len() > LENGTH {
            return Err(TOO_LONG);
        }
        self.0.push_str(text);
        Ok(())
    }

    fn put_escaped(&mut self, mut text: &str) -> Result<(), &'static str> {
        while let Some(at) = text.find(['&', '<', '>']) {
            self.put(&text[..at])?;
            self.put(match text.as_bytes()[at] {
                b'&' => "&amp;",
                b'<' => "&lt;",
                _ => "&gt;",
            })?;
            text = &text[at + 1..];
        }
        self.put(text)
    }

    fn done(mut self) -> String {
        self.0.shrink_to_fit();
        self.0
    }
}

fn read(file: &[u8]) -> Result<&str, &'static str> {
    let text = std::str::from_utf8(file).map_err(|_| NOT_TEXT)?;
    if text.contains('\0') { Err(NOT_TEXT) } else { Ok(text.strip_prefix('\u{feff}').unwrap_or(text)) }
}

fn is_vtt(text: &str) -> bool {
    text.strip_prefix("WEBVTT").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\n', '\r']))
}

/// The lines of a text, however they end.
struct Lines<'t>(Option<&'t str>);

impl<'t> Iterator for Lines<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let text = self.0?;
        let Some(at) = text.find(['\n', '\r']) else { return self.0.take() };
        let behind = &text[at..];
        self.0 = Some(behind.strip_prefix("\r\n").unwrap_or(&behind[1..]));
        Some(&text[..at])
    }
}

/// What is found in a text, one after the other.
enum Said<'l> {
    /// A cue begins, for this time in milliseconds.
    Times(u64, u64),
    Line(&'l str),
    End,
}

/// Finds the cues of a text in blocks, of which only those with a line of times are any: headers, notes, styles and regions have none. True
/// when there are any.
fn cues(text: &str, mut say: impl FnMut(Said<'_>) -> Result<(), &'static str>) -> Result<bool, &'static str> {
    let (mut bare, mut said, mut any) = (String::new(), String::new(), false);
    let mut lines = Lines(Some(text)).peekable();
    while let Some(line) = lines.next() {
        let Some((start, end)) = times(line).filter(|(start, end)| start <= end) else { continue };
        any = true;
        say(Said::Times(start, end))?;
        // A line of times that follows without an empty one begins the next cue all the same.
        while let Some(line) = lines.next_if(|line| !line.trim().is_empty() && times(line).is_none()) {
            plain(line, &mut bare);
            resolve(bare.trim(), &mut said);
            // A line without anything would end the cue.
            if !said.trim().is_empty() {
                say(Said::Line(&said))?;
            }
        }
        say(Said::End)?;
    }
    Ok(any)
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

/// A line of a cue without its tags (`<v Ada>`, `<i>`, `<00:01.000>`).
fn plain(line: &str, plain: &mut String) {
    plain.clear();
    // Once nothing closes a tag, nothing does further on: no line is searched again for each of its `<`.
    let (mut rest, mut closes) = (line, true);
    while let Some(at) = rest.find('<') {
        plain.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        let begins = closes && behind.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/');
        let end = if begins { behind.find('>') } else { None };
        closes &= !begins || end.is_some();
        rest = match end {
            Some(end) => &behind[end + 1..],
            None => {
                plain.push('<');
                behind
            }
        };
    }
    plain.push_str(rest);
}

const ESCAPES: [(&str, &str); 6] =
    [("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&nbsp;", "\u{a0}"), ("&lrm;", ""), ("&rlm;", "")];

/// A text with its escapes resolved, each once.
fn resolve(mut text: &str, resolved: &mut String) {
    resolved.clear();
    while let Some(at) = text.find('&') {
        resolved.push_str(&text[..at]);
        text = &text[at..];
        let known = ESCAPES.iter().find(|(escape, _)| text.starts_with(escape));
        let (escape, character) = known.copied().unwrap_or(("&", "&"));
        resolved.push_str(character);
        text = &text[escape.len()..];
    }
    resolved.push_str(text);
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

    #[test]
    fn s44_a_line_of_nothing_but_tags_that_never_end_is_read_once() {
        // Searched to its end for each tag, the longest file would take minutes.
        for tags in ["<", "<a", "< <a", "&", "&l"] {
            let line = tags.repeat(LENGTH / tags.len() / 8);
            let file = format!("00:00.000 --> 00:01.000\n{line}");
            assert_eq!(text(file.as_bytes()).expect("text").trim(), line);
            assert!(webvtt(file.as_bytes()).is_ok());
        }
    }

    #[test]
    fn s49_what_is_made_of_a_transcript_takes_no_more_than_is_counted() {
        let short = "00:00.000 --> 00:00.000\n&\n".repeat(1000);
        for made in [webvtt(short.as_bytes()), text(short.as_bytes())] {
            assert!(made.expect("a transcript").len() <= written(short.len()));
        }
        let long = format!("00:00.000 --> 00:01.000\n{}", "&\n".repeat(LENGTH / 4));
        assert_eq!(webvtt(long.as_bytes()), Err(TOO_LONG));
        assert!(memory(LENGTH) < 16 << 20);
    }

    #[test]
    fn m7_lines_end_in_three_ways() {
        let lines = |text| Lines(Some(text)).collect::<Vec<_>>();
        assert_eq!(lines("a\nb\rc\r\nd\r\r\n"), ["a", "b", "c", "d", "", ""]);
        assert_eq!(lines(""), [""]);
    }
}
