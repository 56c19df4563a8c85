"""The engine table: where each model server's page is, and what it calls its figures; pure.

One entry in `ROWS` adds an engine. Names and labels are those of the servers' own documents and
sources; tests/sidecar/pages holds one page for each shape, with what it rests on.
"""

from __future__ import annotations

from sidecar.names import either, selector, spelt, total_of
from sidecar.row import Ready, Row

TTFT = "time_to_first_token_seconds"
QUEUE_TIME = "queue_time_seconds"


VLLM = Row(
    kind="vllm",
    port=8000,
    path="/metrics",
    hint="vLLM serves /metrics on its API port by default: check --engine-url",
    ready=Ready(8000, "/health", "vLLM listens only once the model is loaded"),
    pending=either("vllm:num_requests_waiting"),
    running=either("vllm:num_requests_running"),
    kv_ratio=either("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
    finished=either("vllm:request_success_total"),
    output_tokens=either("vllm:generation_tokens_total"),
    preemptions=either("vllm:num_preemptions_total"),
    histograms={
        TTFT: either("vllm:time_to_first_token_seconds"),
        QUEUE_TIME: either("vllm:request_queue_time_seconds"),
    },
    lora=selector("vllm:lora_requests_info"),
)

SGLANG = Row(
    kind="sglang",
    port=30000,
    path="/metrics",
    hint="SGLang serves /metrics only when started with --enable-metrics",
    ready=Ready(
        30000,
        "/health",
        "503 until the warm-up is done",
        env={"SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION": "false"},
        env_why="without it each probe generates a token",
    ),
    # With priorities there is one more series for each; the one without a priority is the total.
    # Of the queues of disaggregated serving a server fills its own role's.
    pending=spelt(
        total_of(
            'sglang:num_queue_reqs{priority=""}',
            "sglang:num_grammar_queue_reqs",
            'sglang:num_prefill_bootstrap_queue_reqs{priority=""}',
            'sglang:num_prefill_prealloc_queue_reqs{priority=""}',
            'sglang:num_prefill_inflight_queue_reqs{priority=""}',
            'sglang:num_decode_prealloc_queue_reqs{priority=""}',
            'sglang:num_decode_transfer_queue_reqs{priority=""}',
        )
    ),
    running=spelt(either('sglang:num_running_reqs{priority=""}')),
    kv_ratio=spelt(either("sglang:token_usage")),
    finished=spelt(either("sglang:num_requests_total")),
    # The other counter moves only when a request ends.
    output_tokens=spelt(
        either('sglang:realtime_tokens_total{mode="decode"}', "sglang:generation_tokens_total")
    ),
    preemptions=spelt(either("sglang:num_retracted_requests_total")),
    histograms={
        TTFT: spelt(either("sglang:time_to_first_token_seconds")),
        QUEUE_TIME: spelt(either("sglang:queue_time_seconds")),
    },
    role_label="engine_type",
    copies=("tp_rank", "pp_rank", "moe_ep_rank"),
)

TGI = Row(
    kind="tgi",
    port=3000,
    path="/metrics",
    hint="TGI serves /metrics on its API port: 3000, or 80 in its image",
    ready=Ready(3000, "/info", "TGI listens only once its shards are loaded; /health may generate"),
    pending=either("tgi_queue_size"),
    running=either("tgi_batch_current_size"),
    finished=total_of("tgi_request_success", "tgi_request_failure"),
    output_tokens=either("tgi_request_generated_tokens_sum"),
    histograms={QUEUE_TIME: either("tgi_request_queue_duration")},
)

TRTLLM = Row(
    kind="trtllm",
    port=8000,
    path="/prometheus/metrics",  # /metrics is a queue of JSON records that its first reader empties
    hint="trtllm-serve serves /prometheus/metrics only with `return_perf_metrics: true` in its"
    " options, and its queue there only with `enable_iter_perf_stats: true`",
    without_queue="trtllm-serve tells its queue only with `enable_iter_perf_stats: true` in its"
    " options, and TensorRT-LLM up to 1.1 not at all",
    ready=Ready(8000, "/health", "trtllm-serve listens only once the model is loaded"),
    pending=spelt(either("trtllm:num_requests_waiting")),
    running=spelt(either("trtllm:num_requests_running")),
    kv_ratio=spelt(either("trtllm:kv_cache_utilization")),
    finished=(*spelt(either("trtllm:request_success_total")), *either("request_success_total")),
    output_tokens=spelt(either("trtllm:generation_tokens_total")),
    histograms={  # without a prefix up to 1.1
        TTFT: (*spelt(either(f"trtllm:{TTFT}")), *either(TTFT)),
        QUEUE_TIME: (
            *spelt(either("trtllm:request_queue_time_seconds")),
            *either("request_queue_time_seconds"),
        ),
    },
)

_TRITON_READY = Ready(8000, "/v2/health/ready", "200 once every model is loaded (strict readiness)")
_TRITON_HINT = (
    "Triton serves /metrics on port 8002 when started with --allow-metrics=true,"
    " unless --metrics-port moves it (--engine-url)"
)
# From 2.52 on, for decoupled models, with --metrics-config histogram_latencies=true.
_TRITON_TTFT = {TTFT: either("nv_inference_first_response_histogram_ms")}
_TRITON_FINISHED = total_of("nv_inference_request_success", "nv_inference_request_failure")

TRITON_TRTLLM = Row(
    kind="triton-trtllm",
    port=8002,
    path="/metrics",
    hint=_TRITON_HINT,
    ready=_TRITON_READY,
    pending=either('nv_trt_llm_request_metrics{request_type="waiting"}'),
    running=either('nv_trt_llm_request_metrics{request_type="scheduled"}'),
    kv_ratio=either('nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction"}'),
    finished=_TRITON_FINISHED,
    histograms=_TRITON_TTFT,
    ticks_per_second=1000.0,
    model_label="model",
    own_models=True,  # an ensemble counts each request once more for each of its steps
)

TRITON = Row(
    kind="triton",
    port=8002,
    path="/metrics",
    hint=_TRITON_HINT,
    ready=_TRITON_READY,
    pending=either("nv_inference_pending_request_count"),
    finished=_TRITON_FINISHED,
    histograms=_TRITON_TTFT,
    ticks_per_second=1000.0,
    model_label="model",
    without_queue="Triton has nv_inference_pending_request_count from 23.09 on",
)

LLAMA_CPP = Row(
    kind="llama.cpp",
    port=8080,
    path="/metrics",
    hint="llama.cpp's server serves /metrics only when started with --metrics",
    ready=Ready(8080, "/health", "503 until the model is loaded"),
    pending=either("llamacpp:requests_deferred"),
    running=either("llamacpp:requests_processing"),
    kv_ratio=either("llamacpp:kv_cache_usage_ratio"),  # older builds only
    output_tokens=either("llamacpp:tokens_predicted_total"),
)

LMDEPLOY = Row(
    kind="lmdeploy",
    port=23333,
    path="/metrics",
    hint="LMDeploy serves /metrics unless it is started with --disable-metrics",
    ready=Ready(23333, "/health", "LMDeploy listens only once the model is loaded"),
    pending=total_of("lmdeploy:num_requests_waiting", "lmdeploy:num_api_requests_waiting"),
    running=either("lmdeploy:num_requests_running"),
    kv_ratio=either("lmdeploy:gpu_cache_usage_perc"),
    finished=either("lmdeploy:request_success_total"),
    output_tokens=either("lmdeploy:generation_tokens_total"),
    histograms={
        TTFT: either("lmdeploy:time_to_first_token_seconds"),
        QUEUE_TIME: either("lmdeploy:request_queue_time_seconds"),
    },
)

NIM = Row(
    kind="nim",
    port=8000,
    path="/v1/metrics",
    hint="NIM serves /v1/metrics on its API port: check --engine-url",
    ready=Ready(8000, "/v1/health/ready", "200 once the model is loaded"),
    pending=either("num_requests_waiting"),
    running=either("num_requests_running"),
    kv_ratio=either("gpu_cache_usage_perc"),
    finished=either("request_finish_total"),
    output_tokens=either("generation_tokens_total"),
    histograms={TTFT: either(TTFT)},
)

RAY = Row(
    kind="ray",
    port=8080,
    path="/metrics",
    hint="Ray serves /metrics on the port of --metrics-export-port, 8080 under KubeRay",
    ready="Ray Serve's /-/healthz speaks for its proxy, not for a model; KubeRay probes the app",
    pending=either("ray_vllm_num_requests_waiting", "ray_vllm:num_requests_waiting"),
    running=either("ray_vllm_num_requests_running", "ray_vllm:num_requests_running"),
    kv_ratio=either(
        "ray_vllm_kv_cache_usage_perc",
        "ray_vllm_gpu_cache_usage_perc",
        "ray_vllm:gpu_cache_usage_perc",
    ),
    finished=either("ray_vllm_request_success_total", "ray_vllm:request_success_total"),
    output_tokens=either("ray_vllm_generation_tokens_total", "ray_vllm:generation_tokens_total"),
    preemptions=either("ray_vllm_num_preemptions_total"),
    histograms={
        TTFT: either(f"ray_vllm_{TTFT}", f"ray_vllm:{TTFT}"),
        QUEUE_TIME: either("ray_vllm_request_queue_time_seconds"),
    },
)

RAY_SERVE = Row(
    kind="ray-serve",
    port=8080,
    path="/metrics",
    hint=RAY.hint,
    ready=RAY.ready,
    pending=either("ray_serve_deployment_queued_queries"),
    running=either(
        "ray_serve_replica_processing_queries", "ray_serve_num_ongoing_requests_at_replicas"
    ),
    model_label="deployment",
    estimate="Ray Serve's router counts what no replica took yet, not what waits inside the engine",
)

DYNAMO = Row(
    kind="dynamo",
    port=8000,
    path="/metrics",
    hint="Dynamo's frontend serves /metrics on DYN_HTTP_PORT, a worker only with DYN_SYSTEM_PORT",
    ready=Ready(
        8081,
        "/health",
        "for a worker's container, 503 until its endpoint `generate` is served; the frontend"
        " answers before any worker has a model, and is not to be probed for one",
        env={
            "DYN_SYSTEM_PORT": "8081",
            "DYN_SYSTEM_USE_ENDPOINT_HEALTH_STATUS": '["generate"]',
        },
        env_why="without them a worker has no such port, or does not wait for its model",
    ),
    pending=either("dynamo_frontend_queued_requests"),
    inflight=either("dynamo_frontend_inflight_requests"),
    finished=either("dynamo_frontend_requests_total"),
    output_tokens=either(
        "dynamo_frontend_output_tokens_total", "dynamo_frontend_output_sequence_tokens_sum"
    ),
    histograms={TTFT: either("dynamo_frontend_time_to_first_token_seconds")},
    model_label="model",
    without_queue="Dynamo's frontend shows a figure from the first request on",
    estimate="Dynamo's frontend counts a request as queued until its first token, prefill included",
)

OWN = Row(
    kind="own",
    port=8000,
    path="/metrics",
    hint="the page must have llm_inference_pending_requests",
    ready="a server of your own: probe what it answers only once its model is loaded",
    pending=either("llm_inference_pending_requests"),
    running=either("llm_inference_running_requests"),
    inflight=either("llm_inference_inflight_requests"),
    kv_ratio=either("llm_inference_kv_cache_utilization_ratio"),
    finished=either("llm_inference_finished_requests_total"),
    output_tokens=either("llm_inference_output_tokens_total"),
    preemptions=either("llm_inference_preemptions_total"),
    histograms={
        TTFT: either(f"llm_inference_{TTFT}"),
        QUEUE_TIME: either(f"llm_inference_{QUEUE_TIME}"),
    },
    model_label="model",
)

# In the order in which a page is tried: an engine behind another server stands before that server,
# and names without a prefix stand last.
ROWS = (
    VLLM, SGLANG, TGI, TRITON_TRTLLM, TRITON, LLAMA_CPP, LMDEPLOY, RAY, RAY_SERVE, DYNAMO,
    OWN, TRTLLM, NIM,
)  # fmt: skip
