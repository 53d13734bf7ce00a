"""Experts: embeddings → experts/{experts}/clusters.safetensors → an adapter for each cluster and model,
experts/{experts}/{model}/{cluster}/ → merged for each document, evaluation/{model}/{method}/{task}/
{part}.parquet, as other methods' → what they cost, tables/experts.csv."""

EVALUATED_EXPERTS = {
    (model, method): EXPERTS[method] for model, method, _ in CELLS if method in EXPERTS
}
EXPERT_TABLES = ["<results>/tables/experts.csv"] if EVALUATED_EXPERTS else []
TRAINED_EXPERTS = [
    f"<results>/experts/{experts}/{model}/{cluster}"
    for (model, method), experts in EVALUATED_EXPERTS.items()
    for cluster in CLUSTERS[method]
]


rule cluster_passages:
    input:
        embeddings=collect(
            "<results>/embeddings/{embedder}/{shard}.json",
            embedder=picked(EXPERT_EMBEDDERS, "experts"),
            shard=SHARDS,
        ),
    output:
        clusters="<results>/experts/{experts}/clusters.safetensors",
        record="<results>/experts/{experts}/clusters.json",
    log:
        "<logs>/cluster_passages/{experts}.log",
    benchmark:
        "<benchmarks>/cluster_passages/{experts}.tsv"
    conda:
        ENVIRONMENT
    threads: cost.threads("cluster_passages", most=4)
    resources:
        mem_mb=cost.mem_mb("cluster_passages"),
        runtime=cost.runtime("cluster_passages"),
    params:
        spec=spec.cluster_passages,
        code=code("cluster_passages"),
    message:
        "Cluster the passages for experts {wildcards.experts}"
    shell:
        "python -m tttnn cluster_passages --spec {params.spec:q}"
        " --embeddings {input.embeddings:q}"
        " --output {output.clusters:q}"
        " --record {output.record:q}"
        " --memory-mb {resources.mem_mb}"
        " > {log:q} 2>&1"


rule train_expert:
    input:
        model="<results>/models/{model}",
        clusters="<results>/experts/{experts}/clusters.safetensors",
        passages="<results>/passages/manifest.json",
    output:
        adapter=directory("<results>/experts/{experts}/{model}/{cluster}"),
    log:
        "<logs>/train_expert/{experts}/{model}/{cluster}.log",
    benchmark:
        "<benchmarks>/train_expert/{experts}/{model}/{cluster}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("train_expert"),
        runtime=cost.runtime("train_expert"),
        gpu=GPUS,
    params:
        spec=spec.train_expert,
        code=code("train_expert"),
    message:
        "Train {wildcards.model}'s expert of cluster {wildcards.cluster} of {wildcards.experts}"
    shell:
        "python -m tttnn train_expert --spec {params.spec:q}"
        " --model {input.model:q}"
        " --clusters {input.clusters:q}"
        " --passages {input.passages:q}"
        " --cluster {wildcards.cluster}"
        " --output {output.adapter:q}"
        " > {log:q} 2>&1"


rule evaluate_experts:
    input:
        model="<results>/models/{model}",
        queries=collect(
            "<results>/queries/{queries}/{{task}}.parquet",
            queries=picked(QUERIES, "method"),
        ),
        neighbors=collect(
            "<results>/neighbors/{folder}/{{task}}.parquet",
            folder=picked(NEIGHBORS, "method"),
        ),
        clusters=collect(
            "<results>/experts/{experts}/clusters.safetensors",
            experts=picked(EXPERTS, "method"),
        ),
        adapters=collect(
            "<results>/experts/{experts}/{{model}}/{cluster}",
            experts=picked(EXPERTS, "method"),
            cluster=picked(CLUSTERS, "method"),
        ),
        vectors=collect(
            "<results>/queries/{queries}/embeddings/{embedder}.safetensors",
            queries=picked(QUERIES, "method"),
            embedder=picked(EXPERT_VECTORS, "method"),
        ),
    output:
        rows="<results>/evaluation/{model}/{method}/{task}/{part}.parquet",
    log:
        "<logs>/evaluate_experts/{model}/{method}/{task}/{part}.log",
    benchmark:
        "<benchmarks>/evaluate_experts/{model}/{method}/{task}/{part}.tsv"
    wildcard_constraints:
        method=cfg.method_pattern("evaluate_experts"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("evaluate_experts"),
        runtime=cost.runtime("evaluate_experts"),
        gpu=GPUS,
    params:
        spec=spec.evaluate_experts,
        code=code("evaluate_experts"),
    message:
        "Evaluate {wildcards.model} with {wildcards.method} on {wildcards.task}, part {wildcards.part}"
    shell:
        "python -m tttnn evaluate_experts --spec {params.spec:q}"
        " --model {input.model:q}"
        " --queries {input.queries:q}"
        " --neighbors {input.neighbors:q}"
        " --clusters {input.clusters:q}"
        " --adapters {input.adapters:q}"
        " --vectors {input.vectors:q}"
        " --method {wildcards.method:q}"
        " --task {wildcards.task:q}"
        " --part {wildcards.part}"
        " --output {output.rows:q}"
        " > {log:q} 2>&1"


rule weigh_experts:
    input:
        efficiency="<results>/tables/efficiency.csv",
        clusters=collect(
            "<results>/experts/{experts}/clusters.json",
            experts=dict.fromkeys(EVALUATED_EXPERTS.values()),
        ),
        adapters=list(dict.fromkeys(TRAINED_EXPERTS)),
    output:
        table=report(
            "<results>/tables/experts.csv",
            caption="../workflow/report/experts.rst",
            category="Tables",
            labels={"table": "experts"},
        ),
    log:
        "<logs>/weigh_experts.log",
    benchmark:
        "<benchmarks>/weigh_experts.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("weigh_experts"),
        runtime=cost.runtime("weigh_experts"),
    params:
        spec=spec.weigh_experts,
        code=code("weigh_experts"),
        results=subpath(input.efficiency, ancestor=2),
    message:
        "Weigh what experts' training cost against training on neighbours"
    shell:
        "python -m tttnn weigh_experts --spec {params.spec:q}"
        " --results {params.results:q}"
        " --table {output.table:q}"
        " > {log:q} 2>&1"
