//! Who may come in, and what they may see: one token that may see everything, and further ones with roles (SEC-1).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hindsight_model::Clearance;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::config::read_token_file;
use crate::{Config, ConfigError};

/// Most tokens beside the first one.
const TOKENS_MAX: usize = 64;

/// The bearer token that clients must send; never printed.
#[derive(Clone)]
pub struct TokenSetting(String);

impl TokenSetting {
    /// A token from its text, without surrounding white space.
    ///
    /// # Errors
    /// When it is shorter than 16 characters or has white space inside.
    pub fn new(text: &str) -> Result<Self, ConfigError> {
        let text = text.trim();
        if text.len() < 16 || text.contains(char::is_whitespace) {
            return Err(ConfigError::Invalid {
                key: "token",
                problem: "a token has at least 16 characters and no white space; make one with `openssl rand -hex 24`"
                    .to_owned(),
            });
        }
        Ok(Self(text.to_owned()))
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for TokenSetting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenSetting(…)")
    }
}

/// What a token may do beyond what every token may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees restricted post-mortems.
    Restricted,
}

/// One `[[tokens]]` block.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenFile {
    name: String,
    token_file: PathBuf,
    #[serde(default)]
    roles: Vec<Role>,
}

/// A further token.
#[derive(Clone, Debug)]
pub struct NamedToken {
    /// Whose it is, for people.
    pub name: String,
    /// What they send.
    pub token: TokenSetting,
    /// What it may do.
    pub roles: Vec<Role>,
}

/// The further tokens of a configuration.
///
/// # Errors
/// A file that cannot be read, a token or a name that is there twice, or none beside them that may see everything.
pub(crate) fn further(
    blocks: &[TokenFile],
    first: Option<&TokenSetting>,
    workspace: &Path,
) -> Result<Vec<NamedToken>, ConfigError> {
    let invalid = |problem: String| ConfigError::Invalid { key: "tokens", problem };
    if blocks.is_empty() {
        return Ok(Vec::new());
    }
    let Some(first) = first else {
        let problem = "they come beside the one that may see everything; set `token_file` or --token, too";
        return Err(invalid(problem.to_owned()));
    };
    if blocks.len() > TOKENS_MAX {
        return Err(invalid(format!("{} are too many; there may be {TOKENS_MAX}", blocks.len())));
    }
    let mut tokens: Vec<NamedToken> = Vec::with_capacity(blocks.len());
    for TokenFile { name, token_file, roles } in blocks {
        let token = read_token_file(&workspace.join(token_file))?;
        let is_taken = |other: &NamedToken| other.name == *name || other.token.expose() == token.expose();
        if first.expose() == token.expose() || tokens.iter().any(is_taken) {
            return Err(invalid(format!("`{name}` has the name or the token of another one")));
        }
        tokens.push(NamedToken { name: name.clone(), token, roles: roles.clone() });
    }
    Ok(tokens)
}

/// Names and roles of tokens, for people.
pub(crate) fn describe(tokens: &[NamedToken]) -> String {
    let one = |token: &NamedToken| match token.roles.is_empty() {
        true => token.name.clone(),
        false => format!("{} (restricted)", token.name),
    };
    tokens.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Who may come in. Clones share one list.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// Without any token everyone may see everything.
    known: Option<Arc<[Known]>>,
}

/// A token and what comes with it.
#[derive(Debug)]
struct Known {
    digest: [u8; 32],
    clearance: Clearance,
}

impl Access {
    pub(crate) fn new(config: &Config) -> Self {
        let known = config.token.value.as_ref().map(|first| {
            let clearance = |token: &NamedToken| match token.roles.contains(&Role::Restricted) {
                true => Clearance::Restricted,
                false => Clearance::Everyone,
            };
            let known = |token: &TokenSetting, clearance| Known { digest: digest(token.expose()), clearance };
            let further = config.tokens.value.iter().map(|named| known(&named.token, clearance(named)));
            std::iter::once(known(first, Clearance::Restricted)).chain(further).collect()
        });
        Self { known }
    }

    /// Whether whoever comes has to send a token.
    pub(crate) fn is_guarded(&self) -> bool {
        self.known.is_some()
    }

    /// What somebody who sent this token may see; none when it opens nothing.
    pub(crate) fn admit(&self, sent: Option<&str>) -> Option<Clearance> {
        let Some(known) = &self.known else { return Some(Clearance::Restricted) };
        // Digests are compared, so that the time taken tells nothing about a token.
        let sent = digest(sent?);
        known.iter().find(|known| known.digest == sent).map(|known| known.clearance)
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}
