"""Other ways to candidates: passages + queries/{queries} → by words or by all of a document's windows,
a job a shard → candidates/{queries}/{candidates}/{task}.parquet; and candidates made of others."""


rule count_words:
    input:
        queries=collect("<results>/queries/{{queries}}/{task}.parquet", task=TASKS),
        passages=collect("<results>/passages/{{shard}}/{chunk}.parquet", chunk=CHUNKS),
    output:
        counts="<results>/found/{queries}/{lexical}/words/{shard}.safetensors",
    log:
        "<logs>/count_words/{queries}/{lexical}/{shard}.log",
    benchmark:
        "<benchmarks>/count_words/{queries}/{lexical}/{shard}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("count_words"),
        runtime=cost.runtime("count_words"),
    params:
        spec=spec.count_words,
        code=code("count_words"),
    message:
        "Count the {wildcards.queries} queries' words in shard {wildcards.shard} ({wildcards.lexical})"
    shell:
        "python -m tttnn count_words --spec {params.spec:q}"
        " --queries {input.queries:q}"
        " --passages {input.passages:q}"
        " --output {output.counts:q}"
        " > {log:q} 2>&1"


rule search_words:
    input:
        queries=collect("<results>/queries/{{queries}}/{task}.parquet", task=TASKS),
        passages=collect("<results>/passages/{{shard}}/{chunk}.parquet", chunk=CHUNKS),
        # a word's worth depends on all of the corpus
        counts=collect(
            "<results>/found/{{queries}}/{{lexical}}/words/{shard}.safetensors", shard=SHARDS
        ),
    output:
        found="<results>/found/{queries}/{lexical}/{shard}.parquet",
    log:
        "<logs>/search_words/{queries}/{lexical}/{shard}.log",
    benchmark:
        "<benchmarks>/search_words/{queries}/{lexical}/{shard}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("search_words"),
        runtime=cost.runtime("search_words"),
    params:
        spec=spec.search_words,
        code=code("search_words"),
    message:
        "Score shard {wildcards.shard} by the words of all {wildcards.queries} queries ({wildcards.lexical})"
    shell:
        "python -m tttnn search_words --spec {params.spec:q}"
        " --queries {input.queries:q}"
        " --passages {input.passages:q}"
        " --counts {input.counts:q}"
        " --output {output.found:q}"
        " --memory-mb {resources.mem_mb}"
        " > {log:q} 2>&1"


rule search_windows:
    input:
        embeddings=collect(
            "<results>/embeddings/{embedder}/{{shard}}.json",
            embedder=picked(EMBEDDERS, "windowed"),
        ),
        windows=collect(
            "<results>/queries/{{queries}}/windows/{embedder}.safetensors",
            embedder=picked(EMBEDDERS, "windowed"),
        ),
    output:
        found="<results>/found/{queries}/{windowed}/{shard}.parquet",
    log:
        "<logs>/search_windows/{queries}/{windowed}/{shard}.log",
    benchmark:
        "<benchmarks>/search_windows/{queries}/{windowed}/{shard}.tsv"
    conda:
        ENVIRONMENT
    threads: cost.threads("search_windows", most=4)
    resources:
        mem_mb=cost.mem_mb("search_windows"),
        runtime=cost.runtime("search_windows"),
    params:
        spec=spec.search_windows,
        code=code("search_windows"),
    message:
        "Search shard {wildcards.shard} by all {wildcards.queries} queries' windows ({wildcards.windowed})"
    shell:
        "python -m tttnn search_windows --spec {params.spec:q}"
        " --embeddings {input.embeddings:q}"
        " --windows {input.windows:q}"
        " --output {output.found:q}"
        " --memory-mb {resources.mem_mb}"
        " > {log:q} 2>&1"


rule merge_scored:
    input:
        found=collect("<results>/found/{{queries}}/{{scored}}/{shard}.parquet", shard=SHARDS),
        queries=collect("<results>/queries/{{queries}}/{task}.parquet", task=TASKS),
        vectors=collect(
            "<results>/queries/{{queries}}/embeddings/{embedder}.safetensors",
            embedder=picked(EMBEDDERS, "scored"),
        ),
        embeddings=collect(
            "<results>/embeddings/{embedder}/{shard}.json",
            embedder=picked(EMBEDDERS, "scored"),
            shard=SHARDS,
        ),
    output:
        candidates=collect("<results>/candidates/{{queries}}/{{scored}}/{task}.parquet", task=TASKS),
    log:
        "<logs>/merge_scored/{queries}/{scored}.log",
    benchmark:
        "<benchmarks>/merge_scored/{queries}/{scored}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("merge_scored"),
        runtime=cost.runtime("merge_scored"),
    params:
        spec=spec.merge_scored,
        code=code("merge_scored"),
    message:
        "Merge what all shards have for the {wildcards.queries} queries ({wildcards.scored})"
    shell:
        "python -m tttnn merge_scored --spec {params.spec:q}"
        " --found {input.found:q}"
        " --queries {input.queries:q}"
        " --vectors {input.vectors:q}"
        " --embeddings {input.embeddings:q}"
        " --outputs {output.candidates:q}"
        " --memory-mb {resources.mem_mb}"
        " > {log:q} 2>&1"


rule pool_candidates:
    input:
        # all tasks of one source, then of the next
        sources=collect(
            "<results>/candidates/{{queries}}/{source}/{task}.parquet",
            source=picked(POOLS, "pool"),
            task=TASKS,
        ),
        queries=collect("<results>/queries/{{queries}}/{task}.parquet", task=TASKS),
        vectors=collect(
            "<results>/queries/{{queries}}/embeddings/{embedder}.safetensors",
            embedder=picked(EMBEDDERS, "pool"),
        ),
        embeddings=collect(
            "<results>/embeddings/{embedder}/{shard}.json",
            embedder=picked(EMBEDDERS, "pool"),
            shard=SHARDS,
        ),
    output:
        candidates=collect("<results>/candidates/{{queries}}/{{pool}}/{task}.parquet", task=TASKS),
    log:
        "<logs>/pool_candidates/{queries}/{pool}.log",
    benchmark:
        "<benchmarks>/pool_candidates/{queries}/{pool}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("pool_candidates"),
        runtime=cost.runtime("pool_candidates"),
    params:
        spec=spec.pool_candidates,
        code=code("pool_candidates"),
    message:
        "Make {wildcards.pool} of other candidates of the {wildcards.queries} queries"
    shell:
        "python -m tttnn pool_candidates --spec {params.spec:q}"
        " --sources {input.sources:q}"
        " --queries {input.queries:q}"
        " --vectors {input.vectors:q}"
        " --embeddings {input.embeddings:q}"
        " --outputs {output.candidates:q}"
        " --memory-mb {resources.mem_mb}"
        " > {log:q} 2>&1"


rule choose_windows:
    input:
        candidates=collect(
            "<results>/candidates/{{queries}}/{index}/{task}.parquet",
            index=picked(SELECTIONS, "selection"),
            task=TASKS,
        ),
        queries=collect("<results>/queries/{{queries}}/{task}.parquet", task=TASKS),
        windows=collect(
            "<results>/queries/{{queries}}/windows/{embedder}.safetensors",
            embedder=picked(EMBEDDERS, "selection"),
        ),
        embeddings=collect(
            "<results>/embeddings/{embedder}/{shard}.json",
            embedder=picked(EMBEDDERS, "selection"),
            shard=SHARDS,
        ),
    output:
        candidates=collect(
            "<results>/candidates/{{queries}}/{{selection}}/{task}.parquet", task=TASKS
        ),
    log:
        "<logs>/choose_windows/{queries}/{selection}.log",
    benchmark:
        "<benchmarks>/choose_windows/{queries}/{selection}.tsv"
    wildcard_constraints:
        selection=cfg.selections_by_windows(chosen=True),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("choose_windows"),
        runtime=cost.runtime("choose_windows"),
    params:
        spec=spec.choose_windows,
        code=code("choose_windows"),
    message:
        "Choose neighbours of all windows of the {wildcards.queries} queries: {wildcards.selection}"
    shell:
        "python -m tttnn choose_windows --spec {params.spec:q}"
        " --candidates {input.candidates:q}"
        " --queries {input.queries:q}"
        " --windows {input.windows:q}"
        " --embeddings {input.embeddings:q}"
        " --outputs {output.candidates:q}"
        " --memory-mb {resources.mem_mb}"
        " > {log:q} 2>&1"
