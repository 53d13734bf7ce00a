"""Report: evaluation rows → tables/*.csv and .tex → figures."""


rule score:
    input:
        evaluations=EVALUATIONS,
        selection="<results>/queries/selection.json",
        manifests=collect("<results>/corpus/{shard}.json", shard=[*SHARDS, "test"]),
        recalls=collect("<results>/index/{index}/recall.csv", index=cfg.search.indexes),
    output:
        scores=report(
            "<results>/tables/scores.csv",
            caption="../workflow/report/scores.rst",
            category="Tables",
            labels={"table": "scores"},
        ),
        clean=report(
            "<results>/tables/clean.csv",
            caption="../workflow/report/clean.rst",
            category="Tables",
            labels={"table": "clean"},
        ),
        differences=report(
            "<results>/tables/differences.csv",
            caption="../workflow/report/differences.rst",
            category="Tables",
            labels={"table": "differences"},
        ),
        costs=report(
            "<results>/tables/costs.csv",
            caption="../workflow/report/costs.rst",
            category="Tables",
            labels={"table": "costs"},
        ),
        tasks=report(
            "<results>/tables/tasks.csv",
            caption="../workflow/report/tasks.rst",
            category="Tables",
            labels={"table": "tasks"},
        ),
        corpus=report(
            "<results>/tables/corpus.csv",
            caption="../workflow/report/corpus.rst",
            category="Tables",
            labels={"table": "corpus"},
        ),
        recall="<results>/tables/recall.csv",
        latex="<results>/tables/summary.tex",
    log:
        "<logs>/score.log",
    benchmark:
        "<benchmarks>/score.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("score"),
        runtime=cost.runtime("score"),
    params:
        spec=spec.score,
        code=code("score"),
        results=subpath(input.selection, ancestor=2),
    message:
        "Score all evaluations"
    shell:
        "python -m tttnn score --spec {params.spec:q}"
        " --evaluation {params.results:q}/evaluation"
        " --selection {input.selection:q}"
        " --manifests {input.manifests:q}"
        " --recalls {input.recalls:q}"
        " --scores {output.scores:q}"
        " --clean {output.clean:q}"
        " --differences {output.differences:q}"
        " --costs {output.costs:q}"
        " --tasks {output.tasks:q}"
        " --corpus {output.corpus:q}"
        " --recall {output.recall:q}"
        " --latex {output.latex:q}"
        " > {log:q} 2>&1"


rule draw_figure:
    input:
        scores="<results>/tables/scores.csv",
        differences="<results>/tables/differences.csv",
        costs=report(
            "<results>/tables/costs.csv",
            caption="../workflow/report/costs.rst",
            category="Tables",
            labels={"table": "costs"},
        ),
        tasks="<results>/tables/tasks.csv",
        recall="<results>/tables/recall.csv",
    output:
        svg=report(
            "<figures>/{figure}.svg",
            caption="../workflow/report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        pdf="<figures>/{figure}.pdf",
    log:
        "<logs>/draw_figure/{figure}.log",
    benchmark:
        "<benchmarks>/draw_figure/{figure}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("draw_figure"),
        runtime=cost.runtime("draw_figure"),
    params:
        spec=spec.draw_figure,
        code=code("draw_figure"),
        tables=subpath(input.scores, parent=True),
    message:
        "Draw {wildcards.figure}"
    shell:
        "python -m tttnn draw_figure --name {wildcards.figure:q}"
        " --tables {params.tables:q}"
        " --svg {output.svg:q}"
        " --pdf {output.pdf:q}"
        " > {log:q} 2>&1"
