use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::has_word;

/// Given names that are seldom anything else. Names that are words, months, places or products (Will, Mark, May, Grace,
/// Chase, Jordan, Jenkins, Ruby, Ada, Max, Alexa …) are left out: a wrong finding costs more than a missed one here.
const GIVEN: &str = "\
    aaron abdul adam adrian agnieszka ahmed aisha alan albert alejandro alessandro alex alexander alexandra \
    alice alina amanda amit amy ana anders andrea andrei andrew andrzej angela anita anja anna anne anthony \
    antonio anya arjun arthur astrid barbara beatriz ben benjamin bernd betty bob boris brandon brenda brian \
    bruno carlos carmen carol caroline catherine charlotte chen chloe chris christian christina christine \
    christopher claire claudia cynthia dan dana daniel daniela david deborah deepak denise dennis derek diana \
    diego dieter dimitri dmitri dmitry dominik donald dorothy douglas edward elena elias elizabeth emily emma \
    eric erik erika esther eva evelyn fatima felix fernando fiona francesco frank fred frederik gabriel \
    gabriela gary george gerald giovanni giulia greg gregory hannah hans harold harry hassan heather heinz \
    helen helena henrik henry hiroshi hugo ibrahim igor ines ingrid irina isabel isabella ivan jack jacob \
    jakob jakub james jan jane janet jasmine jason javier jeff jeffrey jennifer jens jeremy jessica jim joan \
    joanna joao joe johan johanna johannes john jonas jonathan jorge jose joseph joshua juan judith julia \
    julian julie justin karen karin karl katarzyna kate katharina katherine kathleen katja keith kelly kenji \
    kenneth kevin khalid kim klaus kumar larry lars laura lauren lea lena leon li lisa liu luca lucas lucia \
    luis lukas maciej magnus manuel marc marcel marcin marco marek margaret maria marie marina mario marta \
    martha martin mateusz matteo matthew matthias maya megan mehmet mei melissa michael michal michelle \
    miguel mikael mike mikhail ming miriam mohamed mohammed monika muhammad nadia nancy natalia natalie \
    natasha nathan nicholas nicole nikolai nils nina noah nora oleg oliver olivia omar oscar pablo pamela \
    patricia patrick paul paula pavel pedro peter petra philip philipp pierre piotr priya rachel rahul raj \
    ralf raymond rebecca ricardo richard robert roberto roger roman ronald rosa ryan sabine samantha samuel \
    sandra sanjay sara sarah scott sean sebastian sergei sergey sharon simon sofia sonja sophia sophie stefan \
    stefanie stephanie stephen steve steven sunil susan susanne sven svetlana takeshi tatiana teresa thomas \
    timothy tobias tom tomasz torsten ursula valentina vera victor victoria vijay viktor vincent virginia \
    vladimir walter wei werner william wolfgang xavier yan yuki yusuf yuri yvonne zhang zoe";

static GIVEN_NAMES: LazyLock<BTreeSet<&str>> = LazyLock::new(|| GIVEN.split_whitespace().collect());
static CAPITALISED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b[A-Z][a-z]+\b").expect("the pattern is constant"));
static HANDLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:^|[\s(])(@[A-Za-z][\w.-]*[\w]|<@\w+>|[a-z]{2,}\.[a-z])(?:[\s,.:;)]|'s|$)")
        .expect("the pattern is constant")
});
static TITLED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(?:Mr|Mrs|Ms|Dr)\.? [A-Z][a-z]+").expect("the pattern is constant"));
static CODE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"`[^`]*`").expect("the pattern is constant"));

/// A person that a sentence names: a given name, a handle, or somebody with a title. What stands in code marks is no
/// person.
pub(super) fn person_in(text: &str) -> Option<String> {
    let text = CODE.replace_all(text, "``");
    let given = CAPITALISED.find_iter(&text).find(|word| {
        GIVEN_NAMES.contains(word.as_str().to_lowercase().as_str())
            && !is_product(&text, word.start(), word.end())
    });
    if let Some(name) = given.or_else(|| TITLED.find(&text)) {
        return Some(name.as_str().to_owned());
    }
    HANDLE.captures(&text).map(|found| found[1].to_owned())
}

/// `Elena-7`, `martin.example`, `Felix service`: the name of a thing.
fn is_product(text: &str, start: usize, end: usize) -> bool {
    let after = &text[end..];
    // `Jan-Peter` is a person, `Elena-7` is not.
    let goes_on = after.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_uppercase()));
    text[..start].ends_with(['-', '_', '/', '.', '#'])
        || (after.starts_with(['-', '_', '/']) && !goes_on)
        || after.starts_with('.') && after[1..].starts_with(|c: char| c.is_ascii_lowercase())
        || [" service", " cluster", " database", " queue", " pool", " job", " node", " server", " region"]
            .iter()
            .any(|thing| after.starts_with(thing))
}

/// Whether a lesson speaks of one of our services. A name with a hyphen, dot or digit is a name wherever it stands; a
/// plain word such as `checkout` or `search` only in code marks, as a bare subject or after a preposition.
pub(super) fn says_service(text: &str, service: &str) -> bool {
    let lower = text.to_lowercase();
    let name = service.to_lowercase();
    if name.len() < 2 || !has_word(&lower, &name) {
        return false;
    }
    if name.contains(|c: char| !c.is_alphabetic()) || lower.contains(&format!("`{name}`")) {
        return true;
    }
    let own = [" service", " api", " team", " pods", " database", " server", " deployment", " backend"];
    lower.match_indices(&name).any(|(at, _)| {
        let (before, after) = (&lower[..at], &lower[at + name.len()..]);
        if after.starts_with(|c: char| c.is_alphanumeric() || c == '-')
            || before.ends_with(|c: char| c.is_alphanumeric() || c == '-')
        {
            return false;
        }
        // A sentence that starts in lower case starts with a name.
        if before.is_empty() && text.starts_with(|c: char| c.is_lowercase()) {
            return true;
        }
        let subject = (before.trim().is_empty() || before.ends_with("the "))
            && [" should", " must", " needs", " has", " is", " and", " was", " did", "'s", ","]
                .iter()
                .any(|verb| after.starts_with(verb));
        let placed = ["our ", "in ", "of ", "on ", "like ", "to ", "from ", "by "]
            .iter()
            .any(|word| before.ends_with(word));
        let end = after.trim_start().is_empty()
            || after.starts_with(['.', ',', ';', ')', '\''])
            || after.starts_with(" we ");
        own.iter().any(|thing| after.starts_with(thing))
            || subject
            || (placed && end)
            || before.ends_with("our ")
    })
}
