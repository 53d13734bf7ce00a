"""Language models and embedders: fetched, trained, loaded."""
