"""Embed: passages/{shard}/{chunk}.parquet → embeddings/{embedder}/{shard}/{chunk}.npy and its manifest
→ the list of a shard's, embeddings/{embedder}/{shard}.json, which whatever reads vectors takes;
and all tasks' queries of a set → queries/{queries}/embeddings/{embedder}.safetensors; the sets are
`test`, `val`, and `halves`, the first halves of the test documents."""


rule embed_chunk:
    input:
        passages="<results>/passages/{shard}/{chunk}.parquet",
        model="<results>/models/{embedder}",
    output:
        vectors="<results>/embeddings/{embedder}/{shard}/{chunk}.npy",
        manifest="<results>/embeddings/{embedder}/{shard}/{chunk}.json",
    log:
        "<logs>/embed_chunk/{embedder}/{shard}/{chunk}.log",
    benchmark:
        "<benchmarks>/embed_chunk/{embedder}/{shard}/{chunk}.tsv"
    priority: 10
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("embed_chunk"),
        runtime=cost.runtime("embed_chunk"),
        gpu=GPUS,
    params:
        spec=spec.embed,
        code=code("embed_chunk"),
    message:
        "Embed chunk {wildcards.chunk} of shard {wildcards.shard}"
    shell:
        "python -m tttnn embed_chunk --spec {params.spec:q}"
        " --passages {input.passages:q}"
        " --model {input.model:q}"
        " --output {output.vectors:q}"
        " --manifest {output.manifest:q}"
        " > {log:q} 2>&1"


rule list_embeddings:
    input:
        passages=collect("<results>/passages/{{shard}}/{chunk}.parquet", chunk=CHUNKS),
        embeddings=collect("<results>/embeddings/{{embedder}}/{{shard}}/{chunk}.npy", chunk=CHUNKS),
    output:
        manifest="<results>/embeddings/{embedder}/{shard}.json",
    log:
        "<logs>/list_embeddings/{embedder}/{shard}.log",
    benchmark:
        "<benchmarks>/list_embeddings/{embedder}/{shard}.tsv"
    priority: 10
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("list_embeddings"),
        runtime=cost.runtime("list_embeddings"),
    params:
        code=code("list_embeddings"),
    message:
        "List the embeddings of shard {wildcards.shard}"
    shell:
        "python -m tttnn list_embeddings --passages {input.passages:q}"
        " --embeddings {input.embeddings:q}"
        " --output {output.manifest:q}"
        " > {log:q} 2>&1"


rule embed_queries:
    input:
        queries=collect("<results>/queries/{{queries}}/{task}.parquet", task=TASKS),
        model="<results>/models/{embedder}",
    output:
        vectors="<results>/queries/{queries}/embeddings/{embedder}.safetensors",
    log:
        "<logs>/embed_queries/{queries}/{embedder}.log",
    benchmark:
        "<benchmarks>/embed_queries/{queries}/{embedder}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("embed_queries"),
        runtime=cost.runtime("embed_queries"),
        gpu=GPUS,
    params:
        spec=spec.embed,
        code=code("embed_queries"),
    message:
        "Embed the {wildcards.queries} queries of all tasks"
    shell:
        "python -m tttnn embed_queries --spec {params.spec:q}"
        " --queries {input.queries:q}"
        " --model {input.model:q}"
        " --output {output.vectors:q}"
        " > {log:q} 2>&1"
