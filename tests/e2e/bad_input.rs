//! What cannot be used is refused with the right code and a sentence that helps (OTLP.md rules 1–12), and never
//! harms what follows.

mod grpc;
mod http;
