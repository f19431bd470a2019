"""Pictures of an ablation: the Score of each row, and over each factor that rows vary alone; every seed a dot.

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


def plot_factors(table):
    """Return a figure of the Score over each factor that rows vary alone, with a row of panels for each rule.

    Bars are one standard deviation over seeds to each side; a filled marker is the reference.

    Arguments
    ---------
    table : dict
        As of ``ablation_table``, with at least one finished run and one factor.
    """
    from matplotlib.figure import Figure

    rules, factors = table["selection"], table["factors"]
    measured = {row["name"]: row["measured"] for row in table["rows"]}
    figure = Figure(figsize=(1.0 + 1.7 * len(factors), 1.4 + 2.0 * len(rules)), layout="constrained")
    panels = figure.subplots(len(rules), len(factors), sharex="col", sharey=True, squeeze=False)
    for line, rule in zip(panels, rules, strict=True):
        for axes, points in zip(line, factors.values(), strict=True):
            _draw_factor(axes, points, {name: by_rule.get(rule, {}).get("Score") for name, by_rule in measured.items()})
            reference = next(at for at, point in enumerate(points) if point["row"] == table["reference"])
            score = measured[table["reference"]].get(rule, {}).get("Score")
            if score is not None:
                axes.plot(reference, score["mean"], "o", color=MEAN, ms=7, zorder=3)
        line[0].set_ylabel(f"Score on test cycles, %\n(epochs by {rule})")
    for axes, factor in zip(panels[-1], factors, strict=True):
        axes.set_xlabel(f"{factor}\n(map positions)" if factor.startswith("Gaussian") else factor)
    figure.suptitle(
        "dot: a seed; open circle: mean ± sd over seeds; filled: the reference row", fontsize=9, color="0.3"
    )
    return figure


def _draw_factor(axes, points, scores):
    """Draw the Scores of the rows of a factor, evenly spaced, since steps of a factor are chosen and not measured."""
    means = [(at, scores[point["row"]]) for at, point in enumerate(points) if scores[point["row"]] is not None]
    numbers = all(isinstance(point["value"], int | float) for point in points)
    for at, score in means:
        values = list(score["values"].values())
        axes.plot([at + 0.2] * len(values), values, "o", color=SEED, alpha=0.7, ms=4, mew=0)
    axes.errorbar(
        [at for at, _ in means],
        [score["mean"] for _, score in means],
        [score["sd"] or 0 for _, score in means],
        color=MEAN,
        ls="-" if numbers else "none",
        marker="o",
        mfc="white",
        ms=6,
        lw=1.2,
        capsize=2,
    )
    labels = [f"{point['value']:g}" if numbers else str(point["value"]) for point in points]
    axes.set_xticks(range(len(points)), labels, rotation=0 if numbers else 90)
    axes.set_xlim(-0.5, len(points) - 0.5)
    axes.spines[["top", "right"]].set_visible(False)
