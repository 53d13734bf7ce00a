"""The paper's published numbers → its figures and Table 1; and beside a run's own numbers.

`snakemake paper_figures` needs nothing else of the workflow.
"""

from tttnn.published.names import FIGURES as PAPER_FIGURES, FOLLOWED, MODELS as PAPER_MODELS

PUBLISHED = f"{BESIDE}/tttnn/published"
SIDE_BY_SIDE = (
    ["<results>/tables/side_by_side.csv", "<figures>/side_by_side.svg"]
    if set(cfg.evaluate.models) & set(PAPER_MODELS)
    else []
)
FOLLOW_UPS = (
    ["<results>/tables/follow_ups.csv"]
    if {model for model, _, _ in CELLS} & {*PAPER_MODELS, *FOLLOWED}
    else []
)


rule published_tables:
    input:
        collect(
            f"{PUBLISHED}/{{file}}",
            file=["curves.parquet", "documents.csv", "baselines.csv", "table1.csv"],
        ),
    output:
        scores="results/published/tables/scores.csv",
        differences="results/published/tables/differences.csv",
        costs="results/published/tables/costs.csv",
        tasks="results/published/tables/tasks.csv",
        table1="results/published/tables/table1.csv",
        latex="results/published/tables/table1.tex",
    log:
        "results/published/logs/published_tables.log",
    benchmark:
        "results/published/benchmarks/published_tables.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("published_tables"),
        runtime=cost.runtime("published_tables"),
    params:
        code=code("published_tables"),
        data=subpath(input[0], parent=True),
    message:
        "Write the published numbers as tables"
    shell:
        "python -m tttnn published_tables --data {params.data:q}"
        " --scores {output.scores:q}"
        " --differences {output.differences:q}"
        " --costs {output.costs:q}"
        " --tasks {output.tasks:q}"
        " --table1 {output.table1:q}"
        " --latex {output.latex:q}"
        " > {log:q} 2>&1"


rule paper_figures:
    input:
        scores="results/published/tables/scores.csv",
        differences="results/published/tables/differences.csv",
        costs="results/published/tables/costs.csv",
        tasks="results/published/tables/tasks.csv",
    output:
        collect("figures/published/{figure}.{format}", figure=PAPER_FIGURES, format=["svg", "pdf"]),
    log:
        "results/published/logs/paper_figures.log",
    benchmark:
        "results/published/benchmarks/paper_figures.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("paper_figures"),
        runtime=cost.runtime("paper_figures"),
    params:
        code=code("paper_figures"),
        tables=subpath(input.scores, parent=True),
        figures=subpath(output[0], parent=True),
    message:
        "Draw the paper's figures from its published numbers"
    shell:
        "python -m tttnn paper_figures --tables {params.tables:q}"
        " --figures {params.figures:q}"
        " > {log:q} 2>&1"


rule compare_published:
    input:
        collect(f"{PUBLISHED}/{{file}}", file=["curves.parquet", "documents.csv"]),
        scores="<results>/tables/scores.csv",
        differences="<results>/tables/differences.csv",
        tasks="<results>/tables/tasks.csv",
    output:
        report(
            "<results>/tables/side_by_side.csv",
            caption="../workflow/report/side_by_side.rst",
            category="Tables",
            labels={"table": "side_by_side"},
        ),
    log:
        "<logs>/compare_published.log",
    benchmark:
        "<benchmarks>/compare_published.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("compare_published"),
        runtime=cost.runtime("compare_published"),
    params:
        spec=spec.compare_published,
        code=code("compare_published"),
        data=subpath(input[0], parent=True),
        tables=subpath(input.scores, parent=True),
    message:
        "Compare with the published numbers"
    shell:
        "python -m tttnn compare_published --spec {params.spec:q}"
        " --data {params.data:q}"
        " --tables {params.tables:q}"
        " --table {output:q}"
        " > {log:q} 2>&1"


rule compare_follow_ups:
    input:
        follow_ups=f"{PUBLISHED}/follow_ups.csv",
        scores="<results>/tables/scores.csv",
        differences="<results>/tables/differences.csv",
    output:
        report(
            "<results>/tables/follow_ups.csv",
            caption="../workflow/report/follow_ups.rst",
            category="Tables",
            labels={"table": "follow_ups"},
        ),
    log:
        "<logs>/compare_follow_ups.log",
    benchmark:
        "<benchmarks>/compare_follow_ups.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("compare_follow_ups"),
        runtime=cost.runtime("compare_follow_ups"),
    params:
        code=code("compare_follow_ups"),
        data=subpath(input.follow_ups, parent=True),
        tables=subpath(input.scores, parent=True),
    message:
        "Compare with the numbers of the paper's follow-ups"
    shell:
        "python -m tttnn compare_follow_ups --data {params.data:q}"
        " --tables {params.tables:q}"
        " --table {output:q}"
        " > {log:q} 2>&1"


rule draw_side_by_side:
    input:
        "<results>/tables/side_by_side.csv",
    output:
        svg=report(
            "<figures>/side_by_side.svg",
            caption="../workflow/report/side_by_side.rst",
            category="Figures",
            labels={"figure": "side_by_side"},
        ),
        pdf="<figures>/side_by_side.pdf",
    log:
        "<logs>/draw_side_by_side.log",
    benchmark:
        "<benchmarks>/draw_side_by_side.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("draw_side_by_side"),
        runtime=cost.runtime("draw_side_by_side"),
    params:
        code=code("draw_side_by_side"),
    message:
        "Draw the run's numbers beside the published ones"
    shell:
        "python -m tttnn draw_side_by_side --table {input:q}"
        " --svg {output.svg:q}"
        " --pdf {output.pdf:q}"
        " > {log:q} 2>&1"
