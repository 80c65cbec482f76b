//! `information_schema`, whose `tables` and `columns` also say in a column `comment` what they hold.

use std::sync::Arc;

use datafusion::catalog::information_schema::InformationSchemaProvider;
use datafusion::catalog::view::ViewTable;
use datafusion::catalog::{CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::common::{JoinType, Result};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlanBuilder, col};

/// The engine's `information_schema` beside our words for it.
#[derive(Debug)]
pub(crate) struct InformationSchema {
    engines: InformationSchemaProvider,
    /// The table `documentation`.
    words: Arc<dyn TableProvider>,
}

impl InformationSchema {
    /// Of the tables in `catalogs`, which must not hold it, or neither is ever given up.
    pub(crate) fn over(catalogs: Arc<dyn CatalogProviderList>, words: Arc<dyn TableProvider>) -> Self {
        Self { engines: InformationSchemaProvider::new(catalogs), words }
    }

    /// A table with the words for its rows: those in the column `words` where the columns `keys` are alike.
    fn with_comment(
        &self,
        table: Arc<dyn TableProvider>,
        keys: &[&str],
        words: &str,
    ) -> Result<Arc<dyn TableProvider>> {
        let others = keys.iter().map(|name| format!("documented_{name}")).collect::<Vec<_>>();
        let renamed = keys.iter().zip(&others).map(|(name, other)| col(*name).alias(other));
        let comments =
            LogicalPlanBuilder::scan("documentation", provider_as_source(Arc::clone(&self.words)), None)?
                .project(renamed.chain([col(words).alias("comment")]))?
                .distinct()?
                .build()?;
        let columns: Vec<_> = table.schema().fields().iter().map(|field| col(field.name())).collect();
        let plan = LogicalPlanBuilder::scan("listed", provider_as_source(table), None)?
            .join(
                comments,
                JoinType::Left,
                (keys.to_vec(), others.iter().map(String::as_str).collect()),
                None,
            )?
            .project(columns.into_iter().chain([col("comment")]))?
            .build()?;
        Ok(Arc::new(ViewTable::new(plan, None)))
    }
}

#[async_trait::async_trait]
impl SchemaProvider for InformationSchema {
    fn table_names(&self) -> Vec<String> {
        self.engines.table_names()
    }

    fn table_exist(&self, name: &str) -> bool {
        self.engines.table_exist(name)
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(table) = self.engines.table(name).await? else { return Ok(None) };
        Ok(Some(match name {
            "tables" => self.with_comment(table, &["table_name"], "table_doc")?,
            "columns" => self.with_comment(table, &["table_name", "column_name"], "column_doc")?,
            _ => table,
        }))
    }
}
