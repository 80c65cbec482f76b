use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use hindsight_model::{SqlAnswer, SqlError, SqlRequest, SqlSource};

/// Most rows of one answer that are kept for the other variants.
const ROWS_KEPT_MAX: usize = 10_000;

/// Answers each question once, and the same question again from memory.
pub(super) struct Shared {
    sql: Arc<dyn SqlSource>,
    answers: Mutex<BTreeMap<String, SqlAnswer>>,
}

impl Shared {
    pub(super) fn new(sql: Arc<dyn SqlSource>) -> Self {
        Self { sql, answers: Mutex::default() }
    }

    /// Forgets every answer: the variants have passed that time.
    pub(super) fn forget(&self) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[async_trait::async_trait]
impl SqlSource for Shared {
    async fn sql(&self, request: SqlRequest) -> Result<SqlAnswer, SqlError> {
        let question = format!("{}\u{1f}{:?}", request.sql, request.params);
        if let Some(answer) = self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(&question) {
            return Ok(answer.clone());
        }
        // A failure is not kept: another variant may have more luck, and is counted on its own.
        let answer = self.sql.sql(request).await?;
        if answer.row_count() <= ROWS_KEPT_MAX {
            self.answers.lock().unwrap_or_else(PoisonError::into_inner).insert(question, answer.clone());
        }
        Ok(answer)
    }
}
