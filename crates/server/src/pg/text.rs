//! Values as PostgreSQL prints them: ISO dates, postgres-style intervals, shortest floats.

use std::fmt::Write as _;

use arrow::datatypes::IntervalMonthDayNano;

/// Days and microseconds from 1970 to 2000, where PostgreSQL counts from.
pub(super) const EPOCH_DAYS: i64 = 10_957;
pub(super) const EPOCH_MICROS: i64 = EPOCH_DAYS * DAY_MICROS;
pub(super) const DAY_MICROS: i64 = 86_400_000_000;

/// A double or float from its shortest `{:e}` form; `fixed_max` is the exponent from which PostgreSQL writes one.
pub(super) fn float(out: &mut String, shortest: &str, fixed_max: i32) {
    let (mantissa, exponent) = match shortest {
        "NaN" => return out.push_str("NaN"),
        "inf" => return out.push_str("Infinity"),
        "-inf" => return out.push_str("-Infinity"),
        other => other.split_once('e').unwrap_or((other, "0")),
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    out.push_str(sign);
    if !(-4..fixed_max).contains(&exponent) {
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        // Writing to a String cannot fail, here and below.
        let _ = write!(out, "{mantissa}e{exponent_sign}{:02}", exponent.unsigned_abs());
        return;
    }
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    if exponent < 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', exponent.unsigned_abs() as usize - 1));
        out.push_str(&digits);
        return;
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        out.push_str(&digits);
        out.extend(std::iter::repeat_n('0', whole - digits.len()));
    } else {
        let (before, after) = digits.split_at(whole);
        let _ = write!(out, "{before}.{after}");
    }
}

/// `2026-05-04`, from days since 1970.
pub(super) fn date(out: &mut String, days: i64) {
    let (year, month, day) = civil(days);
    let (shown, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    let _ = write!(out, "{shown:04}-{month:02}-{day:02}{era}");
}

/// `21:32:00.5`, from microseconds since midnight.
pub(super) fn time(out: &mut String, micros: i64) {
    let (seconds, micros) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    fraction(out, micros);
}

/// `2026-05-04 21:32:00.5` and `zone`, from microseconds since 1970.
pub(super) fn timestamp(out: &mut String, micros: i64, zone: &str) {
    let (days, micros) = (micros.div_euclid(DAY_MICROS), micros.rem_euclid(DAY_MICROS));
    let (year, month, day) = civil(days);
    let (shown, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    let _ = write!(out, "{shown:04}-{month:02}-{day:02} ");
    time(out, micros);
    out.push_str(zone);
    out.push_str(era);
}

/// `1 year 2 mons -3 days 04:05:06.7`.
pub(super) fn interval(out: &mut String, span: IntervalMonthDayNano) {
    let (years, months) = (span.months / 12, span.months % 12);
    let micros = span.nanoseconds / 1_000;
    let mut empty = true;
    for (count, one, many) in [(years, "year", "years"), (months, "mon", "mons"), (span.days, "day", "days")]
    {
        if count != 0 {
            let gap = if empty { "" } else { " " };
            let _ = write!(out, "{gap}{count} {}", if count == 1 { one } else { many });
            empty = false;
        }
    }
    if micros != 0 || empty {
        if !empty {
            out.push(' ');
        }
        if micros < 0 {
            out.push('-');
        }
        let micros = micros.unsigned_abs();
        let seconds = micros / 1_000_000;
        let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
        fraction(out, i64::try_from(micros % 1_000_000).unwrap_or(0));
    }
}

/// The part after the point without its zeros at the end.
fn fraction(out: &mut String, micros: i64) {
    if micros != 0 {
        let digits = format!("{micros:06}");
        out.push('.');
        out.push_str(digits.trim_end_matches('0'));
    }
}

/// Year, month and day of a day of the proleptic Gregorian calendar, counted from 1970-01-01.
///
/// The years begin in March, so that the odd day of a leap year is the last, and repeat every 400.
fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_OF_400_YEARS: i64 = 146_097;
    let from_march_0 = days + 719_468;
    let (era, day_of_era) =
        (from_march_0.div_euclid(DAYS_OF_400_YEARS), from_march_0.rem_euclid(DAYS_OF_400_YEARS));
    let leaps = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / (DAYS_OF_400_YEARS - 1);
    let year_of_era = (day_of_era - leaps) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(write: impl Fn(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn doubles_are_printed_as_postgresql_prints_them() {
        for (number, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (-123.456, "-123.456"),
            (100_000_000_000_000.0, "100000000000000"),
            (1e15, "1e+15"),
            (1.5e-7, "1.5e-07"),
            (0.0001, "0.0001"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(shown(|out| float(out, &format!("{number:e}"), 15)), expected);
        }
        assert_eq!(shown(|out| float(out, &format!("{:e}", 1e6_f32), 6)), "1e+06");
    }

    #[test]
    fn times_are_printed_as_postgresql_prints_them() {
        assert_eq!(shown(|out| timestamp(out, 1_777_930_320_500_000, "+00")), "2026-05-04 21:32:00.5+00");
        assert_eq!(shown(|out| timestamp(out, -1, "+00")), "1969-12-31 23:59:59.999999+00");
        assert_eq!(shown(|out| date(out, 0)), "1970-01-01");
        assert_eq!(shown(|out| date(out, -719_468)), "0000-03-01".replace("0000", "0001") + " BC");
        assert_eq!(shown(|out| date(out, 11_016)), "2000-02-29");
        let span = |months, days, nanoseconds| IntervalMonthDayNano { months, days, nanoseconds };
        assert_eq!(shown(|out| interval(out, span(0, 0, 0))), "00:00:00");
        assert_eq!(
            shown(|out| interval(out, span(14, -3, 14_706_700_000_000))),
            "1 year 2 mons -3 days 04:05:06.7"
        );
        assert_eq!(shown(|out| interval(out, span(0, 1, -1_000_000_000))), "1 day -00:00:01");
    }

    #[test]
    fn every_day_of_a_thousand_years_has_the_date_that_the_calendar_gives_it() {
        let start = jiff::civil::date(1_600, 1, 1);
        let epoch = jiff::civil::date(1_970, 1, 1);
        let first = i64::from(epoch.until(start).unwrap().get_days());
        for ahead in (0..365_000).step_by(7) {
            let day = start.checked_add(jiff::Span::new().days(ahead)).unwrap();
            let found = civil(first + i64::from(ahead));
            let wanted = (i64::from(day.year()), i64::from(day.month()), i64::from(day.day()));
            assert_eq!(found, wanted);
        }
    }
}
