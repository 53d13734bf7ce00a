"""What the published numbers are about; light enough for the Snakefile to import."""

MODELS = ("gpt2", "gpt2-large", "gpt-neo-1.3B")
FOLLOWED = ("llama-3.2-1b", "llama-3.2-3b", "phi-3-mini")
"""Models that the paper's follow-ups published numbers of, besides these."""

MAIN, SPLIT = "ttt-nn", "ttt-nn-split"
"""The methods: all of a document is query and test, or its first half and its second."""

FIGURES = (
    "figure_02",
    "figure_05",
    "figure_06_bits_per_byte",
    "figure_06_byte_perplexity",
    "figure_06_word_perplexity",
    "figure_07_bars",
    "figure_07_curves",
    "figure_08_bars",
    "figure_08_curves",
    "figure_09",
    "figure_10",
    "figure_11",
    "figure_12",
    "figure_14",
)
"""Those of `tttnn.figures.paper`, which takes long to import: the paper's numbers."""
