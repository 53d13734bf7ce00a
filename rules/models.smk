"""Models: a published checkpoint, or the corpus to train on → models/{model}/."""


rule fetch_model:
    output:
        model=directory("<results>/models/{model}"),
    log:
        "<logs>/fetch_model/{model}.log",
    benchmark:
        "<benchmarks>/fetch_model/{model}.tsv"
    wildcard_constraints:
        model=cfg.model_pattern("fetched"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("fetch_model"),
        runtime=cost.runtime("fetch_model"),
    params:
        spec=spec.model,
        code=code("fetch_model"),
        causal=picked(FETCHED_AS, "model"),
    message:
        "Fetch model {wildcards.model}"
    shell:
        "python -m tttnn fetch_model --spec {params.spec:q}"
        " --output {output.model:q}"
        " {params.causal}"
        " > {log:q} 2>&1"


rule train_model:
    input:
        train=collect("<results>/corpus/{shard}.jsonl.zst", shard=SHARDS),
        val="<results>/corpus/val.jsonl.zst",
    output:
        model=directory("<results>/models/{model}"),
    log:
        "<logs>/train_model/{model}.log",
    benchmark:
        "<benchmarks>/train_model/{model}.tsv"
    wildcard_constraints:
        model=cfg.model_pattern("causal"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("train_model"),
        runtime=cost.runtime("train_model"),
        gpu=GPUS,
    params:
        spec=spec.model,
        code=code("train_model"),
    message:
        "Train language model {wildcards.model}"
    shell:
        "python -m tttnn train_model --spec {params.spec:q}"
        " --train {input.train:q}"
        " --val {input.val:q}"
        " --output {output.model:q}"
        " > {log:q} 2>&1"


rule train_embedder:
    input:
        train=collect("<results>/corpus/{shard}.jsonl.zst", shard=SHARDS),
        val="<results>/corpus/val.jsonl.zst",
    output:
        model=directory("<results>/models/{model}"),
    log:
        "<logs>/train_embedder/{model}.log",
    benchmark:
        "<benchmarks>/train_embedder/{model}.tsv"
    wildcard_constraints:
        model=cfg.model_pattern("masked"),
    # everything waits for the embeddings
    priority: 10
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("train_embedder"),
        runtime=cost.runtime("train_embedder"),
        gpu=GPUS,
    params:
        spec=spec.model,
        code=code("train_embedder"),
    message:
        "Train embedder {wildcards.model}"
    shell:
        "python -m tttnn train_embedder --spec {params.spec:q}"
        " --train {input.train:q}"
        " --val {input.val:q}"
        " --output {output.model:q}"
        " --processes {resources.gpu}"
        " > {log:q} 2>&1"
