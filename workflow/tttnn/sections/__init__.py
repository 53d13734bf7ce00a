"""Sections of the configuration, a module each: a stage imports only what it reads."""
