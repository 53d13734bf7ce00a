"""Figures from tables: `draw.draw_figure` is the stage, `style` what all figures share."""
