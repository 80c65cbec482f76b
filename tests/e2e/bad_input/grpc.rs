use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tonic::Code;
use tonic::codec::CompressionEncoding;

use crate::otlp;
use crate::server::Home;

#[tokio::test]
async fn grpc_takes_each_packing_and_counts_what_it_refuses() -> anyhow::Result<()> {
    let home = Home::new("")?;
    let server = home.serve()?;
    let url = format!("http://{}", server.grpc);
    for packing in [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)] {
        let mut client = TraceServiceClient::connect(url.clone()).await?;
        if let Some(packing) = packing {
            client = client.send_compressed(packing).accept_compressed(CompressionEncoding::Gzip);
        }
        let request = otlp::spans("grpc", otlp::now(), &[("one", vec![])]);
        let answer = client.export(request).await?.into_inner();
        assert_eq!(answer.partial_success, None, "{packing:?}");
    }
    assert_eq!(server.count("spans", "service_name = 'grpc'").await?, 3);

    let mut client = TraceServiceClient::connect(url).await?;
    let mut request = otlp::spans("grpc", otlp::now(), &[("kept", vec![]), ("refused", vec![])]);
    request.resource_spans[0].scope_spans[0].spans[1].span_id = vec![1, 2, 3];
    let answer = client.export(request).await?.into_inner();
    assert_eq!(answer.partial_success.map(|partial| partial.rejected_spans), Some(1));
    let empty = client.export(ExportTraceServiceRequest::default()).await?.into_inner();
    assert_eq!(empty.partial_success, None);
    Ok(())
}

#[tokio::test]
async fn a_grpc_request_over_the_limit_is_refused_for_good() -> anyhow::Result<()> {
    let home = Home::new("[ingest]\nrequest_bytes_max = 1048576\n")?;
    let server = home.serve()?;
    let client = LogsServiceClient::connect(format!("http://{}", server.grpc)).await?;
    let long = "x".repeat(3 << 20);
    for packing in [None, Some(CompressionEncoding::Gzip)] {
        let mut client = client.clone();
        if let Some(packing) = packing {
            client = client.send_compressed(packing);
        }
        let request = otlp::logs("long", otlp::now(), &[(&long, vec![])]);
        let status = client.export(request).await.expect_err("three megabytes where one is allowed");
        assert_eq!(status.code(), Code::ResourceExhausted, "{packing:?}: {status:?}");
        let details = String::from_utf8_lossy(status.details());
        assert!(!details.contains("RetryInfo"), "a retry delay would make the sender try again");
    }
    assert_eq!(server.count("logs", "service_name = 'long'").await?, 0);
    Ok(())
}
