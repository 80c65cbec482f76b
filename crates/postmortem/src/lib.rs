//! The written record of an incident.

pub mod chart;
