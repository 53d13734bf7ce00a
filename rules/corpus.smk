"""Corpus: the configured source → corpus/{shard}.jsonl.zst → passages/{shard}/{chunk}.parquet,
and from the test split queries/{task}.parquet."""


rule download_shard:
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
        code=code("download_shard", f"tttnn.sources.{cfg.source.kind}"),
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


rule select_documents:
    input:
        documents="<results>/corpus/test.jsonl.zst",
    output:
        queries=collect("<results>/queries/{task}.parquet", task=TASKS),
        selection="<results>/queries/selection.json",
    log:
        "<logs>/select_documents.log",
    benchmark:
        "<benchmarks>/select_documents.tsv"
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
        "Choose the test documents of every task"
    shell:
        "python -m tttnn select_documents --spec {params.spec:q}"
        " --documents {input.documents:q}"
        " --queries {output.queries:q}"
        " --selection {output.selection:q}"
        " > {log:q} 2>&1"
