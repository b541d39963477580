//! Movie files.

use std::fmt::Write as _;

use anyhow::Context as _;

use crate::settings::Settings;

/// A file to import.
pub struct Movies {
    pub what: String,
    pub csv: Vec<u8>,
}

const HEADER: &str = "names,date_x,score,genre,overview,orig_title,status,orig_lang,budget_x,revenue,country";
const HEADER_WITH_CREW: &str =
    "names,date_x,score,genre,overview,crew,orig_title,status,orig_lang,budget_x,revenue,country";
const GENRES: [&str; 8] =
    ["Drama", "Action", "Comedy", "Horror", "Science Fiction", "Romance", "Thriller", "Animation"];
const COUNTRIES: [&str; 6] = ["AU", "US", "JP", "FR", "KR", "DE"];
const LANGUAGES: [&str; 6] = ["English", "Japanese", "French", "Korean", "German", "\"Spanish, Castilian\""];
/// How many names a movie has in the large file, and of how many people in all: as many for each movie as a real one has.
const NAMES: usize = 17;
const PEOPLE: usize = 60_000;

/// The file that the settings name, or one of about the same size.
pub fn plain(settings: &Settings) -> anyhow::Result<Movies> {
    match &settings.movies {
        Some(path) => {
            let csv = std::fs::read(path).with_context(|| path.display().to_string())?;
            Ok(Movies { what: format!("the given file, {}", size(&csv)), csv })
        }
        None => {
            let csv = generated(0..rows(settings), false);
            Ok(Movies { what: format!("{} generated rows, {}", rows(settings), size(&csv)), csv })
        }
    }
}

/// A file with names of actors.
pub fn with_names(settings: &Settings) -> Movies {
    let csv = generated(0..rows(settings), true);
    Movies { what: format!("{} generated rows with {NAMES} names each, {}", rows(settings), size(&csv)), csv }
}

fn rows(settings: &Settings) -> usize {
    if settings.quick { 1_000 } else { 10_178 }
}

fn size(csv: &[u8]) -> String {
    format!("{:.1} MiB", csv.len() as f64 / 1048576.0)
}

/// So many generated movies without actors, from a number on.
pub fn part(from: usize, rows: usize) -> Vec<u8> {
    generated(from..from + rows, false)
}

fn generated(rows: std::ops::Range<usize>, names: bool) -> Vec<u8> {
    let mut csv = String::from(if names { HEADER_WITH_CREW } else { HEADER });
    csv.push('\n');
    for row in rows {
        let pick = |list: &[&'static str], salt: usize| list[(row * 7 + salt) % list.len()];
        let (month, day, year) = (1 + row % 12, 1 + row % 28, 1950 + row % 73);
        let (score, budget) = (row % 100, 1_000 * (row % 90_000));
        let (genre, other) = (pick(&GENRES, 0), pick(&GENRES, 3));
        let overview =
            "A story of people who met once, went apart, and meet again where neither would have looked. ".repeat(3);
        let _ = write!(
            csv,
            "The Movie of Night {row},{month:02}/{day:02}/{year} ,{score}.0,\"{genre}, {other}\",\"{overview}{row}\","
        );
        if names {
            // Spread so that neighbours share nobody and everybody plays a few times.
            let people = (0..NAMES).map(|at| (row * NAMES + at * 3571) % PEOPLE);
            let people = people.map(|person| format!("Given{person} Family{}", person % 1000));
            let _ = write!(csv, "\"{}\",", people.collect::<Vec<_>>().join(","));
        }
        let (language, country) = (pick(&LANGUAGES, 0), pick(&COUNTRIES, 0));
        let _ = writeln!(csv, "The Movie of Night {row}, Released,{language},{budget}.0,{budget}.5,{country}");
    }
    csv.into_bytes()
}
