use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar,
    metric::Data, number_data_point,
};
use serde::de::MapAccess;

use super::message::{Message, optional, repeated};
use super::scalar::{Double, Enum, Flag, Hex, I32, I64, Text, U32, U64, optional_scalar, scalar, scalars};

impl Message for ExportMetricsServiceRequest {
    const NAME: &'static str = "ExportMetricsServiceRequest";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "resourceMetrics" | "resource_metrics" => self.resource_metrics = repeated(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for ResourceMetrics {
    const NAME: &'static str = "ResourceMetrics";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "resource" => self.resource = optional(map)?,
            "scopeMetrics" | "scope_metrics" => self.scope_metrics = repeated(map)?,
            "schemaUrl" | "schema_url" => self.schema_url = scalar::<Text, M>(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for ScopeMetrics {
    const NAME: &'static str = "ScopeMetrics";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "scope" => self.scope = optional(map)?,
            "metrics" => self.metrics = repeated(map)?,
            "schemaUrl" | "schema_url" => self.schema_url = scalar::<Text, M>(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for Metric {
    const NAME: &'static str = "Metric";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "name" => self.name = scalar::<Text, M>(map)?,
            "description" => self.description = scalar::<Text, M>(map)?,
            "unit" => self.unit = scalar::<Text, M>(map)?,
            "metadata" => self.metadata = repeated(map)?,
            "gauge" => {
                if let Some(it) = optional(map)? {
                    self.data = Some(Data::Gauge(it));
                }
            }
            "sum" => {
                if let Some(it) = optional(map)? {
                    self.data = Some(Data::Sum(it));
                }
            }
            "histogram" => {
                if let Some(it) = optional(map)? {
                    self.data = Some(Data::Histogram(it));
                }
            }
            "exponentialHistogram" | "exponential_histogram" => {
                if let Some(it) = optional(map)? {
                    self.data = Some(Data::ExponentialHistogram(it));
                }
            }
            "summary" => {
                if let Some(it) = optional(map)? {
                    self.data = Some(Data::Summary(it));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for Gauge {
    const NAME: &'static str = "Gauge";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "dataPoints" | "data_points" => self.data_points = repeated(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for Sum {
    const NAME: &'static str = "Sum";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "dataPoints" | "data_points" => self.data_points = repeated(map)?,
            "aggregationTemporality" | "aggregation_temporality" => {
                self.aggregation_temporality = scalar::<Enum, M>(map)?;
            }
            "isMonotonic" | "is_monotonic" => self.is_monotonic = scalar::<Flag, M>(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for Histogram {
    const NAME: &'static str = "Histogram";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "dataPoints" | "data_points" => self.data_points = repeated(map)?,
            "aggregationTemporality" | "aggregation_temporality" => {
                self.aggregation_temporality = scalar::<Enum, M>(map)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for ExponentialHistogram {
    const NAME: &'static str = "ExponentialHistogram";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "dataPoints" | "data_points" => self.data_points = repeated(map)?,
            "aggregationTemporality" | "aggregation_temporality" => {
                self.aggregation_temporality = scalar::<Enum, M>(map)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for Summary {
    const NAME: &'static str = "Summary";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "dataPoints" | "data_points" => self.data_points = repeated(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for NumberDataPoint {
    const NAME: &'static str = "NumberDataPoint";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "attributes" => self.attributes = repeated(map)?,
            "startTimeUnixNano" | "start_time_unix_nano" => {
                self.start_time_unix_nano = scalar::<U64, M>(map)?;
            }
            "timeUnixNano" | "time_unix_nano" => self.time_unix_nano = scalar::<U64, M>(map)?,
            "flags" => self.flags = scalar::<U32, M>(map)?,
            "exemplars" => self.exemplars = repeated(map)?,
            "asDouble" | "as_double" => {
                if let Some(it) = optional_scalar::<Double, M>(map)? {
                    self.value = Some(number_data_point::Value::AsDouble(it));
                }
            }
            "asInt" | "as_int" => {
                if let Some(it) = optional_scalar::<I64, M>(map)? {
                    self.value = Some(number_data_point::Value::AsInt(it));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for HistogramDataPoint {
    const NAME: &'static str = "HistogramDataPoint";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "attributes" => self.attributes = repeated(map)?,
            "startTimeUnixNano" | "start_time_unix_nano" => {
                self.start_time_unix_nano = scalar::<U64, M>(map)?;
            }
            "timeUnixNano" | "time_unix_nano" => self.time_unix_nano = scalar::<U64, M>(map)?,
            "flags" => self.flags = scalar::<U32, M>(map)?,
            "count" => self.count = scalar::<U64, M>(map)?,
            "sum" => self.sum = optional_scalar::<Double, M>(map)?,
            "bucketCounts" | "bucket_counts" => self.bucket_counts = scalars::<U64, M>(map)?,
            "explicitBounds" | "explicit_bounds" => self.explicit_bounds = scalars::<Double, M>(map)?,
            "exemplars" => self.exemplars = repeated(map)?,
            "min" => self.min = optional_scalar::<Double, M>(map)?,
            "max" => self.max = optional_scalar::<Double, M>(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for ExponentialHistogramDataPoint {
    const NAME: &'static str = "ExponentialHistogramDataPoint";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "attributes" => self.attributes = repeated(map)?,
            "startTimeUnixNano" | "start_time_unix_nano" => {
                self.start_time_unix_nano = scalar::<U64, M>(map)?;
            }
            "timeUnixNano" | "time_unix_nano" => self.time_unix_nano = scalar::<U64, M>(map)?,
            "flags" => self.flags = scalar::<U32, M>(map)?,
            "count" => self.count = scalar::<U64, M>(map)?,
            "sum" => self.sum = optional_scalar::<Double, M>(map)?,
            "scale" => self.scale = scalar::<I32, M>(map)?,
            "zeroCount" | "zero_count" => self.zero_count = scalar::<U64, M>(map)?,
            "positive" => self.positive = optional(map)?,
            "negative" => self.negative = optional(map)?,
            "exemplars" => self.exemplars = repeated(map)?,
            "min" => self.min = optional_scalar::<Double, M>(map)?,
            "max" => self.max = optional_scalar::<Double, M>(map)?,
            "zeroThreshold" | "zero_threshold" => self.zero_threshold = scalar::<Double, M>(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for Buckets {
    const NAME: &'static str = "Buckets";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "offset" => self.offset = scalar::<I32, M>(map)?,
            "bucketCounts" | "bucket_counts" => self.bucket_counts = scalars::<U64, M>(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for SummaryDataPoint {
    const NAME: &'static str = "SummaryDataPoint";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "attributes" => self.attributes = repeated(map)?,
            "startTimeUnixNano" | "start_time_unix_nano" => {
                self.start_time_unix_nano = scalar::<U64, M>(map)?;
            }
            "timeUnixNano" | "time_unix_nano" => self.time_unix_nano = scalar::<U64, M>(map)?,
            "flags" => self.flags = scalar::<U32, M>(map)?,
            "count" => self.count = scalar::<U64, M>(map)?,
            "sum" => self.sum = scalar::<Double, M>(map)?,
            "quantileValues" | "quantile_values" => self.quantile_values = repeated(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for ValueAtQuantile {
    const NAME: &'static str = "ValueAtQuantile";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "quantile" => self.quantile = scalar::<Double, M>(map)?,
            "value" => self.value = scalar::<Double, M>(map)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Message for Exemplar {
    const NAME: &'static str = "Exemplar";

    fn read<'de, M: MapAccess<'de>>(&mut self, field: &str, map: &mut M) -> Result<bool, M::Error> {
        match field {
            "filteredAttributes" | "filtered_attributes" => self.filtered_attributes = repeated(map)?,
            "timeUnixNano" | "time_unix_nano" => self.time_unix_nano = scalar::<U64, M>(map)?,
            "spanId" | "span_id" => self.span_id = scalar::<Hex, M>(map)?,
            "traceId" | "trace_id" => self.trace_id = scalar::<Hex, M>(map)?,
            "asDouble" | "as_double" => {
                if let Some(it) = optional_scalar::<Double, M>(map)? {
                    self.value = Some(exemplar::Value::AsDouble(it));
                }
            }
            "asInt" | "as_int" => {
                if let Some(it) = optional_scalar::<I64, M>(map)? {
                    self.value = Some(exemplar::Value::AsInt(it));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}
