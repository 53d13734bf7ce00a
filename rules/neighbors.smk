"""Neighbours: queries/{queries} + a shard's embeddings, or index → found/{queries}/{index}/{shard}.parquet
→ all shards' candidates/{queries}/{candidates}/{task}.parquet
→ with texts neighbors/{queries}/{candidates}/{task}.parquet; `candidates` is an index, `random`, a selection
from another's candidates, or what searches.smk makes."""

# the candidates whose texts the run needs
GATHERED = dict.fromkeys(
    f"<results>/candidates/{folder}/{task}.parquet"
    for folder, task in [
        *((drawn, task) for _, method, task in CELLS for drawn in NEIGHBORS[method]),
        *((f"val/{CANDIDATES[method]}", task) for _, method, task in CELLS if method in MIXTURES),
        *((HELD_OUT_NEIGHBORS[n], task) for _, n, task in VARIANTS if HELD_OUT_NEIGHBORS[n]),
    ]
)


rule search_shard:
    input:
        # of an exact index there is no file
        index=collect(
            "<results>/index/{learning}/shards/{{shard}}.faiss",
            learning=picked(LEARNING, "index"),
        ),
        embeddings=collect(
            "<results>/embeddings/{embedder}/{{shard}}.json",
            embedder=picked(EMBEDDERS, "index"),
        ),
        vectors=collect(
            "<results>/queries/{{queries}}/embeddings/{embedder}.safetensors",
            embedder=picked(EMBEDDERS, "index"),
        ),
    output:
        # kept, small as it is: a shard that is added later is searched alone
        found="<results>/found/{queries}/{index}/{shard}.parquet",
    log:
        "<logs>/search_shard/{queries}/{index}/{shard}.log",
    benchmark:
        "<benchmarks>/search_shard/{queries}/{index}/{shard}.tsv"
    priority: 10
    conda:
        ENVIRONMENT
    threads: cost.threads("search_shard", most=16)
    resources:
        mem_mb=cost.mem_mb("search_shard"),
        runtime=cost.runtime("search_shard"),
        gpu=picked(SEARCH_GPUS, "index"),
    params:
        spec=spec.search_shard,
        code=code("search_shard"),
    message:
        "Search shard {wildcards.shard} of index {wildcards.index} for all {wildcards.queries} queries"
    shell:
        "python -m tttnn search_shard --spec {params.spec:q}"
        " --index {input.index:q}"
        " --embeddings {input.embeddings:q}"
        " --vectors {input.vectors:q}"
        " --output {output.found:q}"
        " --memory-mb {resources.mem_mb}"
        " --gpus {resources.gpu}"
        " > {log:q} 2>&1"


rule merge_candidates:
    input:
        index=collect(
            "<results>/index/{learning}/merged",
            learning=picked(LEARNING, "index"),
        ),
        found=collect("<results>/found/{{queries}}/{{index}}/{shard}.parquet", shard=SHARDS),
        queries=collect("<results>/queries/{{queries}}/{task}.parquet", task=TASKS),
    output:
        candidates=collect("<results>/candidates/{{queries}}/{{index}}/{task}.parquet", task=TASKS),
    log:
        "<logs>/merge_candidates/{queries}/{index}.log",
    benchmark:
        "<benchmarks>/merge_candidates/{queries}/{index}.tsv"
    priority: 10
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("merge_candidates"),
        runtime=cost.runtime("merge_candidates"),
    params:
        spec=spec.merge_candidates,
        code=code("merge_candidates"),
    message:
        "Merge what all shards of index {wildcards.index} have for the {wildcards.queries} queries"
    shell:
        "python -m tttnn merge_candidates --spec {params.spec:q}"
        " --found {input.found:q}"
        " --index {input.index:q}"
        " --queries {input.queries:q}"
        " --outputs {output.candidates:q}"
        " --memory-mb {resources.mem_mb}"
        " > {log:q} 2>&1"


rule draw_random:
    input:
        queries=collect("<results>/queries/{{queries}}/{task}.parquet", task=TASKS),
        vectors=collect(
            "<results>/queries/{{queries}}/embeddings/{embedder}.safetensors",
            embedder=cfg.embedders[0],
        ),
        embeddings=collect(
            "<results>/embeddings/{embedder}/{shard}.json",
            embedder=cfg.embedders[0],
            shard=SHARDS,
        ),
    output:
        candidates=collect("<results>/candidates/{{queries}}/random/{task}.parquet", task=TASKS),
    log:
        "<logs>/draw_random/{queries}.log",
    benchmark:
        "<benchmarks>/draw_random/{queries}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("draw_random"),
        runtime=cost.runtime("draw_random"),
    params:
        spec=spec.draw_random,
        code=code("draw_random"),
    message:
        "Draw random neighbours of the {wildcards.queries} queries: the control"
    shell:
        "python -m tttnn draw_random --spec {params.spec:q}"
        " --queries {input.queries:q}"
        " --vectors {input.vectors:q}"
        " --embeddings {input.embeddings:q}"
        " --outputs {output.candidates:q}"
        " --memory-mb {resources.mem_mb}"
        " > {log:q} 2>&1"


rule measure_recall:
    input:
        index=collect(
            "<results>/index/{learning}/merged",
            learning=picked(LEARNING, "index"),
        ),
        candidates=collect("<results>/candidates/test/{{index}}/{task}.parquet", task=TASKS),
        queries=collect("<results>/queries/test/{task}.parquet", task=TASKS),
        vectors=collect(
            "<results>/queries/test/embeddings/{embedder}.safetensors",
            embedder=picked(EMBEDDERS, "index"),
        ),
        embeddings=collect(
            "<results>/embeddings/{embedder}/{shard}.json",
            embedder=picked(EMBEDDERS, "index"),
            shard=SHARDS,
        ),
    output:
        recall="<results>/index/{index}/recall.csv",
        made="<results>/index/{index}/made.json",
        # seconds: another file, for the rest is the same on every machine
        rates="<results>/index/{index}/rates.csv",
    log:
        "<logs>/measure_recall/{index}.log",
    benchmark:
        "<benchmarks>/measure_recall/{index}.tsv"
    conda:
        ENVIRONMENT
    threads: cost.threads("measure_recall", most=16)
    resources:
        mem_mb=cost.mem_mb("measure_recall"),
        runtime=cost.runtime("measure_recall"),
    params:
        spec=spec.measure_recall,
        code=code("measure_recall"),
    message:
        "Measure the recall of index {wildcards.index}"
    shell:
        "python -m tttnn measure_recall --spec {params.spec:q}"
        " --index {input.index:q}"
        " --name {wildcards.index:q}"
        " --candidates {input.candidates:q}"
        " --queries {input.queries:q}"
        " --vectors {input.vectors:q}"
        " --embeddings {input.embeddings:q}"
        " --output {output.recall:q}"
        " --made {output.made:q}"
        " --rates {output.rates:q}"
        " --memory-mb {resources.mem_mb}"
        " > {log:q} 2>&1"


rule measure_distances:
    input:
        candidates=collect(
            "<results>/candidates/test/{name}/{task}.parquet", name=MEASURED, task=TASKS
        ),
    output:
        distances="<results>/tables/distances.csv",
        pairs="<results>/tables/pairs.parquet",
    log:
        "<logs>/measure_distances.log",
    benchmark:
        "<benchmarks>/measure_distances.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("measure_distances"),
        runtime=cost.runtime("measure_distances"),
    params:
        spec=spec.measure_distances,
        code=code("measure_distances"),
    message:
        "Describe how far neighbours are"
    shell:
        "python -m tttnn measure_distances --spec {params.spec:q}"
        " --candidates {input.candidates:q}"
        " --distances {output.distances:q}"
        " --pairs {output.pairs:q}"
        " --memory-mb {resources.mem_mb}"
        " > {log:q} 2>&1"


rule choose_neighbors:
    input:
        candidates=collect(
            "<results>/candidates/{{queries}}/{index}/{task}.parquet",
            index=picked(SELECTIONS, "selection"),
            task=TASKS,
        ),
        queries=collect("<results>/queries/{{queries}}/{task}.parquet", task=TASKS),
        vectors=collect(
            "<results>/queries/{{queries}}/embeddings/{embedder}.safetensors",
            embedder=picked(EMBEDDERS, "selection"),
        ),
        embeddings=collect(
            "<results>/embeddings/{embedder}/{shard}.json",
            embedder=picked(EMBEDDERS, "selection"),
            shard=SHARDS,
        ),
    output:
        candidates=collect(
            "<results>/candidates/{{queries}}/{{selection}}/{task}.parquet", task=TASKS
        ),
    log:
        "<logs>/choose_neighbors/{queries}/{selection}.log",
    benchmark:
        "<benchmarks>/choose_neighbors/{queries}/{selection}.tsv"
    wildcard_constraints:
        selection=cfg.selections_by_windows(chosen=False),
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("choose_neighbors"),
        runtime=cost.runtime("choose_neighbors"),
    params:
        spec=spec.choose_neighbors,
        code=code("choose_neighbors"),
    message:
        "Choose neighbours of the {wildcards.queries} queries: {wildcards.selection}"
    shell:
        "python -m tttnn choose_neighbors --spec {params.spec:q}"
        " --candidates {input.candidates:q}"
        " --queries {input.queries:q}"
        " --vectors {input.vectors:q}"
        " --embeddings {input.embeddings:q}"
        " --outputs {output.candidates:q}"
        " --memory-mb {resources.mem_mb}"
        " > {log:q} 2>&1"


rule gather_neighbors:
    input:
        candidates="<results>/candidates/{queries}/{candidates}/{task}.parquet",
        queries="<results>/queries/{queries}/{task}.parquet",
        passages="<results>/passages/manifest.json",
    output:
        neighbors="<results>/neighbors/{queries}/{candidates}/{task}.parquet",
    log:
        "<logs>/gather_neighbors/{queries}/{candidates}/{task}.log",
    benchmark:
        "<benchmarks>/gather_neighbors/{queries}/{candidates}/{task}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("gather_neighbors"),
        runtime=cost.runtime("gather_neighbors"),
    params:
        spec=spec.gather_neighbors,
        code=code("gather_neighbors"),
        # no input: copies are made for all that is gathered, and more of them must not gather again
        # what is there. To be marked `ancient` does not do: Snakemake 9.27 then leaves out what
        # else has a reason to run behind it.
        results=subpath(input.passages, ancestor=2),
    message:
        "Fetch the texts of {wildcards.task}'s neighbours ({wildcards.candidates})"
    shell:
        "python -m tttnn gather_neighbors --spec {params.spec:q}"
        " --candidates {input.candidates:q}"
        " --queries {input.queries:q}"
        " --passages {input.passages:q}"
        " --texts {params.results:q}/texts/manifest.json"
        " --output {output.neighbors:q}"
        " > {log:q} 2>&1"


# Asked for by its last file, results/RUN/texts/manifest.json, before neighbours are gathered: a
# large corpus is then read once for all of them.
rule want_texts:
    input:
        candidates=list(GATHERED),
    output:
        wanted=temp(collect("<results>/texts/wanted/{shard}.parquet", shard=SHARDS)),
    log:
        "<logs>/want_texts.log",
    benchmark:
        "<benchmarks>/want_texts.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("want_texts"),
        runtime=cost.runtime("want_texts"),
    params:
        spec=spec.want_texts,
        code=code("want_texts"),
    message:
        "List the passages that are anyone's neighbours"
    shell:
        "python -m tttnn want_texts --spec {params.spec:q}"
        " --candidates {input.candidates:q}"
        " --outputs {output.wanted:q}"
        " > {log:q} 2>&1"


rule collect_texts:
    input:
        wanted="<results>/texts/wanted/{shard}.parquet",
        passages=collect("<results>/passages/{{shard}}/{chunk}.parquet", chunk=CHUNKS),
    output:
        texts="<results>/texts/{shard}.parquet",
    log:
        "<logs>/collect_texts/{shard}.log",
    benchmark:
        "<benchmarks>/collect_texts/{shard}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("collect_texts"),
        runtime=cost.runtime("collect_texts"),
    params:
        code=code("collect_texts"),
    message:
        "Copy the passages of shard {wildcards.shard} that are anyone's neighbours"
    shell:
        "python -m tttnn collect_texts"
        " --wanted {input.wanted:q}"
        " --passages {input.passages:q}"
        " --output {output.texts:q}"
        " > {log:q} 2>&1"


rule list_texts:
    input:
        texts=collect("<results>/texts/{shard}.parquet", shard=SHARDS),
    output:
        manifest="<results>/texts/manifest.json",
    log:
        "<logs>/list_texts.log",
    benchmark:
        "<benchmarks>/list_texts.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=cost.mem_mb("list_texts"),
        runtime=cost.runtime("list_texts"),
    params:
        code=code("list_passages"),
    message:
        "List the copies of passages"
    shell:
        "python -m tttnn list_passages"
        " --passages {input.texts:q}"
        " --manifest {output.manifest:q}"
        " > {log:q} 2>&1"
