"""A look belongs to a name; drawings can stand in one page; axes say what they hold."""

import itertools
import math
import re

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from tttnn.figures import style

DEMO = ["small", "large", "neo"]
PAPER = ["gpt2", "gpt2-large", "gpt-neo-1.3B"]
PRETRAINED = ["smollm2-135m"]

# Machado, Oliveira & Fernandes, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency" (2009), severity 1.0, on linear RGB
VISION = {
    "usual": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
XYZ = np.array(  # of linear sRGB, relative to the white point D65
    [
        [0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883],
    ]
)


def lab(colour, vision):
    """CIELAB of a colour as somebody sees it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = XYZ @ np.clip(np.array(VISION[vision]) @ linear, 0, 1)
    f = np.where(seen > 0.008856, np.cbrt(seen), 7.787 * seen + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def colours(names):
    return {name: look.colour for name, look in style.looks(names).items()}


def test_a_model_looks_the_same_wherever_it_is_in_whichever_run():
    first = style.looks(["gpt2", "small", "mine"])
    second = style.looks(["mine", "neo", "gpt-neo-1.3B", "small"])
    assert first["small"] == second["small"] and first["mine"] == second["mine"]
    assert list(second) == ["mine", "neo", "gpt-neo-1.3B", "small"]
    for order in itertools.permutations(["a", "b", "gpt2", "d"]):
        assert style.looks(order) == style.looks(["a", "b", "d", "gpt2"])


@pytest.mark.parametrize("vision", VISION)
def test_usual_models_are_apart_for_all_kinds_of_colour_vision(vision):
    seen = [lab(colour, vision) for colour in colours(DEMO + PAPER + PRETRAINED).values()]
    assert min(math.dist(a, b) for a, b in itertools.combinations(seen, 2)) > 15


def test_usual_models_keep_their_places_beside_one_another():
    everything = DEMO + PAPER + PRETRAINED
    together = style.looks(everything)
    assert all(together[name] == style.looks([name])[name] for name in everything)


def test_no_two_models_of_a_run_share_a_look_however_many():
    names = [f"model-{k}" for k in range(30)] + DEMO
    looks = style.looks(names)
    assert len({look.colour for look in looks.values()}) == 33
    first = style.looks(names[:12])
    assert len({look.marker for look in first.values()}) == 12


def test_a_stranger_makes_room_for_a_usual_name():
    # of many strangers one has the place of `small` by itself
    alone = style.looks(["small"])["small"]
    stranger = next(n for n in map(str, range(99)) if style.looks([n])[n] == alone)
    both = style.looks([stranger, "small"])
    assert both["small"] == alone and both[stranger].colour != alone.colour


def saved(folder, name, height):
    figure = Figure()
    figure.subplots().plot([0, 1], [0, height], "o")
    style.save(figure, folder / f"{name}.svg", folder / f"{name}.pdf")
    return (folder / f"{name}.svg").read_text()


def test_two_drawings_in_one_page_share_no_id_and_no_style(tmp_path):
    # of the same name in two runs, or of two names in one: the drawing counts
    texts = [saved(tmp_path, "one", height) for height in (1, 2)]
    assert saved(tmp_path, "other", 1) == texts[0]
    ids = [re.findall(r'\bid="([^"]+)"', text) for text in texts]
    assert ids[0] and not set(ids[0]) & set(ids[1])
    for own, text in zip(ids, texts, strict=True):
        assert len(own) == len(set(own))
        used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)
        assert used and {a or b for a, b in used} <= set(own)
        (rule,) = re.findall(r"<style[^>]*>(.*?)</style>", text, re.DOTALL)
        assert rule.startswith(f"#{own[0]} ") and own[0].endswith("figure_1")


def test_places_of_panels_do_not_hold_the_last_bits_of_the_layout_s_solver(tmp_path):
    # those depend on where its variables lie in memory, and end in ids and in rounded numbers
    figure = style.new_figure(6, 4)
    for axes in figure.subplots(3, 4).flat:
        axes.set_ylabel("bits per byte")
    before = np.array([axes.get_position().extents for axes in figure.axes])
    style.save(figure, tmp_path / "one.svg", tmp_path / "one.pdf")
    after = np.array([axes.get_position().extents for axes in figure.axes])
    assert not np.allclose(before, after, atol=0.01)
    np.testing.assert_allclose(after, np.round(after, 6), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("ends", "ticks"),
    [((0.018, 0.15), ["0.02", "0.05", "0.1"]), ((1, 20000), ["1", "10", "100", "1,000", "10,000"])],
)
def test_ticks_of_a_logarithmic_axis_are_plain_numbers(ends, ticks):
    axes = Figure().subplots()
    axes.set_xscale("log")
    axes.set_xlim(*ends)
    style.plain_log_ticks(axes.xaxis)
    formatter = axes.xaxis.get_major_formatter()
    low, high = ends
    seen = [tick for tick in axes.xaxis.get_majorticklocs() if low <= tick <= high]
    assert [formatter(tick, 0) for tick in seen] == ticks


def test_a_narrow_range_does_not_fill_a_panel():
    axes = Figure().subplots()
    axes.plot([0, 1], [0.5820, 0.5845])
    style.keep_span(axes, 0.1)
    low, high = axes.get_ylim()
    assert low < 0.582 < 0.5845 < high
    assert high - low == pytest.approx(0.1 * 0.5845, rel=0.01)


def test_a_long_legend_has_rows_within_the_figure():
    figure = style.new_figure(style.COLUMN, 2)
    figure.subplots()
    handles = [style.line_handle(f"quite a long name, number {k}") for k in range(4)]
    style.legend_above(figure, handles)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert legend.get_window_extent().width <= figure.bbox.width
    assert figure.get_size_inches()[1] > 2
