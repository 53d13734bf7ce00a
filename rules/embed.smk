"""Embed: passages/{shard}/{chunk}.parquet → embeddings/{embedder}/{shard}/{chunk}.npy and its manifest
→ the list of a shard's, embeddings/{embedder}/{shard}.json, which whatever reads vectors takes;
of an embedder whose vectors are published there is the list alone, made of their file as it is;
and all tasks' queries of a set → queries/{queries}/embeddings/{embedder}.safetensors; the sets are
`test`, `val`, `halves`, the first halves of the test documents, and of their windows `target`, each
itself, and `past`, the text before each."""


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
    wildcard_constraints:
        embedder=cfg.embedder_pattern(published=False),
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


rule adopt_embeddings:
    input:
        published=picked(PUBLISHED, "embedder", "shard"),
        passages=collect("<results>/passages/{{shard}}/{chunk}.parquet", chunk=CHUNKS),
        corpus="<results>/corpus/{shard}.json",
        rejected="<results>/corpus/{shard}.rejected.jsonl",
        model="<results>/models/{embedder}",
    output:
        manifest="<results>/embeddings/{embedder}/{shard}.json",
    log:
        "<logs>/adopt_embeddings/{embedder}/{shard}.log",
    benchmark:
        "<benchmarks>/adopt_embeddings/{embedder}/{shard}.tsv"
    wildcard_constraints:
        embedder=cfg.embedder_pattern(published=True),
    priority: 10
    conda:
        ENVIRONMENT
    threads: 4
    resources:
        mem_mb=cost.mem_mb("adopt_embeddings"),
        runtime=cost.runtime("adopt_embeddings"),
    params:
        spec=spec.adopt_embeddings,
        code=code("adopt_embeddings"),
    message:
        "Compare the published embeddings of shard {wildcards.shard} with its passages"
    shell:
        "python -m tttnn adopt_embeddings --spec {params.spec:q}"
        " --published {input.published:q}"
        " --passages {input.passages:q}"
        " --corpus {input.corpus:q}"
        " --rejected {input.rejected:q}"
        " --model {input.model:q}"
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


rule embed_windows:
    input:
        queries=collect("<results>/queries/{{queries}}/{task}.parquet", task=TASKS),
        model="<results>/models/{embedder}",
    output:
        vectors="<results>/queries/{queries}/windows/{embedder}.safetensors",
    log:
        "<logs>/embed_windows/{queries}/{embedder}.log",
    benchmark:
        "<benchmarks>/embed_windows/{queries}/{embedder}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("embed_windows"),
        runtime=cost.runtime("embed_windows"),
        gpu=GPUS,
    params:
        spec=spec.embed_windows,
        code=code("embed_windows"),
    message:
        "Embed all windows of the {wildcards.queries} queries of all tasks"
    shell:
        "python -m tttnn embed_windows --spec {params.spec:q}"
        " --queries {input.queries:q}"
        " --model {input.model:q}"
        " --output {output.vectors:q}"
        " > {log:q} 2>&1"
