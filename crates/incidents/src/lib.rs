//! Hindsight: the incidents crate.
