"""What jobs need: the ground that every room's formulas stand on, its `needs`.

Formulas are for the rules' resources and `tttnn plan`. No stage imports them, so an edit of one
reruns nothing.
"""
