"""A module for the settings of each kind of model."""
