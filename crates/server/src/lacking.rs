//! Which incidents are over and have no post-mortem, whoever asks: a restricted document is one, too.

use std::collections::BTreeSet;

use hindsight_model::{IncidentId, Tenant};
use hindsight_postmortem::Lacking;

use crate::app::App;
use crate::holds::facts;
use crate::{Error, Result};

/// The incidents of the default tenant that lack a post-mortem (P3), the worst first.
///
/// # Errors
/// When the state or the workspace cannot be read.
pub(crate) async fn lacking(app: &App) -> Result<Vec<Lacking>> {
    let incidents = app.state.incidents(&Tenant::default()).await;
    let incidents = incidents.map_err(|error| Error::Postmortems(Box::new(error)))?;
    let documents = facts(&app.library).await?.postmortems;
    let documented: BTreeSet<IncidentId> = documents.into_iter().flat_map(|fact| fact.incidents).collect();
    Ok(hindsight_postmortem::lacking(&incidents, &documented, app.clock.now()))
}
