"""Long documents window by window: queries/test → queries/target and queries/past, a text a window
→ windows/{model}/{method}/{task}/{part}.parquet, a row a window, and the documents' rows as of every
method → tables/positions.csv."""

WINDOW_FILES = [
    f"<results>/windows/{model}/{method}/{task}/{part}.parquet"
    for model, method, task in cfg.window_cells
    for part in cfg.parts(method, task)
]
# asked for where something is evaluated by windows
POSITIONS = ["<results>/tables/positions.csv"] if WINDOW_FILES else []


rule cut_windows:
    input:
        queries=collect("<results>/queries/test/{task}.parquet", task=TASKS),
        model=f"<results>/models/{cfg.long.tokenizer}",
    output:
        targets=collect("<results>/queries/target/{task}.parquet", task=TASKS),
        pasts=collect("<results>/queries/past/{task}.parquet", task=TASKS),
    log:
        "<logs>/cut_windows.log",
    benchmark:
        "<benchmarks>/cut_windows.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("cut_windows"),
        runtime=cost.runtime("cut_windows"),
    params:
        spec=spec.cut_windows,
        code=code("cut_windows"),
    message:
        "Cut the test documents into windows"
    shell:
        "python -m tttnn cut_windows --spec {params.spec:q}"
        " --queries {input.queries:q}"
        " --model {input.model:q}"
        " --targets {output.targets:q}"
        " --pasts {output.pasts:q}"
        " > {log:q} 2>&1"


rule evaluate_windows:
    input:
        model="<results>/models/{model}",
        windows="<results>/queries/target/{task}.parquet",
        neighbors=collect(
            "<results>/neighbors/{folder}/{{task}}.parquet",
            folder=picked(NEIGHBORS, "method"),
        ),
    output:
        rows="<results>/evaluation/{model}/{method}/{task}/{part}.parquet",
        windows="<results>/windows/{model}/{method}/{task}/{part}.parquet",
    log:
        "<logs>/evaluate_windows/{model}/{method}/{task}/{part}.log",
    benchmark:
        "<benchmarks>/evaluate_windows/{model}/{method}/{task}/{part}.tsv"
    wildcard_constraints:
        method=cfg.method_pattern("evaluate_windows"),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("evaluate_windows"),
        runtime=cost.runtime("evaluate_windows"),
        gpu=GPUS,
    params:
        spec=spec.evaluate_windows,
        code=code("evaluate_windows"),
    message:
        "Read {wildcards.task} window by window: {wildcards.model}, {wildcards.method}, part {wildcards.part}"
    shell:
        "python -m tttnn evaluate_windows --spec {params.spec:q}"
        " --model {input.model:q}"
        " --windows {input.windows:q}"
        " --neighbors {input.neighbors:q}"
        " --method {wildcards.method:q}"
        " --task {wildcards.task:q}"
        " --part {wildcards.part}"
        " --output {output.rows:q}"
        " --scored {output.windows:q}"
        " > {log:q} 2>&1"


rule score_windows:
    input:
        windows=WINDOW_FILES,
        selection="<results>/queries/test/selection.json",
    output:
        positions=report(
            "<results>/tables/positions.csv",
            caption="../workflow/report/positions.rst",
            category="Tables",
            labels={"table": "positions"},
        ),
    log:
        "<logs>/score_windows.log",
    benchmark:
        "<benchmarks>/score_windows.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("score_windows"),
        runtime=cost.runtime("score_windows"),
    params:
        spec=spec.score_windows,
        code=code("score_windows"),
        results=subpath(input.selection, ancestor=3),
    message:
        "Score windows by their position"
    shell:
        "python -m tttnn score_windows --spec {params.spec:q}"
        " --results {params.results:q}"
        " --table {output.positions:q}"
        " > {log:q} 2>&1"
