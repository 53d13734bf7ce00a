"""A small corpus in the Pile's layout, written by a program: for the demo and for tests."""
