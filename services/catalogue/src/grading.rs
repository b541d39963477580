//! How a try of a quiz is graded.

use quartet_chassis::fold::fold_answer;
use serde::Serialize;

use crate::quiz::{Kind, Question, Quiz};

/// The most characters of an answer in words.
const TEXT_LENGTH: usize = 200;

/// An answer of a student's.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Given {
    Nothing,
    Choice(i32),
    Choices(Vec<i32>),
    Number(f64),
    Text(String),
}

/// What a try is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graded {
    /// For each question, whether the answer was right.
    pub correct: Vec<bool>,
    pub points: i32,
    pub max_points: i32,
    pub passed: bool,
}

/// What is wrong with the answers to a quiz, whether or not they are right: the fields and the rules they break.
pub fn mistakes(quiz: &Quiz, given: &[Given]) -> Vec<(String, String)> {
    if given.len() != quiz.questions.len() {
        let rule = format!("must be one for each of the {} questions", quiz.questions.len());
        return vec![("answers".to_owned(), rule)];
    }
    let answers = quiz.questions.iter().zip(given).enumerate();
    answers.filter_map(|(at, (question, given))| Some((format!("answers[{at}]"), mistake(question, given)?))).collect()
}

fn mistake(question: &Question, given: &Given) -> Option<String> {
    let in_range = |choices: &[String], choice: i32| usize::try_from(choice).is_ok_and(|choice| choice < choices.len());
    let wrong = match (&question.kind, given) {
        (_, Given::Nothing) => None,
        (Kind::SingleChoice { choices, .. }, Given::Choice(choice)) => {
            (!in_range(choices, *choice)).then_some("must be one of the choices, counted from 0")
        }
        (Kind::MultipleChoice { choices, .. }, Given::Choices(chosen)) => {
            let wrong = chosen.len() > choices.len() || !chosen.iter().all(|choice| in_range(choices, *choice));
            wrong.then_some("must be some of the choices, counted from 0, each once")
        }
        (Kind::Number { .. }, Given::Number(number)) => (!number.is_finite()).then_some("must be a finite number"),
        (Kind::ShortText { .. }, Given::Text(text)) => {
            (text.chars().count() > TEXT_LENGTH).then_some("must have at most 200 characters")
        }
        (Kind::SingleChoice { .. }, _) => Some("must be a `choice`"),
        (Kind::MultipleChoice { .. }, _) => Some("must be `choices`"),
        (Kind::Number { .. }, _) => Some("must be a `number`"),
        (Kind::ShortText { .. }, _) => Some("must be a `text`"),
    };
    wrong.map(str::to_owned)
}

/// Grades answers in which there are no [`mistakes`].
pub fn grade(quiz: &Quiz, given: &[Given]) -> Graded {
    let correct: Vec<bool> =
        quiz.questions.iter().zip(given).map(|(question, given)| is_right(&question.kind, given)).collect();
    let max_points: i32 = quiz.questions.iter().map(|question| question.points).sum();
    let right = quiz.questions.iter().zip(&correct).filter(|(_, correct)| **correct);
    let points: i32 = right.map(|(question, _)| question.points).sum();
    let passed = i64::from(points) * 100 >= i64::from(quiz.pass_percent) * i64::from(max_points);
    Graded { correct, points, max_points, passed }
}

fn is_right(kind: &Kind, given: &Given) -> bool {
    match (kind, given) {
        (Kind::SingleChoice { answer, .. }, Given::Choice(choice)) => choice == answer,
        (Kind::MultipleChoice { answers, .. }, Given::Choices(chosen)) => {
            let mut chosen = chosen.clone();
            chosen.sort_unstable();
            chosen.dedup();
            let mut answers = answers.clone();
            answers.sort_unstable();
            chosen == answers
        }
        (Kind::Number { answer, tolerance }, Given::Number(number)) => is_near(*number, *answer, *tolerance),
        (Kind::ShortText { answers }, Given::Text(text)) => {
            let text = fold_answer(text);
            !text.is_empty() && answers.iter().any(|answer| fold_answer(answer) == text)
        }
        _ => false,
    }
}

/// Whether a number is within the tolerance, as people reckon: 0.3 is within 0.1 of 0.2, though its binary digits are not.
fn is_near(number: f64, answer: f64, tolerance: f64) -> bool {
    let slack = 4.0 * f64::EPSILON * number.abs().max(answer.abs()).max(tolerance);
    (number - answer).abs() <= tolerance + slack
}

/// The grade from 0 to 100 that the points of a quiz stand for.
pub fn percent(points: i32, max_points: i32) -> i32 {
    if max_points <= 0 {
        return 0;
    }
    let (points, max) = (i64::from(points.clamp(0, max_points)), i64::from(max_points));
    i32::try_from((200 * points + max) / (2 * max)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(points: i32, kind: Kind) -> Question {
        Question { text: "?".to_owned(), points, kind }
    }

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|word| (*word).to_owned()).collect()
    }

    fn quiz() -> Quiz {
        let choices = words(&["a", "b", "c"]);
        let questions = vec![
            question(1, Kind::SingleChoice { choices: choices.clone(), answer: 2 }),
            question(2, Kind::MultipleChoice { choices, answers: vec![0, 2] }),
            question(3, Kind::Number { answer: 0.2, tolerance: 0.1 }),
            question(4, Kind::ShortText { answers: words(&["Amélie", "the fabulous destiny"]) }),
        ];
        Quiz { questions, pass_percent: 70, max_attempts: 0 }
    }

    fn correct(given: [Given; 4]) -> Vec<bool> {
        assert_eq!(mistakes(&quiz(), &given), []);
        grade(&quiz(), &given).correct
    }

    fn text(text: &str) -> Given {
        Given::Text(text.to_owned())
    }

    #[test]
    fn k8_each_kind_of_question_has_its_right_answers() {
        use Given::*;
        let right = correct([Choice(2), Choices(vec![2, 0, 2]), Number(0.3), text(" AMELIE ")]);
        assert_eq!(right, [true; 4]);
        let wrong = correct([Choice(0), Choices(vec![0]), Number(0.300_001), text("Ameli")]);
        assert_eq!(wrong, [false; 4]);
        let wrong = correct([Choice(1), Choices(vec![0, 1, 2]), Number(0.099), text("  ")]);
        assert_eq!(wrong, [false; 4]);
        assert_eq!(correct([Nothing, Nothing, Nothing, Nothing]), [false; 4]);
        assert_eq!(correct([Nothing, Choices(vec![]), Number(0.1), text("The FABULOUS destiny")])[2..], [true, true]);
    }

    #[test]
    fn k8_a_sign_of_another_meaning_is_another_answer() {
        let kind = Kind::ShortText { answers: words(&["x²", "½"]) };
        assert!(is_right(&kind, &text("X²")) && is_right(&kind, &text(" ½")));
        assert!(!is_right(&kind, &text("x2")) && !is_right(&kind, &text("1/2")) && !is_right(&kind, &text("1⁄2")));
    }

    #[test]
    fn k8_points_are_added_and_enough_of_them_pass() {
        let given = [Given::Choice(2), Given::Choices(vec![0, 2]), Given::Nothing, text("amelie")];
        let graded = grade(&quiz(), &given);
        assert_eq!((graded.points, graded.max_points, graded.passed), (7, 10, true));
        let graded = grade(&quiz(), &[Given::Nothing, given[1].clone(), Given::Nothing, text("amelie")]);
        assert_eq!((graded.points, graded.passed), (6, false));
        let none = [Given::Nothing, Given::Nothing, Given::Nothing, Given::Nothing];
        assert!(!grade(&quiz(), &none).passed);
        assert!(grade(&Quiz { pass_percent: 0, ..quiz() }, &none).passed);
    }

    #[test]
    fn k8_answers_that_are_none_are_refused_together() {
        let given = [Given::Choice(3), Given::Choices(vec![-1]), Given::Number(f64::NAN), text(&"x".repeat(201))];
        let fields: Vec<String> = mistakes(&quiz(), &given).into_iter().map(|mistake| mistake.0).collect();
        assert_eq!(fields, ["answers[0]", "answers[1]", "answers[2]", "answers[3]"]);
        let given = [text("a"), Given::Choice(1), Given::Choices(vec![1]), Given::Number(1.0)];
        assert_eq!(mistakes(&quiz(), &given).len(), 4, "each of another question's kind");
        assert_eq!(mistakes(&quiz(), &given[..3])[0].0, "answers");
        assert_eq!(
            mistakes(&quiz(), &[Given::Nothing, Given::Choices(vec![0; 4]), Given::Nothing, Given::Nothing]).len(),
            1
        );
    }

    #[test]
    fn k8_points_as_a_grade_are_rounded() {
        assert_eq!(
            [(0, 3), (1, 3), (2, 3), (3, 3), (1, 8), (1, 200), (1, 201)].map(|(a, b)| percent(a, b)),
            [0, 33, 67, 100, 13, 1, 0]
        );
        assert_eq!((percent(5, 0), percent(9, 3), percent(-1, 3)), (0, 100, 0));
    }
}
