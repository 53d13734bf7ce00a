"""Corpus: the configured source → corpus/{shard}.jsonl.zst → passages/{shard}/{chunk}.parquet,
and from the test split queries/{task}.parquet."""


rule download_shard:
    input:
        # the file itself where it is on this machine, so that a change of it is noticed
        picked(SOURCE_FILES, "shard"),
    output:
        documents="<results>/corpus/{shard}.jsonl.zst",
        rejected="<results>/corpus/{shard}.rejected.jsonl",
        manifest="<results>/corpus/{shard}.json",
    log:
        "<logs>/download_shard/{shard}.log",
    benchmark:
        "<benchmarks>/download_shard/{shard}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("download_shard"),
        runtime=cost.runtime("download_shard"),
    params:
        spec=spec.download_shard,
        code=code("download_shard"),
    message:
        "Fetch and check shard {wildcards.shard}"
    shell:
        "python -m tttnn download_shard --spec {params.spec:q}"
        " --shard {wildcards.shard:q}"
        " --documents {output.documents:q}"
        " --rejected {output.rejected:q}"
        " --manifest {output.manifest:q}"
        " > {log:q} 2>&1"


rule chunk_shard:
    input:
        documents="<results>/corpus/{shard}.jsonl.zst",
        manifest="<results>/corpus/{shard}.json",
        tokenizer=collect("<results>/models/{model}", model=cfg.chunk_tokenizer),
    output:
        chunks=collect("<results>/passages/{{shard}}/{chunk}.parquet", chunk=CHUNKS),
    log:
        "<logs>/chunk_shard/{shard}.log",
    benchmark:
        "<benchmarks>/chunk_shard/{shard}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("chunk_shard"),
        runtime=cost.runtime("chunk_shard"),
    params:
        spec=spec.chunk_shard,
        code=code("chunk_shard"),
    message:
        "Cut shard {wildcards.shard} into passages"
    shell:
        "python -m tttnn chunk_shard --spec {params.spec:q}"
        " --number {wildcards.shard}"
        " --documents {input.documents:q}"
        " --manifest {input.manifest:q}"
        " --tokenizer {input.tokenizer:q}"
        " --chunks {output.chunks:q}"
        " > {log:q} 2>&1"


rule list_passages:
    input:
        passages=collect("<results>/passages/{shard}/{chunk}.parquet", shard=SHARDS, chunk=CHUNKS),
    output:
        manifest="<results>/passages/manifest.json",
    log:
        "<logs>/list_passages.log",
    benchmark:
        "<benchmarks>/list_passages.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("list_passages"),
        runtime=cost.runtime("list_passages"),
    params:
        code=code("list_passages"),
    message:
        "List the passages of all shards"
    shell:
        "python -m tttnn list_passages --passages {input.passages:q}"
        " --manifest {output.manifest:q}"
        " > {log:q} 2>&1"


rule select_documents:
    input:
        documents="<results>/corpus/{queries}.jsonl.zst",
        manifest="<results>/corpus/{queries}.json",
    output:
        queries=collect("<results>/queries/{{queries}}/{task}.parquet", task=TASKS),
        selection="<results>/queries/{queries}/selection.json",
    log:
        "<logs>/select_documents/{queries}.log",
    benchmark:
        "<benchmarks>/select_documents/{queries}.tsv"
    wildcard_constraints:
        queries="|".join(SPLITS),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("select_documents"),
        runtime=cost.runtime("select_documents"),
    params:
        spec=spec.select_documents,
        code=code("select_documents"),
    message:
        "Choose the {wildcards.queries} documents of every task"
    shell:
        "python -m tttnn select_documents --spec {params.spec:q}"
        " --documents {input.documents:q}"
        " --manifest {input.manifest:q}"
        " --queries {output.queries:q}"
        " --selection {output.selection:q}"
        " > {log:q} 2>&1"


rule split_documents:
    input:
        queries=collect("<results>/queries/test/{task}.parquet", task=TASKS),
        model=f"<results>/models/{cfg.split.tokenizer}",
    output:
        halves=collect("<results>/queries/halves/{task}.parquet", task=TASKS),
    log:
        "<logs>/split_documents.log",
    benchmark:
        "<benchmarks>/split_documents.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("split_documents"),
        runtime=cost.runtime("split_documents"),
    params:
        spec=spec.split_documents,
        code=code("split_documents"),
    message:
        "Halve the test documents"
    shell:
        "python -m tttnn split_documents --spec {params.spec:q}"
        " --queries {input.queries:q}"
        " --model {input.model:q}"
        " --outputs {output.halves:q}"
        " > {log:q} 2>&1"


use rule split_documents as split_validation with:
    input:
        queries=collect("<results>/queries/val/{task}.parquet", task=TASKS),
        model=f"<results>/models/{cfg.split.tokenizer}",
    output:
        halves=collect("<results>/queries/val_halves/{task}.parquet", task=TASKS),
    log:
        "<logs>/split_validation.log",
    benchmark:
        "<benchmarks>/split_validation.tsv"
    resources:
        mem_mb=cost.mem_mb("split_validation"),
        runtime=cost.runtime("split_validation"),
    message:
        "Halve the validation documents"
