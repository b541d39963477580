//! Amounts of money: exact decimals as text outside, whole cents inside.

/// Amounts below this many dollars are accepted: a quadrillion.
const DOLLARS: u64 = 1_000_000_000_000_000;

/// Reads an amount such as `75000000.0` or `2.5e6` as cents, exactly.
pub fn parse(text: &str) -> Result<i64, &'static str> {
    const FORM: &str = "must be an amount such as `271616668.00`";
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if let Some(amount) = mantissa.strip_prefix('-') {
        let number = !amount.is_empty() && amount.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        return Err(if number { "must not be negative" } else { FORM });
    }
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    if whole.is_empty() || digits.len() > 40 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(FORM);
    }
    let exponent: i32 = exponent.parse().map_err(|_| FORM)?;
    if exponent.abs() > 40 {
        return Err(FORM);
    }
    // The place of the last digit, counted in cents: 0 is the cent itself, 2 the dollar.
    let mut place = exponent + 2 - i32::try_from(fraction.len()).map_err(|_| FORM)?;
    let mut digits = digits.as_slice();
    while let ([head @ .., b'0'], true) = (digits, place < 0) {
        digits = head;
        place += 1;
    }
    let amount = digits.iter().try_fold(0u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
    let amount = amount.ok_or("is too large")?;
    match u32::try_from(place) {
        Err(_) if amount == 0 => Ok(0),
        Err(_) => Err("must have at most two decimals"),
        Ok(place) => {
            let cents =
                if amount == 0 { Some(0) } else { 10u64.checked_pow(place).and_then(|unit| amount.checked_mul(unit)) };
            let cents = cents.filter(|cents| cents / 100 < DOLLARS).ok_or("is too large")?;
            i64::try_from(cents).map_err(|_| "is too large")
        }
    }
}

/// Writes cents as an amount: `271616668.00`.
pub fn format(cents: i64) -> String {
    let (dollars, rest) = (cents.unsigned_abs() / 100, cents.unsigned_abs() % 100);
    let sign = if cents < 0 { "-" } else { "" };
    format!("{sign}{dollars}.{rest:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k1_amounts_are_exact() {
        let amounts = [
            ("75000000.0", "75000000.00"),
            ("340941958.6", "340941958.60"),
            ("0", "0.00"),
            ("0.0", "0.00"),
            ("0.10", "0.10"),
            ("12.3400000", "12.34"),
            ("2.5e6", "2500000.00"),
            ("1E+3", "1000.00"),
            ("12345e-2", "123.45"),
            ("0e30", "0.00"),
            ("999999999999999.99", "999999999999999.99"),
        ];
        for (text, amount) in amounts {
            assert_eq!(parse(text).map(format).as_deref(), Ok(amount), "{text}");
        }
    }

    #[test]
    fn k1_what_is_no_amount_is_refused() {
        let form =
            ["", "abc", "1,000", "1.2.3", ".5", "nan", "inf", "1e", "1e99999999999", "1e41", "0x10", "-", "--1", "١"];
        for text in form {
            assert_eq!(parse(text), Err("must be an amount such as `271616668.00`"), "{text}");
        }
        for text in ["-1", "-0.01"] {
            assert_eq!(parse(text), Err("must not be negative"), "{text}");
        }
        for text in ["0.001", "1e-3", "12.345"] {
            assert_eq!(parse(text), Err("must have at most two decimals"), "{text}");
        }
        for text in ["1000000000000000", "1e15", "9e40", "99999999999999999999999999"] {
            assert_eq!(parse(text), Err("is too large"), "{text}");
        }
    }
}
