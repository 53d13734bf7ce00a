"""Neighbours: queries + index/{index}/merged → candidates/{candidates}/{task}.parquet → with texts
neighbors/{candidates}/{task}.parquet; `candidates` is an index or `random`."""


rule search_index:
    input:
        index="<results>/index/{index}/merged",
        queries=collect("<results>/queries/{task}.parquet", task=TASKS),
        vectors=collect(
            "<results>/queries/embeddings/{embedder}.npy",
            embedder=lookup(dpath="{index}", within=EMBEDDERS),
        ),
        passages=collect("<results>/passages/{shard}/{chunk}.parquet", shard=SHARDS, chunk=CHUNKS),
        embeddings=collect(
            "<results>/embeddings/{embedder}/{shard}/{chunk}.npy",
            embedder=lookup(dpath="{index}", within=EMBEDDERS),
            shard=SHARDS,
            chunk=CHUNKS,
        ),
    output:
        candidates=collect("<results>/candidates/{{index}}/{task}.parquet", task=TASKS),
    log:
        "<logs>/search_index/{index}.log",
    benchmark:
        "<benchmarks>/search_index/{index}.tsv"
    priority: 10
    conda:
        ENVIRONMENT
    threads: 16
    resources:
        mem_mb=cost.mem_mb("search_index"),
        runtime=cost.runtime("search_index"),
    params:
        spec=spec.search_index,
        code=code("search_index"),
    message:
        "Search index {wildcards.index} for all queries at once"
    shell:
        "python -m tttnn search_index --spec {params.spec:q}"
        " --index {input.index:q}"
        " --queries {input.queries:q}"
        " --vectors {input.vectors:q}"
        " --passages {input.passages:q}"
        " --embeddings {input.embeddings:q}"
        " --outputs {output.candidates:q}"
        " > {log:q} 2>&1"


rule draw_random:
    input:
        queries=collect("<results>/queries/{task}.parquet", task=TASKS),
        vectors=collect(
            "<results>/queries/embeddings/{embedder}.npy",
            embedder=cfg.embedders[0],
        ),
        passages=collect("<results>/passages/{shard}/{chunk}.parquet", shard=SHARDS, chunk=CHUNKS),
        embeddings=collect(
            "<results>/embeddings/{embedder}/{shard}/{chunk}.npy",
            embedder=cfg.embedders[0],
            shard=SHARDS,
            chunk=CHUNKS,
        ),
    output:
        candidates=collect("<results>/candidates/random/{task}.parquet", task=TASKS),
    log:
        "<logs>/draw_random.log",
    benchmark:
        "<benchmarks>/draw_random.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("draw_random"),
        runtime=cost.runtime("draw_random"),
    params:
        spec=spec.draw_random,
        code=code("draw_random"),
    message:
        "Draw random neighbours: the control"
    shell:
        "python -m tttnn draw_random --spec {params.spec:q}"
        " --queries {input.queries:q}"
        " --vectors {input.vectors:q}"
        " --passages {input.passages:q}"
        " --embeddings {input.embeddings:q}"
        " --outputs {output.candidates:q}"
        " > {log:q} 2>&1"


rule measure_recall:
    input:
        index="<results>/index/{index}/merged",
        candidates=collect("<results>/candidates/{{index}}/{task}.parquet", task=TASKS),
        queries=collect("<results>/queries/{task}.parquet", task=TASKS),
        vectors=collect(
            "<results>/queries/embeddings/{embedder}.npy",
            embedder=lookup(dpath="{index}", within=EMBEDDERS),
        ),
        passages=collect("<results>/passages/{shard}/{chunk}.parquet", shard=SHARDS, chunk=CHUNKS),
        embeddings=collect(
            "<results>/embeddings/{embedder}/{shard}/{chunk}.npy",
            embedder=lookup(dpath="{index}", within=EMBEDDERS),
            shard=SHARDS,
            chunk=CHUNKS,
        ),
    output:
        recall="<results>/index/{index}/recall.csv",
    log:
        "<logs>/measure_recall/{index}.log",
    benchmark:
        "<benchmarks>/measure_recall/{index}.tsv"
    conda:
        ENVIRONMENT
    threads: 16
    resources:
        mem_mb=cost.mem_mb("measure_recall"),
        runtime=cost.runtime("measure_recall"),
    params:
        spec=spec.measure_recall,
        code=code("measure_recall"),
    message:
        "Measure the recall of index {wildcards.index}"
    shell:
        "python -m tttnn measure_recall --spec {params.spec:q}"
        " --index {input.index:q}"
        " --name {wildcards.index:q}"
        " --candidates {input.candidates:q}"
        " --queries {input.queries:q}"
        " --vectors {input.vectors:q}"
        " --passages {input.passages:q}"
        " --embeddings {input.embeddings:q}"
        " --output {output.recall:q}"
        " > {log:q} 2>&1"


rule gather_neighbors:
    input:
        candidates="<results>/candidates/{candidates}/{task}.parquet",
        queries="<results>/queries/{task}.parquet",
        passages=collect("<results>/passages/{shard}/{chunk}.parquet", shard=SHARDS, chunk=CHUNKS),
    output:
        neighbors="<results>/neighbors/{candidates}/{task}.parquet",
    log:
        "<logs>/gather_neighbors/{candidates}/{task}.log",
    benchmark:
        "<benchmarks>/gather_neighbors/{candidates}/{task}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("gather_neighbors"),
        runtime=cost.runtime("gather_neighbors"),
    params:
        spec=spec.gather_neighbors,
        code=code("gather_neighbors"),
    message:
        "Fetch the texts of {wildcards.task}'s neighbours ({wildcards.candidates})"
    shell:
        "python -m tttnn gather_neighbors --spec {params.spec:q}"
        " --candidates {input.candidates:q}"
        " --queries {input.queries:q}"
        " --passages {input.passages:q}"
        " --output {output.neighbors:q}"
        " > {log:q} 2>&1"
