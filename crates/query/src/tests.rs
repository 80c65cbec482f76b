//! Every script of `slt/` over the same rows laid out three ways, the limits, and what scripts cannot say.

mod bounds;
mod coverage;
mod dictionaries;
mod documentation;
mod encoded;
mod fixture;
mod footers;
mod groups;
mod layout;
mod newest_first;
mod page_counts;
mod pruning;
mod runs;
mod script;
mod series;
mod small_pages;
mod store;
mod streams;
mod text_index;
