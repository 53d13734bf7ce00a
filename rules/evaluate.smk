"""Evaluate: a model, a method and a task's neighbours → evaluation/{model}/{method}/{task}/{part}.parquet,
a row per document and number of neighbours; on validation documents → validation/."""


rule evaluate_part:
    input:
        model="<results>/models/{model}",
        queries=collect(
            "<results>/queries/{queries}/{{task}}.parquet",
            queries=lookup(dpath="{method}", within=QUERIES),
        ),
        neighbors=collect(
            "<results>/neighbors/{folder}/{{task}}.parquet",
            folder=lookup(dpath="{method}", within=NEIGHBORS),
        ),
    output:
        rows="<results>/evaluation/{model}/{method}/{task}/{part}.parquet",
    log:
        "<logs>/evaluate_part/{model}/{method}/{task}/{part}.log",
    benchmark:
        "<benchmarks>/evaluate_part/{model}/{method}/{task}/{part}.tsv"
    wildcard_constraints:
        method=cfg.method_pattern(merging=False),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("evaluate_part"),
        runtime=cost.runtime("evaluate_part"),
        gpu=GPUS,
        engine="auto",  # where, not what: reference, lean, graphs; see tttnn.methods.engines
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
        " --engine {resources.engine:q}"
        " > {log:q} 2>&1"


use rule evaluate_part as validate_part with:
    input:
        model="<results>/models/{model}",
        queries="<results>/queries/val/{task}.parquet",
        neighbors=collect(
            "<results>/neighbors/val/{candidates}/{{task}}.parquet",
            candidates=lookup(dpath="{method}", within=CANDIDATES),
        ),
    output:
        rows="<results>/validation/{model}/{method}/{task}/{part}.parquet",
    log:
        "<logs>/validate_part/{model}/{method}/{task}/{part}.log",
    benchmark:
        "<benchmarks>/validate_part/{model}/{method}/{task}/{part}.tsv"
    resources:
        mem_mb=cost.mem_mb("validate_part"),
        runtime=cost.runtime("validate_part"),
        gpu=GPUS,
        engine="auto",
    params:
        spec=spec.validate_part,
        code=code("evaluate_part"),
    message:
        "Evaluate {wildcards.model} with {wildcards.method} on validation documents of {wildcards.task}"
