"""A picture of an ablation: the Score of each row, every seed a dot.

Published figures are left out on purpose. They come from another selection of epochs, and often from other data; beside
dots on one axis they would be read as a comparison. The table has them, in a column of their own.
"""

import textwrap

SEED, MEAN = "#0072B2", "#D55E00"


def plot_ablation(table):
    """Return a figure with a panel for each rule that selected epochs, a line for each row.

    Arguments
    ---------
    table : dict
        As of ``ablation_table``, with at least one finished run.
    """
    from matplotlib.figure import Figure

    rules = table["selection"]
    rows = table["rows"]
    figure = Figure(figsize=(2.2 + 4.2 * len(rules), 1.7 + 0.38 * len(rows)), layout="constrained")
    panels = figure.subplots(1, len(rules), sharex=True, sharey=True, squeeze=False)[0]
    for axes, rule in zip(panels, rules, strict=True):
        for index, row in enumerate(rows):
            score = row["measured"].get(rule, {}).get("Score")
            if score is None:
                continue
            values = list(score["values"].values())
            axes.plot([score["mean"]] * 2, [index - 0.32, index + 0.32], color=MEAN, lw=2.5, zorder=1)
            axes.plot(values, [index] * len(values), "o", color=SEED, alpha=0.7, ms=5, mew=0, zorder=2)
        axes.axvline(50, color="0.7", lw=1, ls="--", zorder=0)
        axes.set_title(textwrap.fill(f"{rule}: {rules[rule]}", 56), fontsize=9)
        axes.set_xlabel("4-class Score on the test cycles, percent")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(rows)), [row["name"] for row in rows])
    panels[0].invert_yaxis()
    figure.suptitle("dot: a seed; bar: mean over seeds; dashed: always answering normal", fontsize=9, color="0.3")
    return figure
