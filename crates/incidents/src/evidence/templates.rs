use std::collections::HashMap;

use logdrain::{ClusterId, Miner};

/// Words of a message that make its template; long ones end in data.
pub(crate) const WORDS_MAX: usize = 14;
/// What stands for data in a template.
pub(crate) const MASK: &str = "<*>";
/// Share of words that must agree. Messages that differ in one telling word must stay apart.
const SIMILARITY: f64 = 0.75;

/// Message templates by the Drain algorithm (He et al., ICWS 2017), one tree for each service and whether it
/// complains. Words with digits and long hex are data and masked beforehand.
#[derive(Default)]
pub(crate) struct Templates {
    miners: HashMap<(u32, bool), Miner>,
    numbers: HashMap<(u32, bool, ClusterId), u32>,
    places: Vec<(u32, bool, ClusterId)>,
}

impl Templates {
    /// The number of the message's template; the same for the same tree and cluster.
    pub(crate) fn id(&mut self, service: u32, complains: bool, body: &str) -> u32 {
        let miner = self.miners.entry((service, complains)).or_insert_with(|| {
            let options = logdrain::Options { sim_threshold: SIMILARITY, ..logdrain::Options::default() };
            Miner::from_options(options)
        });
        let place = (service, complains, miner.add(&masked(body)).cluster_id);
        let next = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        let places = &mut self.places;
        *self.numbers.entry(place).or_insert_with(|| {
            places.push(place);
            next
        })
    }

    /// The texts of all templates, by number.
    pub(crate) fn texts(&self) -> Vec<String> {
        let text = |(service, complains, cluster): &(u32, bool, ClusterId)| {
            let cluster = self.miners.get(&(*service, *complains))?.cluster(*cluster)?;
            Some(cluster.template().to_owned())
        };
        self.places.iter().map(|place| text(place).unwrap_or_default()).collect()
    }
}

/// The first words of a message, data as `<*>`.
fn masked(body: &str) -> String {
    let words = body.split_whitespace().take(WORDS_MAX);
    words.map(|word| if is_data(word) { MASK } else { word }).collect::<Vec<_>>().join(" ")
}

fn is_data(word: &str) -> bool {
    word.bytes().any(|b| b.is_ascii_digit())
        || (word.len() >= 16 && word.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_masked_and_telling_words_are_kept_apart() {
        let mut templates = Templates::default();
        let a = templates.id(0, false, "order 17 of user ada12 found");
        assert_eq!(a, templates.id(0, false, "order 18 of user bob7 found"));
        assert_ne!(a, templates.id(0, true, "order 18 of user bob7 found"));
        assert_ne!(a, templates.id(1, false, "order 17 of user ada12 found"));
        assert_ne!(a, templates.id(0, false, "no order accepted from anybody today"));
        assert_eq!(templates.texts()[0], "order <*> of user <*> found");
    }
}
