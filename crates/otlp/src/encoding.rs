/// How a request's bytes are written; the answer has the same encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `application/x-protobuf`, and always on gRPC.
    Protobuf,
    /// `application/json`, with OTLP's own rules for ids and enums.
    Json,
}

impl Encoding {
    /// The media type of OTLP/HTTP.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}
