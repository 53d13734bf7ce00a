"""Engines of test-time training: ways to do what the reference loop does, in less time.

An engine has `adapt(model, tokenizer, queries, recipe, window)`, as the reference loop
(`tttnn.methods.ttt.engine`), and `fits(model, recipe, device)`, which says why it cannot serve a
recipe, or None where it can.
"""
