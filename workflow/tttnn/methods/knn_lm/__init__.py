"""kNN-LM over a document's neighbours (Khandelwal et al. 2020)."""
