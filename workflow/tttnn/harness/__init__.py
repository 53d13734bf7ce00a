"""The evaluation harness: a model that adapts, and the Pile's tasks over a run's own documents."""
