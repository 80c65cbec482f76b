use super::*;
use crate::testing::labels;

fn matchers(texts: &[&str]) -> Result<Matchers, MatcherError> {
    let read = texts.iter().map(|text| parse_matcher(text)).collect::<Result<Vec<_>, _>>()?;
    Matchers::new(&read)
}

#[test]
fn matchers_are_read_compared_anchored_and_a_missing_label_is_empty() {
    let alert = labels(&[("service_name", "checkout"), ("team", "a\"b\\c")]);
    for (text, matches) in [
        (r#"service_name="checkout""#, true),
        ("service_name=checkout", true),
        (" service_name = \"checkout\" ", true),
        (r#"service_name="check""#, false),
        (r#"service_name=~"check""#, false),
        (r#"service_name=~"check.*""#, true),
        (r#"service_name=~"cart|checkout""#, true),
        (r#"service_name!~"check.*""#, false),
        (r#"service_name!="cart""#, true),
        (r#"team="a\"b\\c""#, true),
        (r#"service_name=~"\w+""#, true),
        (r#"region="""#, true),
        (r#"region!="""#, false),
        (r#"region=~".+""#, false),
    ] {
        let found = matchers(&[text]).map(|matchers| matchers.matches(&alert));
        assert_eq!(found, Ok(matches), "{text}");
    }
    assert!(matchers(&["service_name=checkout", "region=eu"]).is_ok_and(|both| !both.matches(&alert)));
}

#[test]
fn what_is_no_matcher_is_refused_with_an_example() {
    for text in ["", "service_name", "=x", "a b=c", "a=\"b", "a=b\"c", "a=\"b\"c\"", "!a=b", "a~b"] {
        assert!(matches!(parse_matcher(text), Err(MatcherError::Syntax(_))), "{text:?}");
    }
    let told = parse_matcher("service").unwrap_err().to_string();
    assert!(told.contains("service_name=\"checkout\""), "{told}");
    for text in ["a=~\"(\"", "a=~\"x)(y\"", "a=~\"(a{1000}){1000}\""] {
        let told = matchers(&[text]).unwrap_err().to_string();
        assert!(told.contains("regular expression"), "{text}: {told}");
    }
}

#[test]
fn a_silence_of_everything_is_refused() {
    let selective = |texts: &[&str]| {
        Matchers::selective(&texts.iter().map(|text| parse_matcher(text).unwrap()).collect::<Vec<_>>())
            .map(drop)
    };
    for texts in [&["service_name=~\".*\""][..], &["team!=\"x\""], &["a=\"\"", "b!~\"c\""]] {
        assert_eq!(selective(texts), Err(MatcherError::Everything), "{texts:?}");
    }
    assert_eq!(selective(&[]), Err(MatcherError::Count(0)));
    assert_eq!(selective(&["team!=\"x\"", "severity=page"]), Ok(()));
    assert_eq!(selective(&["service_name=~\".+\""]), Ok(()));
    let many: Vec<String> = (0..=MATCHERS_MAX).map(|n| format!("l{n}=x")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(selective(&many), Err(MatcherError::Count(MATCHERS_MAX + 1)));
}

#[test]
fn a_matcher_reads_back_from_its_own_text() {
    for text in [r#"a="b""#, r#"a!="b \"c\"""#, r#"a=~"b.*""#, r#"a!~"x|y""#] {
        let matcher = parse_matcher(text).unwrap();
        assert_eq!(parse_matcher(&matcher.to_string()), Ok(matcher), "{text}");
    }
}
