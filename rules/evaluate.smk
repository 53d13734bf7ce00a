"""Evaluate: a model, a method and a task's neighbours → evaluation/{model}/{method}/{task}/{part}.parquet,
a row per document and number of neighbours; on validation documents → validation/, of which a method
with `tune` has its settings: tuned/{model}/{method}.json."""


rule evaluate_part:
    input:
        model="<results>/models/{model}",
        queries=collect(
            "<results>/queries/{queries}/{{task}}.parquet",
            queries=picked(QUERIES, "method"),
        ),
        neighbors=collect(
            "<results>/neighbors/{folder}/{{task}}.parquet",
            folder=picked(NEIGHBORS, "method"),
        ),
    output:
        rows="<results>/evaluation/{model}/{method}/{task}/{part}.parquet",
    log:
        "<logs>/evaluate_part/{model}/{method}/{task}/{part}.log",
    benchmark:
        "<benchmarks>/evaluate_part/{model}/{method}/{task}/{part}.tsv"
    wildcard_constraints:
        method=cfg.method_pattern("evaluate_part"),
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
        queries=collect(
            "<results>/queries/{queries}/{{task}}.parquet",
            queries=picked(HELD_OUT, "method"),
        ),
        neighbors=collect(
            "<results>/neighbors/{folder}/{{task}}.parquet",
            folder=picked(HELD_OUT_NEIGHBORS, "method"),
        ),
    output:
        rows="<results>/validation/{model}/{method}/{task}/{part}.parquet",
    log:
        "<logs>/validate_part/{model}/{method}/{task}/{part}.log",
    benchmark:
        "<benchmarks>/validate_part/{model}/{method}/{task}/{part}.tsv"
    wildcard_constraints:
        method="|".join(cfg.methods),
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


rule choose_settings:
    input:
        validations=collect(
            "<results>/validation/{{model}}/{variant}/{task}/0.parquet",
            variant=picked(TUNED, "method"),
            task=picked(SCOPES, "method"),
        ),
        selection="<results>/queries/val/selection.json",
    output:
        chosen="<results>/tuned/{model}/{method}.json",
    log:
        "<logs>/choose_settings/{model}/{method}.log",
    benchmark:
        "<benchmarks>/choose_settings/{model}/{method}.tsv"
    wildcard_constraints:
        method="|".join(TUNED) or "(?!)",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("choose_settings"),
        runtime=cost.runtime("choose_settings"),
    params:
        spec=spec.choose_settings,
        code=code("choose_settings"),
        results=subpath(input.selection, ancestor=3),
    message:
        "Choose the settings of {wildcards.method} for {wildcards.model}, on validation documents"
    shell:
        "python -m tttnn choose_settings --spec {params.spec:q}"
        " --results {params.results:q}"
        " --selection {input.selection:q}"
        " --model {wildcards.model:q}"
        " --method {wildcards.method:q}"
        " --output {output.chosen:q}"
        " > {log:q} 2>&1"


rule evaluate_tuned:
    input:
        model="<results>/models/{model}",
        queries=collect(
            "<results>/queries/{queries}/{{task}}.parquet",
            queries=picked(QUERIES, "method"),
        ),
        # all that may be chosen: which one it is, is known when it is
        neighbors=collect(
            "<results>/neighbors/{folder}/{{task}}.parquet",
            folder=picked(NEIGHBORS, "method"),
        ),
        chosen="<results>/tuned/{model}/{method}.json",
    output:
        rows="<results>/evaluation/{model}/{method}/{task}/{part}.parquet",
    log:
        "<logs>/evaluate_tuned/{model}/{method}/{task}/{part}.log",
    benchmark:
        "<benchmarks>/evaluate_tuned/{model}/{method}/{task}/{part}.tsv"
    wildcard_constraints:
        method="|".join(TUNED) or "(?!)",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("evaluate_tuned"),
        runtime=cost.runtime("evaluate_tuned"),
        gpu=GPUS,
        engine="auto",
    params:
        spec=spec.evaluate_tuned,
        code=code("evaluate_tuned"),
    message:
        "Evaluate {wildcards.model} with {wildcards.method}, as tuned, on {wildcards.task}, part {wildcards.part}"
    shell:
        "python -m tttnn evaluate_tuned --spec {params.spec:q}"
        " --model {input.model:q}"
        " --queries {input.queries:q}"
        " --neighbors {input.neighbors:q}"
        " --tuned {input.chosen:q}"
        " --method {wildcards.method:q}"
        " --task {wildcards.task:q}"
        " --part {wildcards.part}"
        " --output {output.rows:q}"
        " --engine {resources.engine:q}"
        " > {log:q} 2>&1"


rule list_choices:
    input:
        chosen=list(CHOICES),
    output:
        table=report(
            "<results>/tables/tuning.csv",
            caption="../workflow/report/tuning.rst",
            category="Tables",
            labels={"table": "tuning"},
        ),
    log:
        "<logs>/list_choices.log",
    benchmark:
        "<benchmarks>/list_choices.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("list_choices"),
        runtime=cost.runtime("list_choices"),
    params:
        code=code("list_choices"),
    message:
        "List the settings that were chosen on validation documents"
    shell:
        "python -m tttnn list_choices --records {input.chosen:q} --table {output.table:q}"
        " > {log:q} 2>&1"
