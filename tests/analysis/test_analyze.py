"""An analysis of real runs: what it measures, writes and shows."""

import argparse
import csv
import html as html_escape
import http.server
import json
import re
import shutil
import subprocess
import threading
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.cluster import KMeans

from recbole_darec.analysis import command, figures, study
from recbole_darec.analysis.groups import ITEM_GROUPS
from recbole_darec.analysis.report import compared, write_report
from recbole_darec.analysis.representations import (
    Representations,
    representations,
    with_texts,
)
from recbole_darec.analysis.sections import SECTIONS
from recbole_darec.analysis.study import analyze
from recbole_darec.keys import ConfigError
from recbole_darec.load import load


@pytest.fixture(scope="module")
def darec(finished):
    return analyze(finished())


@pytest.fixture(scope="module")
def rlmrec(finished):
    return analyze(finished("RLMRecCon"))


def test_representations_are_those_of_the_model(finished):
    run = load(finished())
    blocks = representations(run.model)
    model = run.model
    with torch.no_grad():
        output = model.backbone()
        alignment = model.alignment
        expected = {
            "C raw": output.items,
            "C specific": alignment.collaborative_specific(output.items),
            "C shared": alignment.collaborative_shared(output.items),
            "L specific": alignment.semantic_specific(alignment.items_side.table),
            "L shared": alignment.semantic_shared(alignment.items_side.table),
            "L raw": alignment.items_side.table,
        }
    assert set(blocks.names) == set(expected)
    for name, rows in expected.items():
        np.testing.assert_allclose(blocks.items[name], rows, atol=1e-6)
    assert blocks.disentangled
    assert blocks.joint("C raw").shape == (150, 16)
    assert repr(blocks) == (
        "<Representations C raw, C specific, C shared, L specific, L shared, L raw: "
        "60 users, 90 items>"
    )


@pytest.mark.parametrize(
    ("model", "names"),
    [
        ("RLMRecCon", ("C raw", "L projected", "L raw")),
        ("BPR", ("C raw",)),
        ("Backbone", ("C raw",)),
    ],
)
def test_other_models_have_fewer_blocks(finished, model, names):
    blocks = representations(load(finished(model)).model)
    assert blocks.names == names
    assert not blocks.disentangled


def test_tables_of_a_disentangled_run(darec):
    assert set(darec.tables) == {
        "run", "results", "shape", "pairs", "interaction", "probes", "information", "losses",
        "modality", "information_gap", "relevance", "structure", "centers", "center_cosines",
        "agreement", "groups",
    }  # fmt: skip
    assert len(darec.tables["pairs"]) == 2 * 15
    assert darec.tables["pairs"]["hsic_p"].between(0, 1).all()
    assert darec.tables["pairs"]["cka"].between(0, 1).all()
    assert list(darec.tables["losses"].columns) == [
        "epoch",
        "bpr",
        "reg",
        "or",
        "uni",
        "glo",
        "loc",
    ]
    centers = darec.tables["centers"]
    assert centers["collaborative_size"].sum() == centers["semantic_size"].sum() == 150
    cosines = darec.tables["center_cosines"]["cosine"].to_numpy().reshape(4, 4)
    np.testing.assert_array_equal(cosines, darec.centers.similarity())
    np.testing.assert_array_equal(np.diag(cosines), centers["cosine"])
    sizes = centers[["collaborative_size", "semantic_size"]].to_numpy()
    chance = sum(first / 150 * second / 150 for first, second in sizes)
    assert darec.tables["agreement"]["by_chance"][0] == pytest.approx(chance)
    assert darec.tables["agreement"]["agreement"][0] == darec.centers.agreement
    assert darec.tables["run"]["seed"][0] == darec.run.metrics["seed"]
    assert darec.tables["run"]["best_epoch"][0] == darec.run.metrics["best_epoch"]
    groups = darec.tables["groups"]
    results = darec.tables["results"].set_index("metric")["test"]
    assert groups["ndcg@10"].sum() == pytest.approx(results["ndcg@10"], abs=1e-4)
    assert groups["test_share"].sum() == pytest.approx(1)


def test_a_plain_model_is_analysed_as_far_as_it_goes(finished):
    analysis = analyze(finished("BPR"))
    assert not {"pairs", "relevance"} & set(analysis.tables)
    assert set(analysis.tables) >= {"results", "shape", "information", "losses"}
    with pytest.raises(ConfigError, match="EASE does not score by inner products"):
        analyze(finished("EASE"))


@pytest.mark.parametrize(
    ("weight", "bias", "verdict"),
    [
        (1e-4, 1.0, "a cone"),
        (0.0, 1.0, "a point: all rows are equal"),
        (0.0, 0.0, "a point: all rows are equal"),
    ],
)
def test_collapse_is_found_said_and_drawn(finished, tmp_path, weight, bias, verdict):
    """A run whose collaborative shared encoder maps everything to one direction or point."""
    run = load(finished())
    layers = [m for m in run.model.alignment.collaborative_shared.modules() if hasattr(m, "weight")]
    with torch.no_grad():
        layers[-1].weight.mul_(weight)
        layers[-1].bias.fill_(bias)
    analysis = analyze(run)
    for kind in ("users", "items"):
        said = f"C shared of {kind} has collapsed to {verdict}"
        assert any(finding.startswith(said) for finding in analysis.findings)
    assert "nan" not in " ".join(analysis.findings)
    pairs = analysis.tables["pairs"]
    with_it = (pairs["first"] == "C shared") | (pairs["second"] == "C shared")
    undefined = with_it if weight == 0 else with_it & False
    for column in ("cka", "hsic", "hsic_p"):
        assert pairs[column].isna().tolist() == undefined.tolist()
    assert len(analysis.tables["centers"]) == (1 if weight == 0 else 4)
    assert write_report(tmp_path, analysis).html.is_file()


def test_rows_of_zeros_have_a_place_among_the_others():
    """A dead ReLU leaves some rows 0; those have no cosine."""
    rows = np.random.default_rng(0).normal(size=(8, 4))
    rows[[1, 4, 6]] = 0
    order = figures._along_the_main_axis(rows)
    assert sorted(order) == list(range(8))
    places = np.sort(np.flatnonzero(np.isin(order, [1, 4, 6])))
    assert np.ptp(places) == 2


def test_repr_holds_the_findings(darec):
    assert repr(darec).startswith("<Analysis of DaRec on LightGCN, small; tables: run, results, ")
    assert "information gap" in repr(darec)


WHEN = ("before", "after")


def plain_correlation(blocks, first, second):
    """Correlation of the cosines of all pairs of rows (150 are fewer than are sampled)."""
    found = []
    for name in (first, second):
        rows = blocks.joint(name)
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        found.append([rows[i] @ rows[j] for i in range(len(rows)) for j in range(i)])
    return np.corrcoef(*found)[0, 1]


@pytest.mark.parametrize(
    ("anchor", "semantic"), [("raw", ["L shared", "L raw"]), ("none", ["L shared"])]
)
def test_structure_is_that_which_the_anchor_compares(finished, anchor, semantic):
    """The default's global term never sees the semantic shared part."""
    analysis = analyze(finished(anchor=anchor))
    table = analysis.tables["structure"].set_index(["semantic", "when"])["correlation"]
    for name in semantic:
        for when, blocks in (("before", analysis.before), ("after", analysis.after)):
            expected = plain_correlation(blocks, "C shared", name)
            assert table[name, f"{when} training"] == pytest.approx(expected, abs=1e-9)
    assert len(table) == 2 * len(semantic)
    said = [text for text in analysis.findings if "which this run's global term compares" in text]
    assert len(said) == len(semantic) - 1
    titles = [axis.get_title() for axis in figures.similarity(analysis).axes]
    drawn = {"raw": ["L raw, before and after"], "none": [f"L shared, {t} training" for t in WHEN]}
    assert [title for title in titles if title.startswith("L")] == drawn[anchor]
    assert [t for t in titles if t.startswith("C")] == [f"C shared, {t} training" for t in WHEN]


@pytest.mark.parametrize(("anchor", "clustered"), [("raw", "L raw"), ("none", "L shared")])
def test_centers_are_found_where_the_anchor_finds_them(finished, anchor, clustered):
    analysis = analyze(finished(anchor=anchor))
    blocks, shared = analysis.after, analysis.after.joint("L shared")
    labels = KMeans(4, n_init=4, random_state=0).fit_predict(blocks.joint(clustered))
    means = [shared[labels == label].mean(axis=0) for label in range(4)]
    ours = analysis.centers.semantic
    np.testing.assert_allclose(sorted(ours.tolist()), sorted(map(list, means)), atol=1e-9)


def test_what_texts_say_does_not_depend_on_the_transform(darec, finished):
    """They are the encoder's vectors; whitened, all directions would weigh alike."""
    other = analyze(finished(embedding_transform="center"))
    tables = [found.tables["information"].set_index("source") for found in (darec, other)]
    rows = ["interactions", "text", "interactions + text"]
    pd.testing.assert_frame_equal(*(table.loc[rows] for table in tables))
    pd.testing.assert_frame_equal(*(found.tables["information_gap"] for found in (darec, other)))
    side = darec.run.dataset.side_embeddings("item_id")
    texts = with_texts(darec.after, darec.run.dataset)
    np.testing.assert_array_equal(texts.items["L raw"], side.table)
    assert texts.names == darec.after.names


def test_same_seed_same_numbers(darec, finished):
    again = analyze(finished())
    for name, table in darec.tables.items():
        pd.testing.assert_frame_equal(table, again.tables[name])


@pytest.fixture(scope="module")
def written(darec, tmp_path_factory):
    return write_report(tmp_path_factory.mktemp("report") / "deep", darec)


def test_every_number_is_in_json_and_csv(darec, written):
    content = json.loads(written.json.read_text())["runs"][0]
    assert content["findings"] == list(darec.findings)
    assert {path.stem for path in written.tables} == set(darec.tables) == set(content["tables"])
    for path in written.tables:
        table = darec.tables[path.stem]
        rows = list(csv.DictReader(path.open()))
        assert len(rows) == len(content["tables"][path.stem]) == len(table)
        for expected, as_json, as_csv in zip(
            table.to_dict("records"), content["tables"][path.stem], rows, strict=True
        ):
            assert set(expected) == set(as_json) == set(as_csv)
            for column, value in expected.items():
                if isinstance(value, str):
                    assert as_json[column] == as_csv[column] == value
                elif pd.isna(value):
                    assert (as_json[column], as_csv[column]) == (None, "")
                else:
                    assert as_json[column] == pytest.approx(value, rel=1e-12, abs=1e-15)
                    assert float(as_csv[column]) == value


def test_numbers_of_the_findings_are_in_the_tables(darec):
    """A sentence has no number of its own."""
    numbers = {
        form.format(abs(value))
        for table in darec.tables.values()
        for value in table.select_dtypes("number").to_numpy().ravel()
        for form in ("{:.0%}", "{:.1f}", "{:.2f}", "{:.3f}", "{:.0f}")
    }
    said = re.findall(r"\d+(?:\.\d+)?%?", " ".join(darec.findings).replace("Theorem 1", ""))
    assert len(said) > 15
    assert set(said) <= numbers


def test_page_has_every_section_figure_and_caption(written):
    page = written.html.read_text()
    for section in SECTIONS:
        assert f'<section id="{section.key}">' in page
        assert html_escape.escape(section.title, quote=False).replace("'", "&#39;") in page
    drawn = [section for section in SECTIONS if section.draw]
    assert page.count("<svg") == page.count("<figcaption>") == len(drawn)
    assert all(section.caption for section in drawn)
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_page_refers_to_nothing_outside(written):
    page = written.html.read_text()
    for target in re.findall(r'(?:src|href|action)\s*=\s*"([^"]*)"', page):
        assert target.startswith(("#", "data:")), target
    for target in re.findall(r"url\(([^)]*)\)", page):
        assert target.startswith("#"), target
    assert "<script" not in page
    assert "@import" not in page


def test_what_others_wrote_is_escaped(darec, tmp_path):
    evil = "<script>alert(1)</script>"
    centers = darec.tables["centers"].assign(semantic_titles=evil)
    darec.tables["centers"], kept = centers, darec.tables["centers"]
    try:
        page = write_report(tmp_path, darec).html.read_text()
    finally:
        darec.tables["centers"] = kept
    assert evil not in page
    assert html_escape.escape(evil) in page


def test_two_runs_stand_side_by_side(darec, rlmrec, tmp_path):
    files = write_report(tmp_path, rlmrec, darec)
    page = files.html.read_text()
    assert "A: RLMRecCon on LightGCN" in page
    assert "B: DaRec on LightGCN" in page
    table = pd.read_csv(tmp_path / "tables" / "results.csv").set_index("metric")
    assert list(table.columns) == ["validation A", "validation B", "test A", "test B"]
    for mark, analysis in (("A", rlmrec), ("B", darec)):
        results = analysis.tables["results"].set_index("metric")["test"]
        assert table[f"test {mark}"].to_dict() == pytest.approx(results.to_dict())
    assert len(json.loads(files.json.read_text())["runs"]) == 2
    assert "centers" in {path.stem for path in files.tables}


def test_two_runs_keep_the_order_of_rows(darec, rlmrec):
    twice = compared([darec, darec])
    assert twice["structure"]["when"].tolist() == 2 * ["before training", "after training"]
    groups = [group for group in ITEM_GROUPS if group in set(darec.tables["groups"]["group"])]
    assert len(groups) > 1
    assert twice["groups"]["group"].tolist() == groups
    for name, table in darec.tables.items():
        if name not in ("run", "information_gap", "agreement"):
            keys = [column for column in table.columns if column in twice[name].columns]
            pd.testing.assert_frame_equal(twice[name][keys], table[keys])
    mixed = compared([rlmrec, darec])["information"]["source"].tolist()
    first, second = (list(a.tables["information"]["source"]) for a in (rlmrec, darec))
    assert mixed == first + [source for source in second if source not in first]


def test_too_few_rows_are_refused():
    rows = {"C raw": np.eye(5)}
    few = Representations(rows, rows, np.arange(1, 5), np.arange(1, 5))
    with pytest.raises(ConfigError, match="4 users have every representation; an analysis needs"):
        study._require_rows(few)


def test_a_folder_that_cannot_be_written(darec, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_report(tmp_path / "file" / "x", darec)


def analyze_command(*arguments):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.main(parser.parse_args([str(argument) for argument in arguments]))


def test_command_compares_two_runs_in_a_folder_of_choice(finished, rlmrec, darec, tmp_path, capsys):
    first, second = finished("RLMRecCon"), finished()
    assert analyze_command(first, second, "-o", tmp_path / "both") == 0
    assert f"report: {tmp_path / 'both' / 'report.html'}" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["both"]
    write_report(tmp_path / "same", rlmrec, darec)
    for table in (tmp_path / "same" / "tables").iterdir():
        assert (tmp_path / "both" / "tables" / table.name).read_text() == table.read_text()


def test_command_takes_a_seed(finished, tmp_path):
    """Of the pairs that it draws, for instance; those of the run's own test part stay."""
    tables = []
    for seed in (0, 7):
        folder = tmp_path / str(seed)
        analyze_command(finished("RLMRecCon"), "--output", folder, "--analysis_seed", seed)
        tables.append(pd.read_csv(folder / "tables" / "interaction.csv"))
    assert tables[0]["other_pairs"].tolist() != tables[1]["other_pairs"].tolist()
    assert tables[0]["test_pairs"].tolist() == pytest.approx(tables[1]["test_pairs"].tolist())


def test_command_writes_into_the_run_folder(copied, capsys):
    folder = copied("RLMRecCon")
    assert analyze_command(folder) == 0
    assert f"report: {folder / 'analysis' / 'report.html'}" in capsys.readouterr().out
    assert load(folder).metrics["model"] == "RLMRecCon"


def test_figures_are_valid_svg_in_the_colour_of_the_page(darec):
    for section in SECTIONS:
        figure = section.figure(darec)
        if figure is not None:
            text = figures.svg(figure)
            ElementTree.fromstring(text)  # noqa: S314
            assert "currentColor" in text
            assert figures._INK not in text


def test_loss_curves_show_the_numbers(darec):
    figure = figures.losses(darec.tables["losses"])
    lines = {axis.get_title(): axis.lines[0].get_ydata() for axis in figure.axes}
    assert set(lines) == {"bpr", "reg", "or", "uni", "glo", "loc"}
    for name, values in lines.items():
        np.testing.assert_array_equal(values, darec.tables["losses"][name])


BROWSER = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)


needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
OUTSIDE = "http://elsewhere.invalid/x"
# What Chromium asks for by itself at its start, whatever the page; fonts would be the page's.
ITS_OWN = re.compile(r"^(http://)?(?!fonts\.)[\w.-]+\.(google|googleapis|gvt1)\.com[:/]")


@pytest.fixture
def requests():
    """``(port, paths)`` of a proxy on the loopback that notes what it is asked for."""
    asked = []

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if not ITS_OWN.match(self.path):
                asked.append(self.path)
            self.send_error(404)

        do_CONNECT = do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, asked
        server.shutdown()


def browse(page, width, folder, port):
    """The page in a frame of that width: what the browser logs, and what a script sees in it."""
    probe = (
        "const d = document.querySelector('iframe').contentDocument;"
        "document.body.dataset.width = d.documentElement.scrollWidth;"
        "document.body.dataset.sections = [...d.querySelectorAll('section')].map(s => s.id);"
        "document.body.dataset.heights = [...d.querySelectorAll('svg')]"
        ".map(s => Math.round(s.getBoundingClientRect().height));"
    )
    outer = folder / "outer.html"
    outer.write_text(
        f'<body><iframe style="border:0" width="{width}" height="900" '
        f'srcdoc="{html_escape.escape(page, quote=True)}" onload="{probe}"></iframe></body>'
    )
    done = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         f"--proxy-server=http://127.0.0.1:{port}", f"--user-data-dir={folder / 'profile'}",
         "--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom", outer.as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    start, end = done.stdout[:2000], done.stdout[-2000:]
    return done.stderr, dict(re.findall(r'data-(width|sections|heights)="([^"]*)"', end + start))


@needs_browser
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("runs", ["one", "two"])
def test_page_in_a_browser(written, darec, rlmrec, tmp_path, requests, runs, width):
    """No console message, no request, every section and figure, no sideways scrolling."""
    html = written.html if runs == "one" else write_report(tmp_path, rlmrec, darec).html
    logged, found = browse(html.read_text(), width, tmp_path, requests[0])
    assert "CONSOLE" not in logged
    assert requests[1] == []
    assert int(found["width"]) <= width
    assert found["sections"].split(",") == [section.key for section in SECTIONS]
    assert all(int(height) > 60 for height in found["heights"].split(","))


@needs_browser
@pytest.mark.parametrize("policy", [True, False])
def test_the_browser_would_show_an_outside_request(written, tmp_path, requests, policy):
    """The page's policy forbids it and says so; without the policy it reaches the proxy."""
    page = written.html.read_text().replace("</body>", f'<img src="{OUTSIDE}"></body>')
    if not policy:
        page, removed = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
        assert removed == 1
    logged, _ = browse(page, 390, tmp_path, requests[0])
    assert ("CONSOLE" in logged and "Content Security Policy" in logged) == policy
    assert requests[1] == ([] if policy else [OUTSIDE])
