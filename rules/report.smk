"""Report: evaluation rows → tables/*.csv and .tex → figures → one page of both."""

# the embeddings of the queries that were used, for the list of what they were made with
VECTORS = dict.fromkeys(
    f"<results>/queries/{queries}/embeddings/{EMBEDDERS[found]}.safetensors"
    for queries, found in [
        *(("test", index) for index in cfg.built_indexes),
        *((QUERIES[method], CANDIDATES[method]) for _, method, _ in CELLS),
        *(("val", CANDIDATES[method]) for method in MIXTURES),
        *((HELD_OUT[method], CANDIDATES[method]) for _, method, _ in VARIANTS),
    ]
    if found in EMBEDDERS
) | dict.fromkeys(
    f"<results>/queries/{QUERIES[method]}/embeddings/{embedder}.safetensors"
    for method, embedder in EXPERT_VECTORS.items()
    if any(method == evaluated for _, evaluated, _ in CELLS)
)

# From here, not from the root: a project that is moved or copied has the same inputs.
PACKAGE = Path(os.path.relpath(BESIDE))
# of tables; of figures they are in the package
CAPTION_FILES = [
    str(file)
    for file in sorted((PACKAGE / "report").glob("*.rst"))
    if file.stem not in ("figure", "workflow")
]
# asked for where select.hours chose how many documents there are
HOURS = ["<results>/tables/hours.csv"] if afforded else []
CITATION = [str(file) for file in PACKAGE.parent.glob("CITATION.cff")]


rule score:
    input:
        evaluations=EVALUATIONS,
        validations=VALIDATIONS,
        selection="<results>/queries/test/selection.json",
        validation=["<results>/queries/val/selection.json"] if VALIDATIONS else [],
        manifests=collect("<results>/corpus/{shard}.json", shard=[*SHARDS, "test"]),
        recalls=collect("<results>/index/{index}/recall.csv", index=cfg.built_indexes),
        indexes=collect("<results>/index/{index}/made.json", index=cfg.built_indexes),
        rates=collect("<results>/index/{index}/rates.csv", index=cfg.built_indexes),
        vectors=list(VECTORS),
    output:
        "<results>/tables/efficiency.csv",
        "<results>/tables/alphas.csv",
        "<results>/tables/budget.csv",
        "<results>/tables/recall.csv",
        "<results>/tables/documents.parquet",
        "<results>/tables/summary.tex",
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
        comparisons=report(
            "<results>/tables/comparisons.csv",
            caption="../workflow/report/comparisons.rst",
            category="Tables",
            labels={"table": "comparisons"},
        ),
        duplicates=report(
            "<results>/tables/duplicates.csv",
            caption="../workflow/report/duplicates.rst",
            category="Tables",
            labels={"table": "duplicates"},
        ),
        costs=report(
            "<results>/tables/costs.csv",
            caption="../workflow/report/costs.rst",
            category="Tables",
            labels={"table": "costs"},
        ),
        quality_time=report(
            "<results>/tables/quality_time.csv",
            caption="../workflow/report/quality_time.rst",
            category="Tables",
            labels={"table": "quality_time"},
        ),
        index_costs=report(
            "<results>/tables/indexes.csv",
            caption="../workflow/report/indexes.rst",
            category="Tables",
            labels={"table": "indexes"},
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
        environment=report(
            "<results>/tables/environment.csv",
            caption="../workflow/report/environment.rst",
            category="Tables",
            labels={"table": "environment"},
        ),
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
        results=subpath(input.selection, ancestor=3),
        tables=subpath(output.scores, parent=True),
    message:
        "Score all evaluations"
    shell:
        "python -m tttnn score --spec {params.spec:q}"
        " --results {params.results:q}"
        " --selections {input.selection:q} {input.validation:q}"
        " --manifests {input.manifests:q}"
        " --recalls {input.recalls:q}"
        " --vectors {input.vectors:q}"
        " --tables {params.tables:q}"
        " > {log:q} 2>&1"


rule list_hours:
    input:
        selection="<results>/queries/test/selection.json",
    output:
        hours=report(
            "<results>/tables/hours.csv",
            caption="../workflow/report/hours.rst",
            category="Tables",
            labels={"table": "hours"},
        ),
    log:
        "<logs>/list_hours.log",
    benchmark:
        "<benchmarks>/list_hours.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("list_hours"),
        runtime=cost.runtime("list_hours"),
    params:
        spec=spec.list_hours,
        code=code("list_hours"),
    message:
        "List what hours leave out"
    shell:
        "python -m tttnn list_hours --spec {params.spec:q}"
        " --selection {input.selection:q}"
        " --table {output.hours:q}"
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
        others=[
            *rules.score.output,
            *rules.measure_distances.output,
            *POSITIONS,
            *EXPERT_TABLES,
        ],
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
        caption=picked(CAPTIONS, "figure"),
    message:
        "Draw {wildcards.figure}"
    shell:
        "python -m tttnn draw_figure --spec {params.spec:q}"
        " --tables {params.tables:q}"
        " --svg {output.svg:q}"
        " --pdf {output.pdf:q}"
        " > {log:q} 2>&1"


rule write_report:
    input:
        figures=[
            *collect("<figures>/{figure}.svg", figure=drawn(cfg)),
            *[file for file in SIDE_BY_SIDE if file.endswith(".svg")],
        ],
        documents="<results>/tables/documents.parquet",
        tables=[
            file
            for file in [
                *rules.score.output,
                *rules.measure_distances.output,
                *(["<results>/tables/tuning.csv"] if CHOICES else []),
                *HOURS,
                *POSITIONS,
                *EXPERT_TABLES,
                *SIDE_BY_SIDE,
                *FOLLOW_UPS,
            ]
            if file.endswith(".csv")
        ],
        captions=CAPTION_FILES,
        page=collect(f"{PACKAGE}/tttnn/report/page.{{kind}}", kind=["html", "css", "js"]),
        citation=CITATION,
    output:
        html="<results>/report.html",
    log:
        "<logs>/write_report.log",
    benchmark:
        "<benchmarks>/write_report.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("write_report"),
        runtime=cost.runtime("write_report"),
    params:
        spec=spec.write_report,
        code=code("write_report"),
        results=subpath(output.html, parent=True),
    message:
        "Write the report"
    shell:
        "python -m tttnn write_report --spec {params.spec:q}"
        " --results {params.results:q}"
        " --figures {input.figures:q}"
        " --tables {input.tables:q}"
        " --captions {input.captions:q}"
        " --page {input.page:q}"
        " --citation {input.citation:q}"
        " --output {output.html:q}"
        " > {log:q} 2>&1"
