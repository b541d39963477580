//! What instances tell each other by Redis: numbers and ids, never what somebody wrote. Whoever needs more reads it.

use std::fmt;
use std::str::FromStr;

use quartet_chassis::id::Id;

/// Something that another instance may have listeners for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A conversation has a change with this number.
    Changed(Id, i64),
    /// An account's own view of a conversation has changed.
    Own(Id, Id),
    /// In a conversation, an account has received and read so far.
    Receipt(Id, Id, i64, i64),
    /// In a conversation, an account types, or no longer.
    Typing(Id, Id, bool),
    /// An account is there, or no longer.
    Here(Id, bool),
    /// A stream of an account has this conversation on the screen.
    Focus { stream: Id, account: Id, conversation: Option<Id> },
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            News::Changed(id, number) => write!(f, "changed {id} {number}"),
            News::Own(account, id) => write!(f, "own {account} {id}"),
            News::Receipt(id, account, delivered, read) => write!(f, "receipt {id} {account} {delivered} {read}"),
            News::Typing(id, account, typing) => write!(f, "typing {id} {account} {typing}"),
            News::Here(account, here) => write!(f, "here {account} {here}"),
            News::Focus { stream, account, conversation } => {
                write!(f, "focus {stream} {account} {}", conversation.unwrap_or(Id::NIL))
            }
        }
    }
}

impl FromStr for News {
    type Err = ();

    fn from_str(line: &str) -> Result<News, ()> {
        let mut words = line.split(' ');
        let kind = words.next().ok_or(())?;
        let news = match kind {
            "changed" => News::Changed(word(&mut words)?, word(&mut words)?),
            "own" => News::Own(word(&mut words)?, word(&mut words)?),
            "receipt" => News::Receipt(word(&mut words)?, word(&mut words)?, word(&mut words)?, word(&mut words)?),
            "typing" => News::Typing(word(&mut words)?, word(&mut words)?, word(&mut words)?),
            "here" => News::Here(word(&mut words)?, word(&mut words)?),
            "focus" => News::Focus {
                stream: word(&mut words)?,
                account: word(&mut words)?,
                conversation: Some(word(&mut words)?).filter(|id| *id != Id::NIL),
            },
            _ => return Err(()),
        };
        if words.next().is_none() { Ok(news) } else { Err(()) }
    }
}

fn word<'a, T: FromStr>(words: &mut impl Iterator<Item = &'a str>) -> Result<T, ()> {
    words.next().ok_or(())?.parse().map_err(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g4_news_are_read_as_they_were_written() {
        let [one, other] = [1, 2].map(|byte| Id::from_bytes([byte; 16]));
        let all = [
            News::Changed(one, 9),
            News::Own(one, other),
            News::Receipt(one, other, 7, 5),
            News::Typing(one, other, true),
            News::Here(one, false),
            News::Focus { stream: one, account: other, conversation: None },
            News::Focus { stream: one, account: other, conversation: Some(one) },
        ];
        for news in all {
            assert_eq!(news.to_string().parse(), Ok(news));
        }
        for wrong in ["", "beat", "changed x 1", "own", "here 1 true true"] {
            assert_eq!(wrong.parse::<News>(), Err(()), "{wrong}");
        }
    }
}
