"""Evaluate: a model, a method and a task's neighbours → evaluation/{model}/{method}/{task}/{part}.parquet,
a row per document and number of neighbours."""


rule evaluate_part:
    input:
        model="<results>/models/{model}",
        queries="<results>/queries/{task}.parquet",
        neighbors=collect(
            "<results>/neighbors/{candidates}/{{task}}.parquet",
            candidates=lookup(dpath="{method}", within=CANDIDATES),
        ),
    output:
        rows="<results>/evaluation/{model}/{method}/{task}/{part}.parquet",
    log:
        "<logs>/evaluate_part/{model}/{method}/{task}/{part}.log",
    benchmark:
        "<benchmarks>/evaluate_part/{model}/{method}/{task}/{part}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("evaluate_part"),
        runtime=cost.runtime("evaluate_part"),
        gpu=GPUS,
    params:
        spec=spec.evaluate_part,
        code=code("evaluate_part"),
    message:
        "Evaluate {wildcards.model} with {wildcards.method} on {wildcards.task}, part {wildcards.part}"
    shell:
        "python -m tttnn evaluate_part --spec {params.spec:q}"
        " --model {input.model:q}"
        " --queries {input.queries:q}"
        " --neighbors {input.neighbors:q}"
        " --method {wildcards.method:q}"
        " --task {wildcards.task:q}"
        " --part {wildcards.part}"
        " --output {output.rows:q}"
        " > {log:q} 2>&1"
