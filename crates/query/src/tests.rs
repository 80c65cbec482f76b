//! Every script of `slt/` over the same rows laid out three ways, the limits, and what scripts cannot say.

mod bounds;
mod documentation;
mod encoded;
mod fixture;
mod footers;
mod layout;
mod pruning;
mod runs;
mod script;
mod series;
mod store;
mod streams;
mod text_index;
