"""Index, of a type that learns: embeddings → index/{index}/trained/{shard} → trained.faiss →
shards/{shard}.faiss → merged/, one index over all shards. An exact index is the embeddings."""


rule train_shard_index:
    input:
        embeddings=collect(
            "<results>/embeddings/{embedder}/{{shard}}.json",
            embedder=picked(EMBEDDERS, "index"),
        ),
    output:
        learnt="<results>/index/{index}/trained/{shard}.safetensors",
    log:
        "<logs>/train_shard_index/{index}/{shard}.log",
    benchmark:
        "<benchmarks>/train_shard_index/{index}/{shard}.tsv"
    wildcard_constraints:
        index=cfg.learning_indexes,
    conda:
        ENVIRONMENT
    threads: cost.threads("train_shard_index", most=4)
    resources:
        mem_mb=cost.mem_mb("train_shard_index"),
        runtime=cost.runtime("train_shard_index"),
    params:
        spec=spec.index,
        code=code("train_shard_index"),
    message:
        "Learn what index {wildcards.index} needs from shard {wildcards.shard}"
    shell:
        "python -m tttnn train_shard_index --spec {params.spec:q}"
        " --embeddings {input.embeddings:q}"
        " --output {output.learnt:q}"
        " --memory-mb {resources.mem_mb}"
        " > {log:q} 2>&1"


rule merge_training:
    input:
        shards=collect("<results>/index/{{index}}/trained/{shard}.safetensors", shard=SHARDS),
    output:
        trained="<results>/index/{index}/trained.faiss",
    log:
        "<logs>/merge_training/{index}.log",
    benchmark:
        "<benchmarks>/merge_training/{index}.tsv"
    wildcard_constraints:
        index=cfg.learning_indexes,
    conda:
        ENVIRONMENT
    threads: cost.threads("merge_training", most=4)
    resources:
        mem_mb=cost.mem_mb("merge_training"),
        runtime=cost.runtime("merge_training"),
    params:
        spec=spec.index,
        code=code("merge_training"),
    message:
        "Merge what index {wildcards.index} learnt into one quantiser"
    shell:
        "python -m tttnn merge_training --spec {params.spec:q}"
        " --shards {input.shards:q}"
        " --output {output.trained:q}"
        " --memory-mb {resources.mem_mb}"
        " > {log:q} 2>&1"


rule fill_shard_index:
    input:
        trained="<results>/index/{index}/trained.faiss",
        embeddings=collect(
            "<results>/embeddings/{embedder}/{{shard}}.json",
            embedder=picked(EMBEDDERS, "index"),
        ),
    output:
        index="<results>/index/{index}/shards/{shard}.faiss",
    log:
        "<logs>/fill_shard_index/{index}/{shard}.log",
    benchmark:
        "<benchmarks>/fill_shard_index/{index}/{shard}.tsv"
    wildcard_constraints:
        index=cfg.learning_indexes,
    conda:
        ENVIRONMENT
    threads: cost.threads("fill_shard_index", most=4)
    resources:
        mem_mb=cost.mem_mb("fill_shard_index"),
        runtime=cost.runtime("fill_shard_index"),
    params:
        spec=spec.index,
        code=code("fill_shard_index"),
    message:
        "Fill index {wildcards.index} with shard {wildcards.shard}"
    shell:
        "python -m tttnn fill_shard_index --spec {params.spec:q}"
        " --trained {input.trained:q}"
        " --embeddings {input.embeddings:q}"
        " --output {output.index:q}"
        " --memory-mb {resources.mem_mb}"
        " > {log:q} 2>&1"


rule merge_index:
    input:
        trained="<results>/index/{index}/trained.faiss",
        shards=collect("<results>/index/{{index}}/shards/{shard}.faiss", shard=SHARDS),
        embeddings=collect(
            "<results>/embeddings/{embedder}/{shard}.json",
            embedder=picked(EMBEDDERS, "index"),
            shard=SHARDS,
        ),
    output:
        index=directory("<results>/index/{index}/merged"),
    log:
        "<logs>/merge_index/{index}.log",
    benchmark:
        "<benchmarks>/merge_index/{index}.tsv"
    wildcard_constraints:
        index=cfg.learning_indexes,
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("merge_index"),
        runtime=cost.runtime("merge_index"),
    params:
        spec=spec.index,
        code=code("merge_index"),
    message:
        "Merge the shards of index {wildcards.index}"
    shell:
        "python -m tttnn merge_index --spec {params.spec:q}"
        " --trained {input.trained:q}"
        " --shards {input.shards:q}"
        " --embeddings {input.embeddings:q}"
        " --output {output.index:q}"
        " --memory-mb {resources.mem_mb}"
        " > {log:q} 2>&1"
