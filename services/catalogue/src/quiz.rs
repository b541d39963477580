//! Quizzes: questions, and the answers that only teachers see.

use quartet_chassis::failure::Fields;
use quartet_proto::catalogue::v1::{self, question};
use serde::{Deserialize, Serialize};

use crate::course::markdown;

/// The most questions of a quiz.
const QUESTIONS: usize = 100;
/// The most choices of a question, and right answers of a short text.
const CHOICES: usize = 20;
/// The longest quiz as it is stored, in bytes: a page of blocks must fit into a message.
const SIZE: usize = 500_000;

/// A quiz, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quiz {
    pub questions: Vec<Question>,
    /// How much of the points completes the block.
    pub pass_percent: i32,
    /// How often a student may try; 0 for any number.
    pub max_attempts: i32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    pub text: String,
    pub points: i32,
    pub kind: Kind,
}

/// How a question is asked, and what is right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Kind {
    SingleChoice {
        choices: Vec<String>,
        answer: i32,
    },
    MultipleChoice {
        choices: Vec<String>,
        /// Ascending, none twice.
        answers: Vec<i32>,
    },
    Number {
        answer: f64,
        tolerance: f64,
    },
    ShortText {
        answers: Vec<String>,
    },
}

impl Quiz {
    /// Reads a quiz and notes everything that is wrong with it; `path` is where it stands.
    pub fn parse(given: &v1::Quiz, path: &str, fields: &mut Fields) -> Option<Quiz> {
        if given.questions.is_empty() || given.questions.len() > QUESTIONS {
            fields.refuse(&format!("{path}.questions"), format!("must be 1 to {QUESTIONS} questions"));
            return None;
        }
        let questions = given
            .questions
            .iter()
            .enumerate()
            .map(|(index, question)| Question::parse(question, &format!("{path}.questions[{index}]"), fields));
        // All of them are read, so that all that is wrong is said.
        let questions: Vec<Option<Question>> = questions.collect();
        let pass_percent = ranged(given.pass_percent, 0, 100);
        let pass_percent = fields.take(&format!("{path}.pass_percent"), pass_percent);
        let max_attempts = fields.take(&format!("{path}.max_attempts"), ranged(given.max_attempts, 0, 1_000));
        let questions = questions.into_iter().collect::<Option<Vec<_>>>()?;
        let quiz = Quiz { questions, pass_percent: pass_percent?, max_attempts: max_attempts? };
        if quiz.to_json().len() > SIZE {
            fields.refuse(path, format!("must not be larger than {SIZE} bytes altogether"));
            return None;
        }
        Some(quiz)
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub fn max_points(&self) -> i32 {
        self.questions.iter().map(|question| question.points).sum()
    }

    /// The quiz without its answers: what may leave the server for those who are to find them.
    pub fn for_student(&self) -> v1::Quiz {
        let mut quiz = self.for_teacher();
        for question in &mut quiz.questions {
            match &mut question.kind {
                Some(question::Kind::SingleChoice(choice)) => choice.answer = None,
                Some(question::Kind::MultipleChoice(choice)) => choice.answers = Vec::new(),
                Some(question::Kind::Number(number)) => *number = v1::NumberQuestion::default(),
                Some(question::Kind::ShortText(text)) => text.answers = Vec::new(),
                None => {}
            }
        }
        quiz
    }

    pub fn for_teacher(&self) -> v1::Quiz {
        v1::Quiz {
            questions: self.questions.iter().map(Question::to_proto).collect(),
            pass_percent: self.pass_percent,
            max_attempts: self.max_attempts,
        }
    }
}

impl Question {
    fn parse(given: &v1::Question, path: &str, fields: &mut Fields) -> Option<Question> {
        let text = fields.take(&format!("{path}.text"), words(&given.text, 5_000));
        let points = fields.take(&format!("{path}.points"), ranged(given.points, 1, 1_000));
        let kind = match &given.kind {
            None => {
                fields.refuse(path, "must say how it is asked");
                None
            }
            Some(kind) => Kind::parse(kind, path, fields),
        };
        Some(Question { text: text?, points: points?, kind: kind? })
    }

    fn to_proto(&self) -> v1::Question {
        let kind = match self.kind.clone() {
            Kind::SingleChoice { choices, answer } => {
                question::Kind::SingleChoice(v1::SingleChoice { choices, answer: Some(answer) })
            }
            Kind::MultipleChoice { choices, answers } => {
                question::Kind::MultipleChoice(v1::MultipleChoice { choices, answers })
            }
            Kind::Number { answer, tolerance } => {
                question::Kind::Number(v1::NumberQuestion { answer: Some(answer), tolerance: Some(tolerance) })
            }
            Kind::ShortText { answers } => question::Kind::ShortText(v1::ShortText { answers }),
        };
        v1::Question { text: self.text.clone(), points: self.points, kind: Some(kind) }
    }
}

impl Kind {
    fn parse(given: &question::Kind, path: &str, fields: &mut Fields) -> Option<Kind> {
        match given {
            question::Kind::SingleChoice(given) => {
                let path = format!("{path}.single_choice");
                let choices = fields.take(&format!("{path}.choices"), choices(&given.choices));
                let answer = given.answer.filter(|answer| is_index(*answer, given.choices.len()));
                let answer = fields.take(&format!("{path}.answer"), answer.ok_or("must be one of the choices"));
                Some(Kind::SingleChoice { choices: choices?, answer: answer? })
            }
            question::Kind::MultipleChoice(given) => {
                let path = format!("{path}.multiple_choice");
                let choices = fields.take(&format!("{path}.choices"), choices(&given.choices));
                let answers = indexes(&given.answers, given.choices.len());
                let answers = fields.take(&format!("{path}.answers"), answers);
                Some(Kind::MultipleChoice { choices: choices?, answers: answers? })
            }
            question::Kind::Number(given) => {
                let path = format!("{path}.number");
                let finite = |number: Option<f64>| number.filter(|number| number.is_finite());
                let answer = finite(given.answer).ok_or("must be a number");
                let answer = fields.take(&format!("{path}.answer"), answer);
                let tolerance = finite(Some(given.tolerance.unwrap_or_default())).filter(|number| *number >= 0.0);
                let tolerance = tolerance.ok_or("must be a number and not negative");
                let tolerance = fields.take(&format!("{path}.tolerance"), tolerance);
                // Zero has one sign, or a quiz that was read would not be the one that was written.
                Some(Kind::Number { answer: answer? + 0.0, tolerance: tolerance? + 0.0 })
            }
            question::Kind::ShortText(given) => {
                let answers = fields.take(&format!("{path}.short_text.answers"), list(&given.answers, 1, 200));
                Some(Kind::ShortText { answers: answers? })
            }
        }
    }
}

fn ranged(number: i32, least: i32, most: i32) -> Result<i32, String> {
    if (least..=most).contains(&number) { Ok(number) } else { Err(format!("must be from {least} to {most}")) }
}

/// A text that says something.
fn words(text: &str, most: usize) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("must not be empty".to_owned());
    }
    markdown(text, most)
}

fn choices(given: &[String]) -> Result<Vec<String>, String> {
    list(given, 2, 500)
}

/// Different texts, as many as `least` and each as long as `most` at most.
fn list(given: &[String], least: usize, most: usize) -> Result<Vec<String>, String> {
    if !(least..=CHOICES).contains(&given.len()) {
        return Err(format!("must be {least} to {CHOICES}"));
    }
    let texts = given.iter().map(|text| words(text, most)).collect::<Result<Vec<_>, _>>()?;
    let again = texts.iter().enumerate().any(|(index, text)| texts[..index].contains(text));
    if again { Err("must differ from each other".to_owned()) } else { Ok(texts) }
}

fn is_index(index: i32, count: usize) -> bool {
    usize::try_from(index).is_ok_and(|index| index < count)
}

fn indexes(given: &[i32], count: usize) -> Result<Vec<i32>, &'static str> {
    let mut indexes = given.to_vec();
    indexes.sort_unstable();
    indexes.dedup();
    let known = indexes.iter().all(|index| is_index(*index, count));
    if !known || indexes.len() != given.len() || indexes.is_empty() {
        return Err("must be some of the choices, none twice");
    }
    Ok(indexes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(index: usize) -> String {
        format!("text {index}")
    }

    fn question(kind: question::Kind) -> v1::Question {
        v1::Question { text: "Why?".into(), points: 2, kind: Some(kind) }
    }

    fn full() -> v1::Quiz {
        let choices: Vec<String> = (0..3).map(text).collect();
        let single = v1::SingleChoice { choices: choices.clone(), answer: Some(1) };
        let multiple = v1::MultipleChoice { choices, answers: vec![0, 2] };
        let number = v1::NumberQuestion { answer: Some(0.1), tolerance: Some(0.0) };
        let short = v1::ShortText { answers: vec!["Paris".into()] };
        let questions = vec![
            question(question::Kind::SingleChoice(single)),
            question(question::Kind::MultipleChoice(multiple)),
            question(question::Kind::Number(number)),
            question(question::Kind::ShortText(short)),
        ];
        v1::Quiz { questions, pass_percent: 50, max_attempts: 3 }
    }

    fn parsed(given: &v1::Quiz) -> (Option<Quiz>, String) {
        let mut fields = Fields::default();
        let quiz = Quiz::parse(given, "quiz", &mut fields);
        let wrong = fields.finish().err().map(|failure| tonic::Status::from(failure).message().to_owned());
        (quiz, wrong.unwrap_or_default())
    }

    #[test]
    fn k6_a_quiz_is_stored_and_told_as_it_was_given() {
        let (quiz, wrong) = parsed(&full());
        assert_eq!(wrong, "");
        let stored: Option<Quiz> = quiz.as_ref().and_then(|quiz| serde_json::from_str(&quiz.to_json()).ok());
        assert_eq!(stored, quiz);
        assert_eq!(quiz.as_ref().map(Quiz::for_teacher), Some(full()));
        assert_eq!(quiz.map(|quiz| quiz.max_points()), Some(8));
    }

    #[test]
    fn s33_students_get_no_answers() {
        let told = parsed(&full()).0.map(|quiz| format!("{:?}", quiz.for_student())).unwrap_or_default();
        for secret in ["Some(1)", "[0, 2]", "0.1", "Paris"] {
            assert!(!told.contains(secret), "{secret} in {told}");
        }
        assert!(told.contains("text 2"));
    }

    #[test]
    fn k6_everything_wrong_with_a_quiz_is_said() {
        let single = v1::SingleChoice { choices: vec!["a".into(), "a".into()], answer: Some(2) };
        let multiple = v1::MultipleChoice { choices: vec!["a".into()], answers: vec![0, 0] };
        let number = v1::NumberQuestion { answer: Some(f64::NAN), tolerance: Some(-1.0) };
        let questions = vec![
            question(question::Kind::SingleChoice(single)),
            question(question::Kind::MultipleChoice(multiple)),
            question(question::Kind::Number(number)),
            question(question::Kind::ShortText(v1::ShortText { answers: vec![String::new()] })),
            v1::Question { text: " ".into(), points: 0, kind: None },
        ];
        let (quiz, wrong) = parsed(&v1::Quiz { questions, pass_percent: 101, max_attempts: -1 });
        assert_eq!(quiz, None);
        insta::assert_snapshot!(wrong.replace("; ", "\n"), @"
        `quiz.questions[0].single_choice.choices` must differ from each other
        `quiz.questions[0].single_choice.answer` must be one of the choices
        `quiz.questions[1].multiple_choice.choices` must be 2 to 20
        `quiz.questions[1].multiple_choice.answers` must be some of the choices, none twice
        `quiz.questions[2].number.answer` must be a number
        `quiz.questions[2].number.tolerance` must be a number and not negative
        `quiz.questions[3].short_text.answers` must not be empty
        `quiz.questions[4].text` must not be empty
        `quiz.questions[4].points` must be from 1 to 1000
        `quiz.questions[4]` must say how it is asked
        `quiz.pass_percent` must be from 0 to 100
        `quiz.max_attempts` must be from 0 to 1000
        ");
        assert!(parsed(&v1::Quiz::default()).1.contains("1 to 100 questions"));
    }
}
